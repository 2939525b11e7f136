"""`descend.torch.choose` on small models of torch: what it leaves alone, what it refuses, what it gives."""

import itertools
import math
import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import descend.torch
from descend.lab.choosing import on_model, words
from descend.lab.choosing.on_model import choose
from descend.lab.choosing.words import fraction

generator = torch.Generator().manual_seed(0)
X = torch.randn(96, 6, generator=generator)
Y = X @ torch.randn(6, 1, generator=generator) + 0.3 * torch.randn(96, 1, generator=generator)
BATCHES = [(X[i : i + 16], Y[i : i + 16]) for i in range(0, 96, 16)]
RULES = ("adamw", "nesterov_accumulation")
WIDTHS, BIASES = iter(range(1, 1000)), itertools.cycle([True, False])
SAME = nn.Linear(6, 1)


def net():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))


def chosen(model=net, loss=nn.functional.mse_loss, loader=BATCHES, **options):
    return choose(model, loss, loader, **{"horizon": 64, "rules": RULES, "steps": 400, **options})


FOUND = chosen(rules=("adamw",), steps=100)


def test_it_answers_and_its_optimizer_trains():
    found = chosen()
    assert found.rule in RULES
    assert found.expected < found.start
    assert found.spent <= 400 / 64 * 1.1
    torch.manual_seed(1)
    model = net()
    optimizer = found.optimizer(model)
    for t in range(found.steps):
        x, y = BATCHES[t % 6]
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < found.start / 2
    assert f"{found.rule} at {found.lr:g}" in str(found)


def test_it_is_found_where_users_look():
    assert descend.torch.choose.__doc__ == choose.__doc__


def test_the_same_seed_gives_the_same_runs():
    one, two = chosen(), chosen()
    losses = [{o.trial: o.loss for o in found.outcomes} for found in (one, two)]
    both = losses[0].keys() & losses[1].keys()  # how long a step takes decides what is tried
    assert len(both) >= 4
    assert all(losses[0][trial] == losses[1][trial] for trial in both)


def test_model_loader_and_generators_are_as_they_were():
    model = net()
    before = [p.clone() for p in model.parameters()]
    data = torch.utils.data.TensorDataset(X, Y)
    own = torch.Generator().manual_seed(5)
    loader = torch.utils.data.DataLoader(data, 16, shuffle=True, generator=own)
    states = torch.get_rng_state(), own.get_state(), random.getstate(), np.random.get_state()[1].tolist()
    threads = torch.get_num_threads()
    chosen(model, loader=loader)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(states[0], torch.get_rng_state())
    assert torch.equal(states[1], own.get_state())
    assert states[2:] == (random.getstate(), np.random.get_state()[1].tolist())
    assert threads == torch.get_num_threads()


def test_seeds_differ_in_weights_and_order():
    first, second = chosen(seed=0), chosen(seed=1)
    assert {o.trial.seed for o in first.outcomes}.isdisjoint({o.trial.seed for o in second.outcomes})
    assert first.outcomes[0].start != second.outcomes[0].start


def test_a_validation_loader_judges():
    """Its targets are three times those that are trained on: what fits these leaves two thirds of it."""
    found = chosen(val=[(X, 3 * Y)])
    assert found.start > 6 * float(Y.var())
    assert found.best.seen > 2 * float(Y.var())
    assert chosen().best.seen < float(Y.var())


def test_any_batch_form_and_autocast():
    def loss(model, batch):
        return nn.functional.mse_loss(model(batch["x"]), batch["y"])

    found = chosen(loss=loss, loader=[{"x": x, "y": y} for x, y in BATCHES], autocast=torch.bfloat16)
    assert found.expected < found.start


def test_biases_do_not_decay():
    found = chosen(rules=("adamw",))
    groups = found.optimizer(net()).param_groups
    assert sorted(group["weight_decay"] for group in groups) == [0.0, 0.01]


def test_more_goes_on_where_an_earlier_choice_stopped():
    first = chosen(steps=120)
    seen = {o.trial for o in first.outcomes}
    trained = []
    more = chosen(steps=600, more=first, progress=trained.append)
    assert seen <= {o.trial for o in more.outcomes}
    assert len(trained) == len(more.outcomes) - len(seen)
    assert more.best.share >= first.best.share


@pytest.mark.parametrize("less", [{"steps": 100}, {"steps": None, "seconds": 1e-3}])
def test_more_with_less_than_was_spent_forgets_nothing(less):
    first = chosen(steps=600)
    again = chosen(more=first, **less)
    assert (again.rule, again.best.share) == (first.rule, first.best.share)
    assert {o.trial for o in first.outcomes} <= {o.trial for o in again.outcomes}


