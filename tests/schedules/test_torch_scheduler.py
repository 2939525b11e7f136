"""``torch_scheduler``: what a loop that expects torch's LRScheduler sees."""

import copy
import io
import warnings

import pytest

torch = pytest.importorskip("torch")

import descend.torch  # noqa: E402
from descend.schedules import (  # noqa: E402
    constant,
    cosine,
    inverse_time,
    linear,
    linear_warmup,
    one_cycle_momentum,
    plateau,
    torch_scheduler,
)

SCHEDULE = 0.1 * (linear_warmup(5) >> cosine(15))
CLASSES = [torch.optim.AdamW, descend.torch.AdamW]


def model_and(cls, **settings):
    p = torch.nn.Parameter(torch.ones(3))
    q = torch.nn.Parameter(torch.ones(2))
    return [p, q], cls([{"params": [p]}, {"params": [q], "lr": 0.02}], lr=0.01, **settings)


def train(params, optimizer, scheduler, steps):
    seen = []
    for _ in range(steps):
        for p in params:
            p.grad = p.detach() * 0.5
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize("cls", CLASSES)
def test_every_step_has_the_schedules_value(cls):
    params, optimizer = model_and(cls)
    scheduler = torch_scheduler(optimizer, SCHEDULE)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
    assert train(params, optimizer, scheduler, 40) == [[SCHEDULE(k)] * 2 for k in range(40)]  # 20 beyond its end
    assert scheduler.get_last_lr() == [SCHEDULE(40)] * 2


@pytest.mark.parametrize("cls", CLASSES)
def test_relative_keeps_the_ratios_of_the_groups(cls):
    params, optimizer = model_and(cls)
    scheduler = torch_scheduler(optimizer, 10 * SCHEDULE, relative=True)
    seen = train(params, optimizer, scheduler, 8)
    assert seen == [[0.01 * (10 * SCHEDULE)(k), 0.02 * (10 * SCHEDULE)(k)] for k in range(8)]


def test_one_schedule_for_each_group():
    params, optimizer = model_and(torch.optim.SGD)
    scheduler = torch_scheduler(optimizer, [constant(0.5), linear(10)])
    assert train(params, optimizer, scheduler, 3) == [[0.5, 1.0], [0.5, 0.9], [0.5, 0.8]]
    with pytest.raises(ValueError, match="3 schedules for 2 parameter groups"):
        torch_scheduler(optimizer, [constant()] * 3)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("setting", ["weight_decay", "beta1", "beta2"])
def test_any_setting(cls, setting):
    params, optimizer = model_and(cls)
    s = linear(10, 0.5, 0.99)
    scheduler = torch_scheduler(optimizer, s, setting)
    for k in range(12):
        group = optimizer.param_groups[0]
        found = group[setting] if setting in group else group["betas"][("beta1", "beta2").index(setting)]
        assert found == s(k)
        train(params, optimizer, scheduler, 1)


def test_momentum():
    params, optimizer = model_and(torch.optim.SGD, momentum=0.9)
    scheduler = torch_scheduler(optimizer, linear(4, 0.5, 0.9), "momentum")
    train(params, optimizer, scheduler, 2)
    assert [group["momentum"] for group in optimizer.param_groups] == [0.7, 0.7]


def test_a_tensor_stays_the_same_tensor():
    p = torch.nn.Parameter(torch.ones(3))
    lr = torch.tensor(0.5)
    optimizer = torch.optim.Adam([p], lr=lr)
    scheduler = torch_scheduler(optimizer, linear(4))
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == 0.75


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("relative", [False, True])
def test_a_run_resumes_from_its_state_without_a_warning(cls, relative):
    torch.manual_seed(0)
    params, optimizer = model_and(cls)
    scheduler = torch_scheduler(optimizer, SCHEDULE, relative=relative)
    train(params, optimizer, scheduler, 7)
    file = io.BytesIO()
    torch.save([optimizer.state_dict(), scheduler.state_dict(), [p.detach() for p in params]], file)
    expected = train(params, optimizer, scheduler, 6)

    file.seek(0)
    of_optimizer, of_scheduler, values = torch.load(file, weights_only=True)
    for scheduler_first in (True, False):
        again, other = model_and(cls)
        for p, value in zip(again, values, strict=True):
            p.data.copy_(value)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if scheduler_first:
                scheduler = torch_scheduler(other, SCHEDULE, relative=relative)
                other.load_state_dict(copy.deepcopy(of_optimizer))
            else:
                other.load_state_dict(copy.deepcopy(of_optimizer))
                scheduler = torch_scheduler(other, SCHEDULE, relative=relative)
            scheduler.load_state_dict(copy.deepcopy(of_scheduler))
            assert train(again, other, scheduler, 6) == expected
        assert all(map(torch.equal, again, params))


