"""Every engine against the oracle, and the promises about bits."""

import numpy as np
import pytest
import torch

from descend import after, chain, maximum, norm, rule, rules, sign, sqrt, tanh, where, zeros
from descend.checks.contract.run import select
from descend.checks.traces import begin, gradients
from descend.core import ops
from descend.engines import load
from descend.engines.arrays import address
from descend.engines.base import Row
from descend.optimizer import Optimizer
from descend.torch import AdamW

SHAPES = ((4, 3), (5,), (), (0,), (40_000,))
MATRICES = ((4, 4), (3, 3))
CLIPPED = chain(rules.clip_norm.bind(max_norm=0.5), rules.decay_l2, rules.adamw)


@rule
def vocabulary(p, g, a=zeros, b=zeros, *, t, lr=1e-2):
    """Every word of the vocabulary in one rule."""
    a = where(g * a > 0, 1.2, where(g * a < 0, -0.5, a)) + maximum(g, -1.0) * tanh(g)
    b = sign(g) + ops.minimum(abs(b), 3.0) + ops.exp(-abs(g)) + ops.log(1 + g * g) + ops.mean(g) + (1 + g * g) ** 0.25
    p = p - lr * a / (sqrt(norm(b) + 1) + norm(g, over="all")) - 1e-3 * where(ops.isfinite(b), b, 0.0) / t
    return p, a, b


RULES = {**rules.all(), "clipped": CLIPPED, "vocabulary": vocabulary}


def plain(a):
    return a.numpy() if isinstance(a, torch.Tensor) else np.asarray(a)


def run(name, engine, dtype, threads=1, steps=20, guard=False, start=None):
    """p and state after some steps; the same gradients for every engine."""
    rule = RULES[name]
    x, grads = gradients(SHAPES if rule.vectors is None else MATRICES, steps, holes=name != "soap")
    work = begin(rule, x, dict(rule.settings))
    work.dtype = dtype
    convert = (
        (lambda a: torch.tensor(a, dtype=getattr(torch, dtype)))
        if engine == "torch"
        else (lambda a: np.array(a, dtype))
    )
    work.arrays = {k: [convert(a) for a in v] for k, v in work.arrays.items()}
    work.arrays["g"] = [convert(g) for g in grads[0]]
    made = load(engine)
    if made.on_memory:
        address(work)
    step = made.prepare([work], guard)
    for t, g in enumerate(grads, 1):
        for array, value in zip(work.arrays["g"], g, strict=True):
            array[...] = convert(value)
        work.rows = [Row(t, dict(rule.settings))]
        assert step(threads)
    return {k: [plain(a) for a in v] for k, v in work.arrays.items() if k != "g"}


def apart(a, b):
    """The largest difference of two results, in units in the last place of the tensor's largest number."""
    worst = 0.0
    for name in a:
        for x, y in zip(a[name], b[name], strict=True):
            if x.size:
                ulp = np.spacing(np.abs(x).max().astype(y.dtype))
                worst = np.maximum(worst, np.abs(x - y.astype(np.float64)).max() / ulp)  # NaN stays NaN, unlike max
    return float(worst)


# Units in the last place after 20 steps. Rounding happens once per operation; centring subtracts
# nearly equal numbers, and the vocabulary rule adds up a dozen words.
# Schedule-free RAdam starts where ρ - 4 is the small difference of numbers near 2000.
BOUND = {"rmsprop_centered": 64, "rmsprop_centered_momentum": 64, "vocabulary": 64, "schedule_free_radam": 1 << 14}
# Products of matrices and eigenvectors are computed by different libraries, in different orders.
BOUND |= {"muon_polar_express": 64, "soap": 64, "shampoo": 1 << 10}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("engine", ["llvm", "torch"])
def test_engine_equals_the_oracle(name, engine):
    if load(engine).refuses(RULES[name], "float64"):
        assert RULES[name].vectors is not None, "only rules for matrices do without the fused engine"
        assert engine == "llvm"
        return
    assert apart(run(name, "numpy", "float64"), run(name, engine, "float64")) <= BOUND.get(name, 16)