def test_ctrl_c_gives_the_best_so_far():
    calls = []

    def interrupt(part):
        calls.append(part)
        if len(calls) == 30:
            raise KeyboardInterrupt

    found = chosen(steps=4000, progress=interrupt)
    assert found.doubts[0].startswith("interrupted")
    assert found.confidence != "high"


def test_ctrl_c_before_there_is_anything_is_ctrl_c():
    def interrupt(part):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chosen(progress=interrupt)


class Normed(nn.Module):
    """Biases of every spelling, a norm whose class is not called so, a parameter that stays as it is."""

    class Scaled(nn.LayerNorm):
        pass

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 1)
        self.scale = self.Scaled(8)
        self.out_bias, self.bias_out = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
        self.biased_table = nn.Parameter(torch.ones(8))
        self.frozen = nn.Parameter(torch.ones(8), requires_grad=False)

    def forward(self, x):
        h = self.scale(self.first(x)) * self.biased_table * self.frozen
        return self.second(h) + self.out_bias + self.bias_out


@pytest.mark.parametrize(
    ("rule", "schedule", "within"),
    [("adamw", "linear", 1e-6), ("nesterov_accumulation", "cosine", 1e-6), ("nadamw", "cosine", 1e-6),
     ("lion", "linear", 0.0), ("muon", "cosine", 0.0), ("adamw+cautious", "linear", 0.0)],
)  # fmt: skip
def test_the_code_does_what_the_optimizer_does(rule, schedule, within):
    """The same parameters after many steps, to the bit where the code uses this library."""
    steps = 100
    torch.manual_seed(0)
    models = [Normed().double(), Normed().double()]
    models[1].load_state_dict(models[0].state_dict())
    found = replace(FOUND, model=(), options=(replace(FOUND.best, rule=rule, lr=0.01, schedule=schedule),), steps=steps)
    given = {"model": models[1]}
    exec(found.code(), given)
    optimizers = [found.optimizer(models[0]), given["optimizer"]]
    for t in range(steps):
        for model, optimizer in zip(models, optimizers, strict=True):
            model.zero_grad()
            nn.functional.mse_loss(model(BATCHES[t % 6][0].double()), BATCHES[t % 6][1].double()).backward()
            optimizer.step()
        if "scheduler" in given:
            given["scheduler"].step()
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(a, b, rtol=within, atol=within)


@pytest.mark.parametrize("width", [40, 60, 100])
def test_in_a_narrow_terminal_what_it_says_is_narrow(width):
    """The rule, the rate and the expected loss stay; what has no room is named."""
    found = replace(FOUND, doubts=("the longest runs had one seed each " * 3,), dropped={"lion": "behind " * 20})
    said = words.text(found, width).splitlines()
    assert max(map(len, said)) <= width
    assert any(f"{found.rule} " in line and f" {found.lr:g} " in line for line in said[2:])
    assert ("hidden" in " ".join(said)) == (width == 40)
    doubts = said[said.index("confidence: medium") + 1 :]
    assert all(line.startswith("  ") for line in doubts[: doubts.index("")])
    assert str(found) == words.text(found)


def test_parameters_in_place_of_the_model_are_refused_by_name():
    with pytest.raises(
        TypeError, match=r"optimizer\(model\) takes the module itself, not its parameters; got generator"
    ):
        FOUND.optimizer(net().parameters())


def test_a_net_of_another_width_is_warned_of():
    with pytest.warns(UserWarning, match=r"not the model that was chosen for, \('0.weight', \(64, 6\)\) differs"):
        FOUND.optimizer(nn.Sequential(nn.Linear(6, 64), nn.Tanh(), nn.Linear(64, 1)))


def test_a_choice_for_another_length_says_what_its_runs_tell_of_it():
    """Longer: a rate and a loss no higher, and the doubt that the runs were short. There and back is the same."""
    longer = FOUND.at(8 * 64)
    assert (longer.steps, longer.asked_steps, longer.rule) == (8 * 64, 8 * 64, FOUND.rule)
    assert longer.lr <= FOUND.lr
    assert longer.expected <= FOUND.expected
    assert longer.best.share == FOUND.best.share / 8
    assert any("the longest runs had 1/" in doubt for doubt in longer.doubts)
    assert longer.optimizer(net()).param_groups[0]["lr"] == pytest.approx(longer.rate()(0))
    back = longer.at(64)
    assert (back.lr, back.expected, back.levels) == (FOUND.lr, FOUND.expected, FOUND.levels)
    assert fraction(FOUND.at(16).best.share / FOUND.best.share) == "4 times the length"
    with pytest.raises(ValueError, match="horizon must be a whole number of steps from 16 on, got 8"):
        FOUND.at(8)


