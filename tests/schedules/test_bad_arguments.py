"""What no schedule can be made of is refused by name, when it is made."""

import math

import pytest

from descend import schedules
from descend.schedules import (
    constant,
    cosine,
    exponential,
    from_json,
    linear,
    multi_step,
    one_cycle,
    piecewise,
    plateau,
    step_decay,
)


@pytest.mark.parametrize("operation", [
    lambda s: s * "2", lambda s: s + None, lambda s: s >> 3, lambda s: 3 >> s, lambda s: s * True, lambda s: s * [1],
])  # fmt: skip
def test_what_is_neither_schedule_nor_number_is_refused(operation):
    with pytest.raises(TypeError):
        operation(cosine(3))


@pytest.mark.parametrize("left", [constant(), step_decay(3), cosine(3).repeat(), plateau(), 2 * exponential(rate=1)])
def test_nothing_follows_what_never_ends(left):
    with pytest.raises(ValueError, match=r"never ends; give it a length with \.until"):
        left >> cosine(3)
    assert (left.until(3) >> cosine(3)).length == 6


def test_inside_a_chain_what_never_ends_is_named():
    with pytest.raises(ValueError, match=r"nothing can follow step_decay\(3\)"):
        (cosine(3) >> step_decay(3)) >> cosine(3)


@pytest.mark.parametrize(("make", "says"), [
    (lambda: cosine(0), "cosine: steps must be above 0, got 0"),
    (lambda: cosine(-5), "cosine: steps must be above 0, got -5"),
    (lambda: cosine(math.inf), "cosine: steps must be finite, got inf"),
    (lambda: linear(10, math.nan), "linear: start must be finite, got nan"),
    (lambda: linear(10**400), "linear: steps must be finite"),
    (lambda: step_decay(10, 0), "step_decay: factor must be above 0"),
    (lambda: multi_step([]), "multi_step: milestones must hold at least one"),
    (lambda: multi_step([30, 20]), "multi_step: milestones must be steps above 0 in ascending order"),
    (lambda: multi_step([0, 20]), "multi_step: milestones must be steps above 0"),
    (lambda: piecewise([10], [1]), "piecewise: 1 boundaries part 2 values, got 1"),
    (lambda: piecewise([10], [1, math.inf]), r"piecewise: values\[1\] must be finite"),
    (lambda: exponential(), "one of rate"),
    (lambda: exponential(rate=0.1, gamma=0.9), "one of rate"),
    (lambda: exponential(gamma=-0.5), "exponential: gamma must be above 0"),
    (lambda: schedules.inverse_time(-1), "inverse_time: rate must be 0 or more"),
    (lambda: schedules.cyclic(5, 0.1, mode="saw"), "cyclic: mode must be one of triangular, "),
    (lambda: schedules.cyclic(5, 0.1, down=0), "cyclic: down must be above 0"),
    (lambda: schedules.cosine_restarts(5, 0.5), "times must be 1, or 1.01 or more; got 0.5"),
    (lambda: schedules.cosine_restarts(5, cycles=0), "cycles must be a whole number above 0"),
    (lambda: schedules.cosine_restarts(5, cycles=1.5), "cycles must be a whole number above 0"),
    (lambda: one_cycle(3), "one_cycle: no time from step 0 to -0.1; take more steps"),
    (lambda: one_cycle(100, 1.5), "one_cycle: no time from step 149 to 99"),
    (lambda: one_cycle(100, shape="saw"), "one_cycle: shape must be one of cos, linear"),
    (lambda: one_cycle(100, div_factor=0), "div_factor must be above 0"),
    (lambda: schedules.one_cycle_fastai(100, div=0), "div must be above 0"),
    (lambda: schedules.one_cycle_fastai_momentum(10, moms=(1, 2)), "moms must be three numbers"),
    (lambda: schedules.one_cycle_momentum(-10), "one_cycle_momentum: steps must be above 0"),
    (lambda: schedules.wsd(-1, 10, 10), "linear: steps must be above 0, got -1"),
    (lambda: schedules.wsd(1, 10, 10, "saw"), "wsd: tail must be one of 1-sqrt, linear, cosine"),
    (lambda: schedules.power_cool(100, 0), "power_cool: fraction must be in"),
    (lambda: schedules.power_cool(-100, 0.5), "steps must be above 0"),
    (lambda: schedules.radam_warmup(0.5), "radam_warmup: beta2 must be above 0.6"),
    (lambda: schedules.untuned_linear_warmup(1), r"beta2 must be in \(0, 1\)"),
    (lambda: cosine(10).shift(-10), r"shift\(-10\) leaves nothing of cosine\(10\)"),
    (lambda: cosine(10).in_epochs(0), "scale: steps must be above 0"),
    (lambda: cosine(10).in_tokens(-1), "scale: units must be above 0"),
    (lambda: cosine(10).clamp(), "clamp needs low, high or both"),
    (lambda: cosine(10).clamp(2, 1), "clamp: low=2 is above high=1"),
    (lambda: cosine(10).repeat(0), "repeat: times must be a whole number above 0"),
    (lambda: constant().repeat(), "never ends, so it cannot be repeated"),
    (lambda: constant().until(0), "until: steps must be above 0"),
    (lambda: cosine(10) * math.nan, "times: left must be finite"),
])  # fmt: skip
def test_bad_arguments_are_refused_by_name(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("make", [
    schedules.one_cycle, schedules.one_cycle_momentum, schedules.one_cycle_fastai, schedules.one_cycle_fastai_momentum,
])  # fmt: skip
def test_a_length_that_is_no_number_is_refused_by_name(make):
    with pytest.raises(TypeError, match=f"{make.__name__}: steps must be a number, got 'a'"):
        make("a")


@pytest.mark.parametrize("make", [
    lambda: cosine("10"), lambda: cosine(True), lambda: cosine(None), lambda: cosine(10, edn=3), lambda: cosine(),
    lambda: multi_step(3), lambda: exponential(0.9), lambda: cosine(10).in_epochs(3, whole=1), lambda: multi_step("12"),
])  # fmt: skip
def test_arguments_of_the_wrong_type_are_refused(make):
    with pytest.raises(TypeError):
        make()


@pytest.mark.parametrize(("text", "says"), [
    ("{", "no JSON"),
    ("[]", "has 'version' and 'schedule'"),
    ('{"version": 2, "schedule": {}}', "has version 2; known is 1"),
    ('{"version": 1, "schedule": {"kind": "cosinus"}}', "unknown kind of schedule: 'cosinus'; known .*cosine,"),
    ('{"version": 1, "schedule": {"kind": ["cosine"]}}', "unknown kind"),
    ('{"version": 1, "schedule": {"steps": 3}}', "unknown kind of schedule: None"),
    ('{"version": 1, "schedule": {"kind": "cosine", "stepz": 3}}', "the JSON of a cosine: .*stepz|missing"),
    ('{"version": 1, "schedule": {"kind": "cosine", "steps": -3}}', "steps must be above 0"),
    ('{"version": 1, "schedule": 3}', "3 is no schedule"),
])  # fmt: skip
def test_bad_json_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        from_json(text)