def test_a_resumed_run_needs_the_step_only_and_may_be_longer():
    params, optimizer = model_and(torch.optim.SGD)
    longer = 0.1 * (linear_warmup(5) >> cosine(100))
    scheduler = torch_scheduler(optimizer, longer, step=12)
    assert train(params, optimizer, scheduler, 100) == [[longer(k)] * 2 for k in range(12, 112)]

    short = torch_scheduler(optimizer, SCHEDULE)
    train(params, optimizer, short, 15)
    extended = torch_scheduler(optimizer, longer)
    extended.load_state_dict(short.state_dict())
    assert optimizer.param_groups[0]["lr"] == longer(15)


def test_calls_in_any_order_warn_of_nothing():
    params, optimizer = model_and(torch.optim.SGD)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler = torch_scheduler(optimizer, SCHEDULE)
        scheduler.step()  # a GradScaler skipped the first step
        train(params, optimizer, scheduler, 2)
        scheduler.step(1)  # said outright: one step was taken
    assert scheduler.last_epoch == 1
    assert scheduler.get_last_lr() == [SCHEDULE(1)] * 2


def test_a_group_added_later_follows():
    params, optimizer = model_and(torch.optim.SGD)
    scheduler = torch_scheduler(optimizer, linear(10), relative=True)
    more = torch.nn.Parameter(torch.ones(1))
    optimizer.add_param_group({"params": [more], "lr": 0.5})
    assert train([*params, more], optimizer, scheduler, 3)[-1] == [0.01 * 0.8, 0.02 * 0.8, 0.5 * 0.8]


def test_inside_torchs_own_sequential():
    params, optimizer = model_and(torch.optim.SGD)
    first = torch_scheduler(optimizer, linear(4, 0.25, 1.0), relative=True)
    second = torch_scheduler(optimizer, cosine(10), relative=True)
    both = torch.optim.lr_scheduler.SequentialLR(optimizer, [first, second], milestones=[4])
    s = linear(4, 0.25, 1.0) >> cosine(10)
    assert train(params, optimizer, both, 14) == [[0.01 * s(k), 0.02 * s(k)] for k in range(14)]


def test_a_plateau_inside_is_saved():
    params, optimizer = model_and(torch.optim.SGD)
    watched = plateau(patience=0, factor=0.5)
    scheduler = torch_scheduler(optimizer, 0.1 * watched)
    watched.observe(1.0)
    watched.observe(2.0)
    train(params, optimizer, scheduler, 1)
    assert optimizer.param_groups[0]["lr"] == 0.05
    other = torch_scheduler(optimizer, 0.1 * plateau(patience=0, factor=0.5))
    assert optimizer.param_groups[0]["lr"] == 0.1
    other.load_state_dict(scheduler.state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.05


def test_a_bad_state_changes_nothing():
    _, optimizer = model_and(torch.optim.SGD)
    scheduler = torch_scheduler(optimizer, [0.1 * plateau(patience=0), 0.2 * plateau(patience=0)])
    before, state = copy.deepcopy(scheduler.state_dict()), copy.deepcopy(scheduler.state_dict())
    state["schedules"][0]["plateaus"][0]["value"] = 0.5
    for bad in (
        {**state, "schedules": [state["schedules"][0], {}]},
        {k: v for k, v in state.items() if k != "base_lrs"},
    ):
        with pytest.raises(ValueError, match="state of a sche"):
            scheduler.load_state_dict(bad)
        assert scheduler.state_dict() == before


@pytest.mark.parametrize(("setting", "says"), [
    ("betas", r"'betas' of the parameter groups is \(0.9, 0.999\), not one number; name one of them: beta1, beta2"),
    ("amsgrad", "is False, not one number"), ("foreach", "is None, not one number"), ("params", "not one number"),
])  # fmt: skip
def test_a_setting_that_is_not_one_number_is_refused(setting, says):
    _, optimizer = model_and(torch.optim.AdamW)
    with pytest.raises(ValueError, match=says):
        torch_scheduler(optimizer, SCHEDULE, setting)


@pytest.mark.parametrize(("schedule", "setting", "says"), [
    (linear(10, 1, -1), "lr", "lr must not be negative, got -0.19.* at step 6"),
    (linear(10, 1, -1) >> constant(), "weight_decay", "weight_decay must not be negative, got -0.19.* at step 6"),
    (0.5 - inverse_time(0.01), "lr", "lr must not be negative, got -0.5 at step 0"),
    (linear(10**8, 1, -1e-7), "lr", "lr must not be negative, got -1e-07 at step 100000000"),
    (linear(10, 0.9, 1.1), "beta1", r"beta1 must be in \[0, 1\), got 1.0* at step 5"),
])  # fmt: skip
def test_a_value_that_no_setting_takes_is_refused_before_the_run_begins(schedule, setting, says):
    _, optimizer = model_and(torch.optim.AdamW)
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=says):
        torch_scheduler(optimizer, schedule, setting)
    after = optimizer.state_dict()
    assert [g["lr"] for g in after["param_groups"]] == [g["lr"] for g in before["param_groups"]]
    assert after["param_groups"][0]["betas"] == before["param_groups"][0]["betas"]