def test_the_report_is_one_file(tmp_path):
    found = chosen()
    file = found.report(tmp_path / "choice.html")
    page = file.read_text()
    assert f"{found.rule} at {found.lr:g}" in page
    assert 'src="http' not in page
    assert "<script" not in page
    assert len(page) < 700_000
    assert found.report(tmp_path / "other") == tmp_path / "other.html"
    with pytest.raises(ValueError, match=r"r\.svg: a report is a page, its name ends in \.html"):
        found.report(tmp_path / "r.svg")


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"horizon": 0}, ValueError, "horizon must be"),
        ({"horizon": True}, ValueError, "horizon must be"),
        ({"seconds": 0, "steps": None}, ValueError, "seconds must be"),
        ({"seconds": 1.0, "steps": 4}, ValueError, "not both"),
        ({"loader": BATCHES[:1]}, ValueError, "single batch"),
        ({"loader": iter(BATCHES)}, TypeError, "iterator"),
        ({"loader": []}, ValueError, "empty"),
        ({"rules": ("adamm",)}, ValueError, "adam"),
        ({"rules": ()}, ValueError, "rules is empty"),
        ({"steps": 4}, ValueError, "times as much"),
        ({"model": lambda: 3}, TypeError, "must build a torch.nn.Module"),
        ({"model": lambda: nn.Linear(6, next(WIDTHS))}, ValueError, "architecture"),
        ({"model": lambda: SAME}, ValueError, "the same parameters each time"),
        ({"model": lambda: nn.Sequential(SAME, nn.Tanh())}, ValueError, "the same parameters each time"),
        ({"loss": lambda output, target: (output * 0).sum() + 2.0}, ValueError, "every gradient of 4 batches is zero"),
        ({"loss": lambda output, target: (output * 0).sum() + torch.rand(())}, ValueError, "every gradient"),
        ({"loss": None}, TypeError, "without a loss_fn the model takes the whole batch and returns its loss"),
        (
            {"model": nn.Linear},
            TypeError,
            "without arguments, and Linear is missing a required argument: 'in_features'",
        ),
        ({"model": None}, TypeError, "model_fn must be a function that builds the model, or a model, got None"),
        ({"model": lambda: net().requires_grad_(False)}, ValueError, "no parameter that is trained"),
        ({"model": nn.Identity()}, ValueError, "no parameter that is trained"),
        ({"model": lambda: nn.LazyLinear(1)}, ValueError, "weight has no shape yet: run one batch through the model"),
        ({"model": lambda: nn.Linear(6, 1, bias=next(BIASES))}, ValueError, "it had 2 parameters and has 1"),
        ({"val": [(X * math.nan, Y)]}, ValueError, "the validation loss is nan before any step"),
        ({"loss": lambda output, target: output.sum() * float("nan")}, ValueError, "not finite|nan|every run"),
    ],
)
def test_what_does_not_fit_is_named(options, error, says):
    with pytest.raises(error, match=says):
        chosen(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seconds": "3", "steps": None}, "seconds must be a number above 0, got '3'"),
        ({"seconds": True, "steps": None}, "seconds must be a number above 0, got True"),
        ({"steps": True}, "steps must be a number above 0, got True"),
        ({"seed": -1}, "seed must be a whole number from 0 on"),
        ({"seed": None}, "seed must be a whole number from 0 on"),
        ({"seed": 2**70}, "seed must be a whole number from 0 on"),
        ({"val_batches": 0, "val": BATCHES}, "val_batches must be a whole number from 1 on"),
        ({"rules": "adamw"}, "rules must be names in a list or tuple"),
        ({"autocast": "bf16"}, "autocast must be a dtype"),
        ({"autocast": torch.autocast("cpu", torch.bfloat16)}, "autocast must be a dtype .* or a function"),
        ({"progress": 3}, "progress must be a function of the part that is done, got 3"),
        ({"horizon": 64.0}, "horizon must be the steps of the training, a whole number"),
        ({"more": "x"}, "more must be an earlier choice, got str"),
    ],
)
def test_an_argument_that_means_nothing_is_refused_by_name(options, said):
    with pytest.raises((TypeError, ValueError), match=said):
        chosen(loss=lambda output, target: pytest.fail("it trained"), **options)


