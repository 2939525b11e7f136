"""Plans kept between steps, asked the quick way: whatever is meddled with, the bits of an optimizer that forgets."""

import copy
import functools
import random

import numpy
import pytest
import torch
from meddlings import ACTIONS, BAD, HARMLESS
from sides import ALL_SETUPS, SETUPS, ZOO, Side, agree, calm, near, one_after_the_other
from torch.nn import Parameter
from twins import CLASSES, bits

import descend.torch as ours
from descend.schedules import cosine
from descend.torch.step import reading

OF_GROUPS = ("a negative lr", "words for weight_decay")
UNLIKE_TORCH = ("the parameter itself",)  # torch decays the parameter, and so this gradient, first


def missing():
    raise AttributeError("no such symbol")


def at_random(seed, steps, names=(*HARMLESS, *BAD)):
    dice = random.Random(seed)
    return [(dice.choice(names), dice.randrange(60)) if dice.random() < 0.35 else () for _ in range(steps)]


@pytest.mark.parametrize("setup", ALL_SETUPS)
@pytest.mark.parametrize("name", HARMLESS)
def test_whatever_is_meddled_with_the_bits_of_an_optimizer_that_forgets(name, setup):
    mine, forgetful, reference = calm(*(Side(kind, *SETUPS[setup]) for kind in ("quick", "forgetful", "torch")))
    script = one_after_the_other(name, SETUPS[setup][1])
    told = mine.story(script)
    agree(told, forgetful.story(script), script)
    assert all(said is None for said, _ in told)
    left = not mine.params or "negated" in name or mine.opt._plan.reader is not None
    assert left, "the quick way was not taken again"
    reference.story(script)
    if name not in UNLIKE_TORCH:
        near(mine.params, reference.params)


@functools.cache
def forgetful_story(script, quiet, *made):
    return (side := Side("forgetful", *made)).quiet(quiet) + side.story(script)


@pytest.mark.parametrize("way", ["quick", "python", "at the second step"])
@pytest.mark.parametrize("setup", ALL_SETUPS)
@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_by_name_each_time_and_changes_nothing(name, setup, way, monkeypatch):
    if way == "python":
        monkeypatch.setattr(reading, "_functions", missing)
    mine, quiet = Side("quick", *SETUPS[setup]), 1 if "second" in way else 7
    begun = mine.quiet(quiet)
    assert (mine.opt._plan.reader is not None) == (way == "quick")
    script = one_after_the_other(name, SETUPS[setup][1])
    told = mine.story(script)
    agree(begun + told, forgetful_story(tuple(script), quiet, *SETUPS[setup]), [()] * quiet + script)
    said = [words for (words, _), scene in zip(told, script, strict=True) if scene]
    assert said[0] or (name == "same memory twice" and len(mine.params) == 1)
    of_tensors = name not in OF_GROUPS
    assert not of_tensors or all("parameter" in words and "of group" in words for words in said if words)
    assert not any(words for (words, _), scene in zip(told, script, strict=True) if not scene)


@pytest.mark.slow
@pytest.mark.parametrize("bad", ["sparse", "too small", "a negative lr"])
@pytest.mark.parametrize("name", HARMLESS)
def test_a_change_made_together_with_one_that_is_refused_counts_in_the_next_step(name, bad):
    told = []
    for side in calm(Side("quick", *ZOO), Side("forgetful", *ZOO)):
        side.feed()
        last = side.params[-1]
        group, _ = side.group(last)
        before = group["lr"]
        with torch.no_grad():
            ACTIONS[name](side, side.params[0])
            ACTIONS[bad](side, last)
        assert side.step()
        last.grad = None
        side.group(last)[0]["lr"] = before
        told.append(side.quiet())
    agree(*told)


@pytest.mark.slow
@pytest.mark.parametrize("setup", [setup for setup in SETUPS if "zoo" in setup])
@pytest.mark.parametrize("name", HARMLESS)
def test_whatever_was_changed_before_a_later_change_counts(name, setup):
    later = ("lr", "moved", "column-major gradient", "state replaced", "an equal parameter", "order swapped", "removed")
    script = [(name, 0), *[scene for i, then in enumerate(later) for scene in ((), (), (), (), (then, 5 * i))], (), ()]
    mine, forgetful = calm(*(Side(kind, *SETUPS[setup]) for kind in ("quick", "forgetful")))
    agree(mine.story(script), forgetful.story(script), script)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["quick", "python"])
@pytest.mark.parametrize("name", ["AdamW", "SGD", "RMSprop"])
def test_two_thousand_steps_of_random_meddling(name, way, monkeypatch):
    if way == "python":
        monkeypatch.setattr(reading, "_functions", missing)
    script = at_random(name, 2000)
    agree(Side("quick", name, 12, 3).story(script), forgetful_story(tuple(script), 0, name, 12, 3), script)


