"""Which step a checkpoint was taken at, and what plateaus had seen: exact, and torch's classes load it too."""

import copy
import io
import warnings

import pytest
import torch

import descend.torch as ours
from descend import schedules


def through_file(saved):
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def tensors(count=1):
    return [torch.nn.Parameter(torch.linspace(1, 2, 3, dtype=torch.float64) + i) for i in range(count)]


def run(opt, params, steps):
    for t in range(steps):
        for p in params:
            p.grad = torch.sin(torch.arange(3.0, dtype=torch.float64) + t)
        opt.step()


RULES = ["SGD", "SignSGD", "AdamW", "Lion", "ASGD", "Muon", "AdaFactor", "GradientDescent", "ScheduleFreeSGD"]


@pytest.mark.parametrize("name", RULES)
def test_the_step_is_exact_for_rules_with_and_without_state(name):
    def fresh():
        p = torch.nn.Parameter(torch.ones(2, 3))
        return p, getattr(ours, name)([p], lr=0.01)

    (p, opt), (_, again) = fresh(), fresh()
    for _ in range(10):
        p.grad = torch.ones(2, 3)
        opt.step()
    again.load_state_dict(through_file(opt.state_dict()))
    assert again.steps == 10


def test_the_step_is_exact_when_parameters_join_in_later():
    a, b = tensors(2)
    opt = ours.AdamW([{"params": [a]}, {"params": [b]}])
    run(opt, [a], 4)
    a.grad = None
    run(opt, [b], 10)
    again = ours.AdamW([{"params": [a]}, {"params": [b]}])
    again.load_state_dict(through_file(opt.state_dict()))
    assert (opt.steps, again.steps) == (14, 14)
    theirs = torch.optim.AdamW([{"params": [a]}, {"params": [b]}])
    theirs.load_state_dict(through_file(opt.state_dict()))
    run(theirs, [b], 5)
    again.load_state_dict(through_file(theirs.state_dict()))
    assert again.steps == 19
    assert [int(again.state[p]["step"]) for p in (a, b)] == [4, 15]


def test_checkpoints_of_torch_and_of_older_versions_have_the_steps_of_their_state():
    [p] = tensors()
    theirs, opt = torch.optim.AdamW([p]), ours.AdamW([p])
    run(theirs, [p], 6)
    opt.load_state_dict(through_file(theirs.state_dict()))
    assert opt.steps == 6
    saved = opt.state_dict()
    del saved["param_groups"][0]["schedule_taken"]
    saved["param_groups"][0]["schedule_step"] = 4  # set back by hand, as the versions before wrote it
    opt.load_state_dict(saved)
    assert opt.steps == 4


def test_steps_that_were_set_by_hand_and_state_that_was_left_out_keep_the_schedule_where_it_was():
    [p] = tensors()
    opt = ours.AdamW([p])
    run(opt, [p], 6)
    opt.steps = 2
    saved = opt.state_dict()
    again = ours.AdamW([p])
    again.load_state_dict(copy.deepcopy(saved))
    assert again.steps == 2
    again.load_state_dict({**saved, "state": {}})
    assert again.steps == 2


@pytest.mark.parametrize("name", ["SGD", "AdamW", "RMSprop", "ASGD", "Adafactor"])
def test_torchs_class_loads_and_goes_on(name):
    p, q = (torch.nn.Parameter(torch.ones(2, 3)) for _ in range(2))
    opt = getattr(ours, name)([p], lr=0.1 * schedules.plateau())
    p.grad = torch.ones(2, 3)
    opt.step()
    theirs = getattr(torch.optim, name)([q])
    theirs.load_state_dict(through_file(opt.state_dict()))
    with torch.no_grad():
        q.copy_(p)
    q.grad = torch.ones(2, 3)
    theirs.step()
    opt.step()
    torch.testing.assert_close(q, p)
    opt.load_state_dict(through_file(theirs.state_dict()))
    assert opt.steps == (1 if name == "SGD" else 2)  # torch's SGD counts none, and hands on what was in the group
    theirs.step()
    opt.step()
    torch.testing.assert_close(q, p)


# ---------------------------------------------------------------- plateaus


def plateau(**more):
    return schedules.plateau(**{"factor": 0.1, "patience": 0, **more})


