"""What conversion of momentum state refuses, and by which names; what it must not lose."""

import itertools

import numpy as np
import pytest
from conversion_pairs import BETA, CLASSIC, LR, NESTEROV, QHM, begin, far, pairs, settings_of, slot, slot_unit, walk

from descend import rules
from descend.core.rule import Rule
from descend.rules.state.conversion import convert

OTHERS = (rules.gradient_descent, rules.adam, rules.lion, rules.signum)
REFUSED = [
    *itertools.product(CLASSIC, NESTEROV),
    *itertools.product(NESTEROV, CLASSIC),
    *itertools.product((*CLASSIC, *NESTEROV), OTHERS),
    *itertools.product(OTHERS, (*CLASSIC, *NESTEROV, QHM)),
]


def state_of(rule: Rule) -> dict[str, np.ndarray]:
    return {s.name: begin((3,)) for s in rule.slots}


@pytest.mark.parametrize(("source", "target"), REFUSED, ids=[f"{a.name}-{b.name}" for a, b in REFUSED])
def test_two_algorithms_are_refused_by_their_names(source, target):
    with pytest.raises(ValueError, match=source.name) as error:
        convert(source, target, {}, begin((3,)), state_of(source))
    assert target.name in str(error.value)


@pytest.mark.parametrize("nu", [0.0, 0.5, 0.7])
@pytest.mark.parametrize("target", [*CLASSIC, *NESTEROV])
def test_a_mixture_of_neither_family_is_refused(nu, target):
    with pytest.raises(ValueError, match=QHM.name) as error:
        convert(QHM, target, {"lr": LR, "beta": BETA, "nu": nu}, begin((3,)), state_of(QHM))
    assert target.name in str(error.value)


def test_a_mixture_of_the_other_family_is_refused():
    for target, nu in [(t, BETA) for t in CLASSIC] + [(t, 1.0) for t in NESTEROV]:
        with pytest.raises(ValueError, match=target.name):
            convert(QHM, target, {"lr": LR, "beta": BETA, "nu": nu}, begin((3,)), state_of(QHM))


@pairs
def test_a_learning_rate_of_zero_is_refused_where_it_divides(family, source, target):
    mine = settings_of(source, family, lr=0.0)
    call = (source, target, mine, begin((3,)), state_of(source))
    if slot_unit(source) == "velocity" and slot_unit(target) != "velocity":
        with pytest.raises(ValueError, match="lr"):
            convert(*call)
        return
    _, p, state = convert(*call)
    assert np.isfinite(p).all()
    assert np.isfinite(state[slot(target)]).all()


@pairs
def test_a_momentum_of_one_has_no_average(family, source, target):
    if "exp_avg" not in (slot_unit(source), slot_unit(target)) or source is target:
        return
    if QHM in (source, target) and family == "nesterov" and source is QHM:
        return  # nu = beta = 1 is in both families
    mine = settings_of(source, family, momentum=1.0)
    if slot_unit(source) == slot_unit(target) == "exp_avg":
        return  # nothing to divide by
    with pytest.raises(ValueError, match=r"momentum|beta"):
        convert(source, target, mine, begin((3,)), state_of(source))


@pytest.mark.parametrize("target", [rules.momentum_accumulation, rules.momentum_ema, rules.momentum_velocity])
def test_dampening_of_the_source_is_carried_over(target):
    source, mine = rules.momentum_dampened, {"lr": LR, "momentum": BETA, "dampening": 0.3}
    p = begin((4,))
    _, p, v = walk(source, mine, p, 0 * p, range(1, 11))
    ahead, _, _ = walk(source, mine, p, v, range(11, 21))
    settings, q, state = convert(source, target, mine, p, {"v": v})
    for old, new in zip(ahead, walk(target, settings, q, state["v"], range(11, 21))[0], strict=True):
        assert far(new, old) <= 1e-12


@pytest.mark.parametrize("target", [rules.momentum_accumulation, rules.momentum_velocity])
def test_state_of_another_shape_or_name_is_refused(target):
    source = rules.momentum_ema
    for p, state in (
        (begin((3,)), {"v": begin((4,))}),
        (begin((3,)), {}),
        ([begin((3,))], {"v": []}),
        ([begin((3,))], {"v": [begin((3,)), begin((3,))]}),
    ):
        with pytest.raises((ValueError, TypeError, KeyError)):
            convert(source, target, {}, p, state)


def test_an_unknown_setting_is_refused():
    with pytest.raises((ValueError, TypeError), match="momentum"):
        convert(rules.momentum_ema, rules.momentum_velocity, {"momentum": 0.5}, begin((2,)), {"v": begin((2,))})