@pytest.mark.parametrize("setup", ALL_SETUPS)
def test_where_the_quick_way_is_not_to_be_had_the_same_bits(setup, monkeypatch):
    reachable = [name for name in (*HARMLESS, *BAD) if "negated" not in name]
    script = [()] * 7 + at_random(setup, 60, reachable) + [()] * 7
    mine = Side("quick", *SETUPS[setup])
    told = mine.story(script)
    monkeypatch.setattr(reading, "_functions", missing)
    without = Side("quick", *SETUPS[setup])
    agree(told, without.story(script), script)
    assert without.opt._plan.reader is None
    assert not mine.params or mine.opt._plan.reader is not None


SETTINGS = {  # before the first step, and before every step from the eighth on
    "a new float every step": ({}, lambda g, t: g.update(lr=0.01 / t)),
    "an equal number of another type": ({"lr": 0.5}, lambda g, t: g.update(lr=[0.5, numpy.float64(0.5)][t % 2])),
    "betas in a list": ({"betas": [0.9, 0.9]}, lambda g, t: g["betas"].__setitem__(t % 2, 0.5 + t / 100)),
    "lr in a tensor": ({"lr": torch.tensor(0.1)}, lambda g, t: g["lr"].fill_(0.1 / t)),
    "a schedule": ({"lr": cosine(15) * 0.1}, lambda g, t: t == 9 and g.update(lr=cosine(20) * 0.2)),
    "NaN for a step": ({}, lambda g, t: g.update(weight_decay=float("nan") if t == 12 else 0.1)),
    "a negative lr for a step": ({}, lambda g, t: g.update(lr=-1.0 if t == 12 else 0.1)),
    "clipped from now on": ({}, lambda g, t: g.update(clip_norm=0.5 * t)),
    "amsgrad on and off": ({}, lambda g, t: g.update(amsgrad=t % 4 > 1)),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_counts_from_the_step_after_it_changed(name):
    start, change = SETTINGS[name]
    told = []
    for kind in ("quick", "forgetful"):
        side = Side(kind, "AdamW", 12)
        side.opt.param_groups[0].update(copy.deepcopy(start))
        told.append(side.quiet())
        for t in range(7, 20):
            change(side.opt.param_groups[0], t)
            told[-1] += side.quiet(1)
    agree(*told)


def test_an_overflow_reported_in_place_skips_its_step():
    told = []
    for side in calm(Side("quick", *ZOO), Side("forgetful", *ZOO)):
        side.opt.found_inf, side.opt.grad_scale = torch.zeros(()), torch.full((), 2.0)
        told.append([])
        for t in range(20):
            side.opt.found_inf.fill_(t % 7 == 6)
            side.opt.grad_scale.fill_(2.0 + t % 3)
            told[-1] += side.quiet(1)
        del side.opt.found_inf, side.opt.grad_scale
        told[-1] += side.quiet()
    agree(*told)


OPTIONS = [
    *((name, {}) for name in CLASSES), ("Adam", {"clip_norm": 1.0}), ("SGD", {"clip_norm": 1.0, "nonfinite": "skip"}),
    ("AdamW", {"nonfinite": "skip"}), ("Adam", {"amsgrad": True, "telemetry": True}), ("NAdam", {}),
    ("RMSprop", {"centered": True, "nonfinite": "skip"}), ("Rprop", {}), ("Adafactor", {}), ("Muon", {}),
    ("Prodigy", {}),
]  # fmt: skip


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(("name", "arguments"), OPTIONS, ids=str)
def test_every_kind_of_rule_with_gradients_that_move_vanish_or_are_not_finite(name, arguments, keep):
    script = [
        (),
        (),
        ("moved", 0),
        *[()] * 5,
        ("None", 1),
        *[()] * 5,
        ("not finite", 0),
        *[()] * 5,
        ("not finite", -1),
        (),
    ]
    sides = [Side(kind, name, 2, 1, keep, **arguments) for kind in ("quick", "forgetful")]
    agree(sides[0].quiet(), sides[1].quiet())
    agree(*(side.story(script) for side in sides))


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 7])
def test_a_gradient_of_one_dimension_more_than_a_number_is_refused(steps):
    p = Parameter(torch.ones(()))
    opt = ours.AdamW([p], lr=0.1)
    for _ in range(steps):
        p.grad = torch.ones(())
        opt.step()
    p.grad = torch.ones(())
    p.grad.unsqueeze_(0)
    before = bits(p)
    with pytest.raises(ValueError, match="parameter 0"):
        opt.step()
    assert bits(p) == before