@pytest.mark.parametrize("name", ["adamw", "rmsprop", "lion", "nesterov_rewritten", "clipped"])
def test_engine_equals_the_oracle_in_float32(name):
    oracle = run(name, "numpy", "float64")
    assert apart(oracle, run(name, "llvm", "float32")) <= 64


@pytest.mark.parametrize("name", ["adamw", "clipped", "vocabulary"])
def test_bits_do_not_depend_on_threads(name):
    one = run(name, "llvm", "float32", threads=1)
    for threads in (2, 5):
        other = run(name, "llvm", "float32", threads=threads)
        assert all(np.array_equal(x, y) for k in one for x, y in zip(one[k], other[k], strict=True))


def test_the_guard_leaves_everything_as_it_was():
    for engine in ("numpy", "llvm"):
        x, _ = gradients(SHAPES, 1)
        work = begin(rules.adamw, x, dict(rules.adamw.settings))
        work.arrays["g"] = [np.ones_like(a) for a in x]
        work.arrays["g"][4][-1] = np.nan
        if engine == "llvm":
            address(work)
        work.rows = [Row(1, dict(rules.adamw.settings))]
        step = load(engine).prepare([work], True)
        assert not step(2)
        assert all(np.array_equal(a, b) for a, b in zip(work.arrays["p"], x, strict=True))
        work.arrays["g"][4][-1] = -np.inf
        assert not step(2)
        work.arrays["g"][4][-1] = 1e300
        assert step(2)
        assert not np.array_equal(work.arrays["p"][4], x[4])


def test_nan_follows_the_vocabulary_in_every_engine():
    @rule
    def odd(p, g, a=zeros, b=zeros, c=zeros, d=zeros):
        return (
            p - g,
            maximum(g, 1.0),
            ops.minimum(1.0, g),
            sign(g),
            where(g > 0, 1.0, where(g != g, 7.0, 2.0)),
        )

    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 2.0, -2.0])
    found = {}
    for engine in ("numpy", "llvm", "torch"):
        work = begin(odd, [np.zeros(7)], {})
        work.arrays["g"] = [values.copy()]
        if engine == "torch":
            work.arrays = {k: [torch.tensor(a) for a in v] for k, v in work.arrays.items()}
        if engine == "llvm":
            address(work)
        work.rows = [Row(1, {})]
        assert load(engine).prepare([work])(1)
        found[engine] = {k: plain(work.arrays[k][0]) for k in "abcd"}
    expected = {
        "a": [np.nan, np.inf, 1, 1, 1, 2, 1],
        "b": [np.nan, 1, -np.inf, 0, 0, 1, -2],
        "c": [np.nan, 1, -1, 0, 0, 1, -1],
        "d": [7, 1, 2, 2, 2, 1, 2],
    }
    for engine, state in found.items():
        for k, v in expected.items():
            assert np.array_equal(state[k], np.array(v, float), equal_nan=True), (engine, k, state[k])


def test_a_modifier_of_the_step_sees_both_ends():
    @after
    def halved(p, q, g):
        return p + 0.5 * (q - p)

    made = chain(rules.gradient_descent.bind(lr=1.0), halved)
    work = begin(made, [np.zeros(3)], dict(made.settings))
    work.arrays["g"] = [np.ones(3)]
    work.rows = [Row(1, dict(made.settings))]
    address(work)
    load("llvm").prepare([work])(1)
    assert np.array_equal(work.arrays["p"][0], np.full(3, -0.5))


def test_the_llvm_engine_may_be_asked_for_by_its_former_name():
    assert load("numba") is load("llvm")
    assert Optimizer("adam", [np.ones(3)], engine="numba").engine == "llvm"
    made = AdamW([torch.nn.Parameter(torch.ones(3))], engine="numba")
    assert made.engine == made._options["engine"] == "llvm"
    assert [check.name for check in select(["numba"])] == ["llvm"]


def test_an_unknown_engine_is_refused_by_name():
    with pytest.raises(ValueError, match=r"cuda.*numpy, torch, llvm"):
        load("cuda")