def test_whole_numbers_may_be_those_of_numpy():
    found = chosen(horizon=np.int64(64), steps=np.int64(100), seed=np.int32(0), rules=("adamw",))
    assert (type(found.asked_steps), found.asked_steps, found.steps) == (int, 64, 64)


def test_a_gradient_that_is_zero_on_some_batches_is_none_that_moves_nothing():
    found = chosen(loader=[(0 * BATCHES[0][0], BATCHES[0][1]), *BATCHES[1:]], model=lambda: nn.Linear(6, 1, bias=False))
    assert found.expected < found.start


def test_where_every_rule_stops_with_an_error_it_is_told_once_with_its_traceback():
    calls = itertools.count()

    def loss(output, target):
        if next(calls) > 5:
            raise RuntimeError("out of memory")
        return nn.functional.mse_loss(output, target)

    with pytest.raises(
        RuntimeError, match=r"every rule has stopped with an error: RuntimeError: out of memory$"
    ) as caught:
        chosen(loss=loss)
    assert caught.value.__cause__.__traceback__.tb_next is not None


def test_seconds_that_are_over_before_a_step_are_too_few():
    with pytest.raises(ValueError, match="over after 0 runs, too few to choose by: give it more seconds"):
        chosen(steps=None, seconds=1e-6)


@pytest.mark.parametrize(("horizon", "step_s"), [(100_000, 0.1), (10**9, 0.1), (3_000, 0.3), (4_200, 0.1)])
def test_a_training_far_longer_than_the_time_gets_the_best_that_the_time_allows(monkeypatch, horizon, step_s):
    """On a clock that only training moves: a sixty-fourth of these takes longer than there is, or nearly."""
    now = [0.0]

    class Slow(nn.Linear):
        def forward(self, x):
            now[0] += step_s
            return super().forward(x)

    monkeypatch.setattr(on_model, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    found = chosen(lambda: Slow(6, 1), horizon=horizon, steps=None, seconds=60, rules=None)
    rates = {o.trial.lr for o in found.outcomes if o.trial.rule == found.rule}
    assert len(rates) >= 3
    assert found.confidence == "low"
    assert 20 < now[0] < 61
    assert found.steps >= horizon / 2
    assert "of the length" in found.reason
    assert "e+" not in str(found)


def test_runs_of_another_training_are_not_mixed_in():
    first = chosen(rules=("adamw",), steps=100)
    with pytest.raises(ValueError, match="a horizon of 64 steps, not of 128"):
        chosen(rules=("adamw",), more=first, horizon=128)
    with pytest.raises(ValueError, match="another model"):
        chosen(model=lambda: nn.Linear(6, 1), rules=("adamw",), more=first)
    with pytest.raises(ValueError, match="judged by its training loss"):
        chosen(rules=("adamw",), more=first, val=BATCHES)
    with pytest.raises(ValueError, match="another loss function"):
        chosen(loss=nn.functional.l1_loss, rules=("adamw",), more=first)
    with pytest.raises(ValueError, match="other data"):
        chosen(loader=[(x, y + 1) for x, y in BATCHES], rules=("adamw",), more=first)


def test_runs_of_the_same_training_are_taken_whatever_the_generators_are_at():
    data, found = torch.utils.data.TensorDataset(X, Y), None
    for seed in (3, 4):
        torch.manual_seed(seed)
        own = torch.Generator().manual_seed(seed)
        loader = torch.utils.data.DataLoader(data, 16, shuffle=True, generator=own)
        before, found = found, chosen(loader=loader, rules=("adamw",), steps=100 * (seed - 2), more=found)
    assert {o.trial for o in before.outcomes} < {o.trial for o in found.outcomes}


def test_a_frozen_part_may_be_shared():
    body = nn.Linear(6, 8).requires_grad_(False)
    assert chosen(model=lambda: nn.Sequential(body, nn.Linear(8, 1)), rules=("adamw",)).rule == "adamw"


@pytest.mark.parametrize(("horizon", "steps", "share"), [(64, 200, 1 / 4), (100, 300, 1 / 4), (20, 300, 1.0)])
def test_a_short_horizon_keeps_to_the_steps_and_names_the_length_its_runs_had(horizon, steps, share):
    found = chosen(horizon=horizon, steps=steps, rules=("adamw",))
    assert found.levels[0].share == share
    assert sum(o.trial.steps for o in found.outcomes) <= steps
    assert min(o.trial.steps for o in found.outcomes) == share * horizon


def test_with_no_budget_every_rule_has_its_first_runs():
    found = chosen(horizon=64, steps=None, rules=("adamw", "lion", "gradient_descent", "nadamw"))
    assert len({o.trial.rule for o in found.outcomes}) == 4