def test_bad_arguments():
    _, optimizer = model_and(torch.optim.SGD)
    with pytest.raises(TypeError, match="is no torch optimizer"):
        torch_scheduler(object(), SCHEDULE)
    with pytest.raises(TypeError, match="needs a schedule"):
        torch_scheduler(optimizer, [lambda k: 1.0, SCHEDULE])
    with pytest.raises(TypeError, match="needs a schedule"):
        torch_scheduler(optimizer, lambda k: 1.0)
    with pytest.raises(KeyError, match="have no 'beta1'"):
        torch_scheduler(optimizer, SCHEDULE, "beta1")
    with pytest.raises(ValueError, match="step is the number of steps"):
        torch_scheduler(optimizer, SCHEDULE, step=-1)
    with pytest.raises(ValueError, match="no state of a scheduler"):
        torch_scheduler(optimizer, SCHEDULE).load_state_dict({"last_epoch": 3})


@pytest.mark.parametrize("module", [torch.optim, descend.torch], ids=["torch", "ours"])
@pytest.mark.parametrize(("name", "setting", "settings"), [
    ("SGD", "momentum", {"momentum": 0.8}), ("RMSprop", "momentum", {"momentum": 0.5}), ("AdamW", "beta1", {}),
    ("Adam", "beta2", {"betas": (0.7, 0.9)}), ("AdamW", "weight_decay", {}), ("SGD", "lr", {}),
])  # fmt: skip
def test_a_relative_setting_resumes_from_the_optimizers_checkpoint_and_the_step(module, name, setting, settings):
    schedule = one_cycle_momentum(20, 0.85, 1.0) if setting == "momentum" else linear(20, 1.0, 0.5)

    def fresh():
        params, optimizer = model_and(getattr(module, name), **settings)
        return params, optimizer

    def values(optimizer):
        return [g["betas"][int(setting[-1]) - 1] if "beta" in setting else g[setting] for g in optimizer.param_groups]

    params, optimizer = fresh()
    first = values(optimizer)
    scheduler = torch_scheduler(optimizer, schedule, setting, relative=True)
    train(params, optimizer, scheduler, 7)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    _, again = fresh()
    again.load_state_dict(torch.load(file, weights_only=True))
    resumed = torch_scheduler(again, schedule, setting, relative=True, step=7)
    assert values(again) == values(optimizer) == [x * schedule(7) for x in first]
    scheduler.step(), resumed.step()
    assert values(again) == values(optimizer) == [x * schedule(8) for x in first]


def test_groups_that_say_what_a_setting_was_go_to_another_optimizer():
    params, optimizer = model_and(descend.torch.AdamW)
    torch_scheduler(optimizer, linear(20, 1.0, 0.5), "beta1", relative=True)
    again = descend.torch.AdamW(optimizer.param_groups)
    assert again.param_groups[0]["initial_beta1"] == 0.9
    with pytest.raises(TypeError, match="initial_beta9"):
        descend.torch.AdamW([{"params": params, "initial_beta9": 0.9}])


def test_a_refused_schedule_leaves_the_groups_as_they_were():
    _, optimizer = model_and(torch.optim.SGD, momentum=0.5)
    with pytest.raises(ValueError, match="momentum"):
        torch_scheduler(optimizer, linear(20, 1.0, 3.0) - 2.0, "momentum", relative=True)
    assert "initial_momentum" not in optimizer.param_groups[0]


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_torchs_cycles_of_momentum_step_ours_as_theirs(name):
    seen = []
    for module in (torch.optim, descend.torch):
        settings = {"momentum": 0.9} if name == "SGD" else {}
        params, optimizer = model_and(getattr(module, name), **settings)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=[0.1, 0.2], total_steps=12)
        train(params, optimizer, scheduler, 5)
        key = "momentum" if name == "SGD" else "betas"
        seen.append([(g["lr"], g[key]) for g in optimizer.param_groups])
        resumed_params, again = model_and(getattr(module, name), **settings)
        resumed = torch.optim.lr_scheduler.OneCycleLR(again, max_lr=[0.1, 0.2], total_steps=12)
        again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        resumed.load_state_dict(scheduler.state_dict())
        train(resumed_params, again, resumed, 3)
        seen[-1] += [(g["lr"], g[key]) for g in again.param_groups]
    assert seen[0] == seen[1]
