"""``descend.torch.default``: what it routes where, how its rate runs, what it refuses, and that it never diverges."""

import copy
import itertools
import math

import pytest
import torch
from torch import nn

import descend.torch as ours
from benchmarks.default.nets import tried


class Net(nn.Module):
    """An embedding tied to the head, a block with a norm, and a frozen tensor."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.mix, self.norm = nn.Linear(4, 4), nn.LayerNorm(4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)

    def forward(self, x):
        return self.head(self.norm(torch.tanh(self.mix(self.embed(x)))))


def trained(model, optimizer, steps, seed=0):
    """Train on the next number of a fixed order; the losses."""
    generator, losses = torch.Generator().manual_seed(seed), []
    for _ in range(steps):
        x = torch.randint(7, (16,), generator=generator)
        loss = nn.functional.cross_entropy(model(x), (3 * x + 1) % 7)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def net(seed=0):
    torch.manual_seed(seed)
    return Net()


def test_matrices_decay_and_nothing_else_does():
    spared, decayed = ours.default(net(), 10).param_groups
    assert decayed["param_names"] == ["mix.weight"]
    assert decayed["weight_decay"] > 0
    assert spared["param_names"] == ["embed.weight", "mix.bias", "norm.weight", "norm.bias"]
    assert spared["weight_decay"] == 0


@pytest.mark.parametrize("steps", [300, 1000, 12345])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_the_decay_sums_up_to_what_is_asked_for(steps, scale):
    optimizer = ours.default(net(), steps, scale=scale, weight_decay=0.7)
    rate, decay = optimizer.defaults["lr"], optimizer.param_groups[1]["weight_decay"]
    assert sum(rate(k) * decay for k in range(steps)) == pytest.approx(0.7)


@pytest.mark.parametrize("steps", [1, 10, 100])
def test_in_a_short_training_a_step_takes_no_more_than_a_hundredth_of_the_decay(steps):
    optimizer = ours.default(net(), steps, weight_decay=0.7)
    rate, decay = optimizer.defaults["lr"], optimizer.param_groups[1]["weight_decay"]
    assert max(rate(k) * decay for k in range(steps)) == pytest.approx(0.007)


@pytest.mark.parametrize("steps", [1, 2, 14, 15, 60, 1000])
def test_the_rate_warms_up_and_ends_at_zero(steps):
    lr = ours.default(net(), steps).defaults["lr"]
    values = [lr(k) for k in range(steps)]
    first = max(1, round(steps / 30))
    assert min(values) > 0
    assert max(values) == pytest.approx(0.5)
    assert values[:first] == sorted(values[:first])
    assert values[first:] == sorted(values[first:], reverse=True)
    if steps > 1:
        assert lr(steps) == lr(10 * steps) == 0


def test_without_a_number_of_steps_the_rate_falls_without_end():
    lr = ours.default(net()).defaults["lr"]
    assert 0 < lr(0) < lr(19) < lr(20) == 0.5
    assert lr(20 + 300) == pytest.approx(0.25)
    assert lr(10**6) > 0


@pytest.mark.parametrize("rising", [False, True])
def test_estimates_rise_in_the_first_half_of_the_steps_alone(rising):
    """Two factors of a product, of which only one may decay: the other grows for it, for as long as it is let."""
    torch.manual_seed(0)
    pair = nn.Sequential(nn.Linear(16, 4, bias=False), nn.Linear(4, 16, bias=False))
    options = {"growth_rate": 1.2} if rising else {}
    optimizer = ours.default(pair, 300, weight_decay=20.0, **options)
    x, seen = torch.randn(64, 16), []
    for _ in range(300):
        rows = torch.randint(64, (4,))
        optimizer.zero_grad()
        nn.functional.mse_loss(pair(x[rows]), x[rows]).backward()
        optimizer.step()
        seen.append([float(optimizer.state[p]["d"]) for p in pair.parameters()])
    rises = [any(new > old for old, new in zip(*two, strict=True)) for two in itertools.pairwise(seen)]
    assert any(rises[:149])
    assert any(rises[150:]) == rising


def test_scale_multiplies_the_rate():
    assert ours.default(net(), 10, scale=0.2).param_groups[0]["lr"] == pytest.approx(0.1)


@pytest.mark.parametrize(("factor", "steps"), [(1e-3, 200), (1.0, 200), (30.0, 200), (1e-3, None), (1.0, None)])
def test_untuned_it_ends_lower_than_adamw_at_either_usual_rate(factor, steps):
    def ends(made):
        losses = []
        for seed in range(3):
            model = net(seed)
            with torch.no_grad():
                model.mix.weight.mul_(factor)
            losses += trained(model, made(model), 200)[-5:]
        return sum(losses)

    usual = (ends(lambda model, lr=lr: torch.optim.AdamW(model.parameters(), lr=lr)) for lr in (1e-3, 1e-2))
    assert ends(lambda model: ours.default(model, steps)) < 0.9 * min(usual)


def test_a_checkpoint_resumes_to_the_bit():
    whole = net()
    trained(whole, optimizer := ours.default(whole, 20), 10)
    saved = copy.deepcopy((whole.state_dict(), optimizer.state_dict()))
    trained(whole, optimizer, 10, seed=1)
    again = net(seed=5)
    again.load_state_dict(saved[0])
    fresh = ours.default(again, 20)
    fresh.load_state_dict(saved[1])
    trained(again, fresh, 10, seed=1)
    for p, q in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_gradient_that_is_no_number_changes_nothing_and_is_counted():
    model = net()
    optimizer = ours.default(model, 10)
    trained(model, optimizer, 2)
    before = copy.deepcopy(model.state_dict())
    assert model.mix.weight.grad is not None
    model.mix.weight.grad[0, 0] = math.nan
    optimizer.step()
    assert optimizer.skipped == 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "words"),
    [
        ((0,), {}, ValueError, "steps must be 1 or more, got 0; leave it out"),
        ((True,), {}, TypeError, "steps must be a whole number"),
        ((2.5,), {}, TypeError, "steps must be a whole number"),
        ((10,), {"scale": 0}, ValueError, "scale must be a number above 0"),
        ((10,), {"scale": math.nan}, ValueError, "scale must be a number above 0"),
        ((10,), {"scale": "big"}, TypeError, "scale must be a number above 0"),
        ((10,), {"lr": 1e-3}, TypeError, "scale= multiplies them"),
        ((10,), {"weight_decay": -1}, ValueError, "weight_decay must be a number, 0 or more"),
        ((10,), {"weight_decay": None}, TypeError, "weight_decay must be a number, 0 or more"),
        ((10,), {"clip_nrom": 1.0}, TypeError, "Did you mean 'clip_norm'"),
    ],
)
def test_what_does_not_fit_is_named(arguments, settings, error, words):
    with pytest.raises(error, match=words):
        ours.default(net(), *arguments, **settings)


def test_models_that_cannot_be_trained_are_named():
    with pytest.raises(ValueError, match="nothing to train"):
        ours.default(nn.ReLU(), 10)
    with pytest.raises(ValueError, match="every parameter of the model is frozen"):
        ours.default(nn.Linear(2, 2).requires_grad_(False), 10)
    with pytest.raises(ValueError, match="no shape yet: run one batch"):
        ours.default(nn.LazyLinear(2), 10)
    with pytest.raises(TypeError, match="0 is complex"):
        ours.default(nn.ParameterList([nn.Parameter(torch.ones(2, dtype=torch.complex64))]), 10)
    with pytest.raises(TypeError, match=r"takes a torch.nn.Module, got list"):
        ours.default([nn.Parameter(torch.ones(2))], 10)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [40, None])
def test_no_random_net_of_any_scale_diverges(steps):
    verdicts = [tried(seed, lambda model, _: ours.default(model, steps), 40) for seed in range(1000, 1012)]
    assert [verdict for verdict in verdicts if verdict.diverged] == []
    assert sum(verdict.after < 0.9 * verdict.before for verdict in verdicts) >= 3  # they do move