SETTINGS = {
    "alone": lambda w: {"lr": w},
    "product": lambda w: {"lr": 0.1 * w},
    "nested": lambda w: {"lr": 0.1 * (schedules.linear_warmup(2) >> (0.5 + 0.5 * w).shift(1)) * schedules.cosine(100)},
    "clamped": lambda w: {"lr": (0.1 * w).clamp(1e-5, 1.0)},
    "betas": lambda w: {"betas": (0.9 * w, 0.999)},
    "weight_decay": lambda w: {"weight_decay": 0.1 * w},
    "two settings": lambda w: {"lr": 0.1 * w, "weight_decay": w * 0.01, "clip_norm": 1.0 + w},
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_what_a_plateau_has_seen_is_in_the_checkpoint(kind):
    def fresh():
        watch, params = plateau(), tensors()
        return watch, params, ours.AdamW(params, **SETTINGS[kind](watch))

    watch, params, opt = fresh()
    for loss in (1.0, 2.0, 3.0):
        run(opt, params, 1)
        watch.observe(loss)
    seen, others, again = fresh()
    with torch.no_grad():
        others[0].copy_(params[0])
    again.load_state_dict(through_file(opt.state_dict()))
    assert seen == watch
    assert seen.value < 0.011
    for w in (watch, seen):
        w.observe(4.0)
    run(opt, params, 4)
    run(again, others, 4)
    assert torch.equal(params[0], others[0])


def test_plateaus_of_several_groups_shared_and_not():
    def fresh():
        a, b, params = plateau(), plateau(mode="max"), tensors(2)
        groups = [{"params": params[0], "lr": 0.1 * a * b}, {"params": params[1], "lr": 0.2 * a}]
        return a, b, ours.SGD(groups, momentum=0.9, lr=0.1)

    a, b, opt = fresh()
    a.observe(1.0), a.observe(2.0), b.observe(5.0)
    c, d, again = fresh()
    again.load_state_dict(through_file(opt.state_dict()))
    assert (c, d) == (a, b)
    assert d.best == 5.0


@pytest.mark.parametrize(("now", "says"), [
    (lambda: {"lr": 0.1 * plateau() * plateau()}, "lr has 2 plateaus now, and had 1"),
    (lambda: {"lr": 0.1, "weight_decay": 0.1 * plateau()}, "weight_decay has 1 plateaus now, and had 0"),
    (lambda: {"lr": 0.1 * schedules.cosine(10)}, None),
    (lambda: {"lr": 0.1}, None),
])  # fmt: skip
def test_other_plateaus_than_were_saved_load_with_a_message(now, says):
    watch, params = plateau(), tensors()
    opt = ours.AdamW(params, lr=0.1 * watch)
    run(opt, params, 2)
    watch.observe(1.0), watch.observe(2.0)
    again = ours.AdamW(params, **now())
    if says:
        with pytest.warns(UserWarning, match=says):
            again.load_state_dict(opt.state_dict())
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again.load_state_dict(opt.state_dict())
    assert again.steps == 2


def test_one_plateau_that_was_two_says_so():
    a, b, params = plateau(), plateau(), tensors()
    opt = ours.AdamW(params, lr=0.1 * a, weight_decay=0.1 * b)
    a.observe(1.0), a.observe(2.0)
    shared = plateau()
    again = ours.AdamW(params, lr=0.1 * shared, weight_decay=0.1 * shared)
    with pytest.warns(UserWarning, match="shared now"):
        again.load_state_dict(opt.state_dict())
    assert shared == a


def test_a_plateaus_state_that_is_none_is_refused_and_changes_nothing():
    watch, params = plateau(), tensors()
    opt = ours.AdamW(params, lr=0.1 * watch)
    saved = opt.state_dict()
    saved["param_groups"][0]["plateaus"]["lr"][0] = {"value": "low"}
    saved["param_groups"][0]["weight_decay"] = 0.7
    with pytest.raises(ValueError, match="state of a plateau"):
        opt.load_state_dict(saved)
    assert opt.param_groups[0]["weight_decay"] == 0.01
    assert (watch.value, opt.steps) == (1.0, 0)


def test_torch_carries_the_plateau_along():
    watch, params = plateau(), tensors()
    opt = ours.AdamW(params, lr=0.1 * watch)
    run(opt, params, 1)
    watch.observe(1.0), watch.observe(2.0)
    theirs = torch.optim.AdamW(params)
    theirs.load_state_dict(through_file(opt.state_dict()))
    assert theirs.param_groups[0]["lr"] == pytest.approx(0.01)
    seen = plateau()
    again = ours.AdamW(params, lr=0.1 * seen)
    again.load_state_dict(through_file(theirs.state_dict()))
    assert seen == watch
