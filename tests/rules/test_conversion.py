"""Momentum state carried from one convention to another: the new rule goes on along the old one's path."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from conversion_pairs import BETA, LR, QHM, begin, far, pairs, settings_of, slot, slot_unit, velocity, walk

from descend import rules
from descend.core.rule import Rule
from descend.rules.state.conversion import convert

SHAPES = ((3, 4), (5,), (), (0,), (2, 0, 3))


@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pairs
def test_the_target_continues_the_path_of_the_source(family, source, target, kind):
    mine = settings_of(source, family)
    ps, vs, ahead = [], [], []
    for k, shape in enumerate(SHAPES):
        p = begin(shape, k) if kind == "numpy" else torch.tensor(begin(shape, k))
        _, p, v = walk(source, mine, p, 0 * p, range(1, 11), k)
        ps.append(p)
        vs.append(v)
        ahead.append(walk(source, mine, p, v, range(11, 21), k)[0])
    settings, new_ps, state = convert(source, target, mine, ps, {slot(source): vs})
    assert list(settings) == list(target.settings)
    assert list(state) == [slot(target)]
    assert isinstance(new_ps, list)
    assert len(new_ps) == len(state[slot(target)]) == len(SHAPES)
    for k, (p, v) in enumerate(zip(new_ps, state[slot(target)], strict=True)):
        assert np.shape(p) == np.shape(v) == SHAPES[k]
        for old, new in zip(ahead[k], walk(target, settings, p, v, range(11, 21), k)[0], strict=True):
            assert far(new, old) <= 1e-12
    assert settings.get("dampening", 0) == 0
    if target is QHM:
        assert settings["nu"] == (1 if family == "classic" else settings["beta"])


@pairs
def test_there_and_back_is_the_same_to_the_last_digits(family, source, target):
    mine = settings_of(source, family)
    p, v = begin((200,), 1), begin((200,), 2) * 10 ** np.random.default_rng(3).uniform(-6, 3, 200)
    there = convert(source, target, mine, p, {slot(source): v})
    settings, q, state = convert(target, source, *there)
    w = state[slot(source)]
    assert np.all(np.abs(w - v) <= 2 * np.spacing(np.abs(v)))
    # Where p goes by way of the look-ahead point p + step, each sum is rounded once, and the step in between has
    # the errors of its two conversions: 0.5 + 0.5 + 2 + 1 units of the largest number on the way.
    step = BETA * velocity(mine, source, v)
    largest = np.max(np.abs([p, step, p + step, p - step]), axis=0)
    assert np.all(np.abs(q - p) <= 4 * np.spacing(largest))
    for name, value in mine.items():
        assert abs(settings[name] - value) <= 2 * np.spacing(value), name
    if source is target:
        assert np.array_equal(p, q)
        assert np.array_equal(v, w)
        assert settings == mine


def exact_factor(source: Rule, target: Rule, lr: float, beta: float) -> Fraction:
    """What state is multiplied with, as a fraction: every state is -velocity / lr, times 1 - beta for an average."""
    to_velocity = {
        "velocity": Fraction(1),
        "momentum_buffer": -Fraction(lr),
        "exp_avg": -Fraction(lr),
    }[slot_unit(source)]
    # an average's lr is 1 / (1 - beta) times that of an accumulation
    averaged = Fraction(lr) if slot_unit(source) == "exp_avg" else Fraction(lr) / (1 - Fraction(beta))
    per_unit = averaged if slot_unit(target) == "exp_avg" else averaged * (1 - Fraction(beta))
    return to_velocity if slot_unit(target) == "velocity" else -to_velocity / per_unit


@pairs
def test_state_is_rounded_as_by_one_multiplication(family, source, target):
    mine = settings_of(source, family)
    v = begin((60,), 4)
    _, _, state = convert(source, target, mine, begin((60,), 5), {slot(source): v})
    factor = exact_factor(source, target, LR, BETA)
    for old, new in zip(v, state[slot(target)], strict=True):
        exact = factor * Fraction(float(old))
        # half a unit for the product, and the factor's own rounding (at most three operations)
        assert abs(Fraction(float(new)) - exact) <= 2 * Fraction(float(np.spacing(abs(float(exact)))))


@pairs
def test_inputs_are_not_written_and_outputs_are_new(family, source, target):
    for make in (np.array, torch.tensor):
        mine = settings_of(source, family)
        p, v = make(begin((4, 3), 1)), make(begin((4, 3), 2))
        given = ([p], {slot(source): [v]}, dict(mine))
        settings, qs, state = convert(source, target, mine, *given[:2])
        assert mine == given[2]
        assert given[1] == {slot(source): [v]}
        qs[0][...] = 7.0
        state[slot(target)][0][...] = 7.0
        settings["lr"] = 7.0
        assert np.array_equal(np.asarray(p), begin((4, 3), 1))
        assert np.array_equal(np.asarray(v), begin((4, 3), 2))
        assert mine == given[2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pairs
def test_tensors_stay_tensors_of_their_type_and_leave_no_graph(family, source, target, dtype):
    p = torch.nn.Parameter(torch.tensor(begin((4, 3), 1), dtype=dtype))
    v = torch.tensor(begin((4, 3), 2), dtype=dtype)
    _, q, state = convert(source, target, settings_of(source, family), p, {slot(source): v})
    for new in (q, state[slot(target)]):
        assert isinstance(new, torch.Tensor)
        assert new.dtype == dtype
        assert new.shape == p.shape
        assert new.data_ptr() not in (p.data_ptr(), v.data_ptr())
    assert not state[slot(target)].requires_grad
    assert q.grad_fn is None


@pairs
def test_zero_dimensional_and_empty_arrays_stay_arrays(family, source, target):
    for shape in ((), (0,), (0, 3)):
        p, v = begin(shape, 1), begin(shape, 2)
        _, q, state = convert(source, target, settings_of(source, family), p, {slot(source): v})
        for new in (q, state[slot(target)]):
            assert isinstance(new, np.ndarray)
            assert new.shape == shape
            assert new.dtype == np.float64


@pairs
def test_no_tensors_at_all(family, source, target):
    settings, p, state = convert(source, target, settings_of(source, family), [], {slot(source): []})
    assert p == []
    assert state == {slot(target): []}
    assert settings["lr"] > 0


def test_missing_settings_are_the_defaults_of_the_source():
    settings, _, _ = convert(rules.momentum_ema, rules.momentum_velocity, {}, begin((2,)), {"v": begin((2,))})
    default = rules.momentum_ema.settings
    assert settings["momentum"] == default["beta"]
    assert settings["lr"] == pytest.approx(default["lr"] * (1 - default["beta"]), rel=1e-15)
    with pytest.raises(ValueError, match="quasi_hyperbolic"):  # nu is 0.7 by default: neither family
        convert(QHM, rules.momentum_ema, {}, begin((2,)), {"m": begin((2,))})


def test_a_bound_rule_is_the_rule():
    source = rules.momentum_ema.bind(lr=0.5)
    settings, _, _ = convert(source, rules.momentum_ema, {}, begin((2,)), {"v": begin((2,))})
    assert settings["lr"] == 0.5
