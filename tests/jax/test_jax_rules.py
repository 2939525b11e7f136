"""Every rule of the catalogue under JAX against the float64 oracle."""

import functools

import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from transformed import apart, by_oracle, fed, scanned, trace_of  # noqa: E402

import descend.jax as dj  # noqa: E402
from descend import chain, rules  # noqa: E402
from descend.checks.traces import begin, gradients, settings_of  # noqa: E402
from descend.engines import load  # noqa: E402
from descend.engines.base import Row  # noqa: E402

ALL = rules.all()
CHAINS = {
    "clipped": chain(rules.clip_norm(0.5), rules.decay_l2(1e-2), rules.adamw),
    "per tensor": chain(rules.clip_tensor(0.5), rules.adaptive_clip, rules.momentum_accumulation),
    "averaged": chain(rules.centralize, rules.nadam, rules.cautious, rules.cautious_weight_decay, rules.ema),
    "ahead": chain(rules.clip_value(0.5), rules.negate, rules.lion, rules.lookahead, rules.swa),
    "muon and vectors": chain(rules.clip_norm(0.5), rules.muon, rules.cautious, rules.ema),
}
# float32 against float64 after 30 steps, relative to the largest number of a tensor. One rounding of p per step comes
# to 5e-7. Shampoo's inverse roots and schedule-free SGD's weights (lr = 1 on gradients of 100) multiply it.
# CAME's product of row and column is 0 / 0 in float32 while a tensor has had no gradient, so it always gets one.
# prodigy_tensor: in its first steps a tensor moves by 1e-6, of which a float32 p near 1 keeps four bits, and
# p0 - p decides on d (the oracle with p alone rounded to float32 ends 9e-6 off, d by 3 %).
FLOAT32, MORE = 6e-7, {"shampoo": 2e-6, "soap": 2e-6, "schedule_free_sgd": 4e-6, "prodigy_tensor": 5e-6}
FLOAT64 = 1e-12


@pytest.mark.parametrize("name", ALL)
def test_a_transformation_equals_the_oracle_in_float64(name):
    rule = ALL[name]
    trace = trace_of(rule)
    settings = list(settings_of(rule))[2]  # nothing is zero or hides
    with jax.enable_x64(True):
        p, state = scanned(getattr(dj, name)(**settings), rule, jnp.float64, trace)
    expected = by_oracle(rule, trace, **settings)
    assert apart(p, expected["p"]) <= FLOAT64
    for slot in rule.slots:
        ours = state.slots[slot.saved_as]
        ours = list(np.broadcast_to(ours, len(p))) if slot.init.is_number else ours
        assert apart([np.asarray(x) for x in ours], [np.asarray(x) for x in expected[slot.name]]) <= FLOAT64, slot.name


@functools.cache
def by_default(name):
    """A trace of a rule, and the parameters at its end by the oracle with the rule's own settings."""
    trace = trace_of(ALL[name], holes=name != "came")
    return trace, by_oracle(ALL[name], trace)["p"]


# One of each kind; for the others float32 differs from float64 in nothing but rounding.
FAST = ["adamw", "lion", "adagrad", "nadam", "lamb", "prodigy", "adafactor", "muon", "schedule_free_adamw", "came"]


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in ALL])
def test_a_stepper_equals_the_oracle_in_float32(name):
    rule = ALL[name]
    (start, grads), expected = by_default(name)
    stepper = dj.Stepper(rule)
    p = [jnp.asarray(x, jnp.float32) for x in start]
    state = fed(rule, stepper.init(p))
    for g in grads:
        p, state = stepper.step(p, [jnp.asarray(x, jnp.float32) for x in g], state)
    assert apart([np.asarray(x, np.float64) for x in p], expected) <= MORE.get(name, FLOAT32)


@pytest.mark.slow  # the same arithmetic as the two above, compiled once more per rule
@pytest.mark.parametrize("name", ALL)
def test_a_transformation_equals_the_oracle_in_float32(name):
    rule = ALL[name]
    trace, expected = by_default(name)
    p, _ = scanned(getattr(dj, name)(), rule, jnp.float32, trace)
    assert apart(p, expected) <= MORE.get(name, FLOAT32)


def by_oracle_in_groups(rule, start, grads):
    """The oracle on matrices and vectors at once: the rule for each, and sums that span both."""
    works = []
    for members in ([i for i, x in enumerate(start) if x.ndim > 1], [i for i, x in enumerate(start) if x.ndim < 2]):
        own = rule.of(start[members[0]].shape)
        works.append((members, begin(own, [start[i] for i in members], dict(own.settings))))
    step = load("numpy").prepare([work for _, work in works])
    for t, g in enumerate(grads, 1):
        for members, work in works:
            work.arrays["g"] = [np.array(g[i]) for i in members]
            work.rows = [Row(t, dict(work.rule.settings))]
        step(1)
    found = {i: x for members, work in works for i, x in zip(members, work.arrays["p"], strict=True)}
    return [found[i] for i in range(len(start))]


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_equals_the_oracle_on_matrices_and_vectors(name):
    rule = CHAINS[name]
    trace = gradients(((4, 3), (5,), (), (3, 3)), 20)
    with jax.enable_x64(True):
        p, _ = scanned(dj.transform(rule), rule, jnp.float64, trace)
    assert apart(p, by_oracle_in_groups(rule, *trace)) <= 1e-12


@pytest.mark.parametrize("name", ["adamw", "prodigy", "muon"])
def test_bfloat16_is_stepped_in_float32(name):
    rule = ALL[name]
    start, grads = trace_of(rule, 10)
    p = [jnp.asarray(x, jnp.bfloat16) for x in start]
    tx, stepper = getattr(dj, name)(lr=0.1), dj.Stepper(rule, lr=0.1)
    g = [jnp.asarray(x, jnp.bfloat16) for x in grads[0]]
    updates, state = jax.jit(tx.update)(g, tx.init(p), p)
    assert {u.dtype for u in updates} == {jnp.dtype(jnp.bfloat16)}
    assert {x.dtype for x in jax.tree.leaves(state)} <= {jnp.dtype(jnp.float32), jnp.dtype(jnp.int32)}
    wide = [x.astype(jnp.float32) for x in p]
    exact, _ = jax.jit(tx.update)([x.astype(jnp.float32) for x in g], tx.init(wide), wide)
    for u, e in zip(updates, exact, strict=True):
        assert (u == e.astype(jnp.bfloat16)).all()
    once = [(x + e).astype(jnp.bfloat16) for x, e in zip(wide, exact, strict=True)]
    stepped, _ = stepper.step(p, g, stepper.init(p))
    for q, o in zip(stepped, once, strict=True):
        assert (q == o).all()


def test_an_update_keeps_digits_that_the_parameters_do_not_have():
    p, g = jnp.full(3, 1000.0), jnp.full(3, 1e-3)
    updates, _ = dj.gradient_descent(lr=0.1).update(g, dj.gradient_descent().init(p), p)
    np.testing.assert_allclose(updates, -1e-4, rtol=1e-6)  # 1000 - 1e-4 is 1000 in float32
    updates, _ = dj.adamw(lr=1e-6, weight_decay=1e-2).update(jnp.zeros(3), dj.adamw().init(p), p)
    np.testing.assert_allclose(updates, -1e-5, rtol=1e-6)  # so is 1 - lr * weight_decay 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_engine_steps_numpy_arrays(dtype):
    for name in ("lamb", "prodigy"):
        x, grads = gradients(((4, 3), (3, 3)), 10)
        results = []
        for engine in ("numpy", "jax"):
            work = begin(ALL[name], x, dict(ALL[name].settings))
            work.arrays = {k: [np.array(a, dtype) for a in v] for k, v in work.arrays.items()}
            work.arrays["g"] = [np.array(g, dtype) for g in grads[0]]
            step = load(engine).prepare([work], guard=True)
            for t, g in enumerate(grads, 1):
                for array, value in zip(work.arrays["g"], g, strict=True):
                    array[...] = value
                work.rows = [Row(t, dict(ALL[name].settings))]
                assert step(1)
            before = [a.copy() for a in work.arrays["p"]]
            work.arrays["g"][0][...] = np.nan
            assert not step(1)
            assert all((a == b).all() for a, b in zip(before, work.arrays["p"], strict=True))
            results.append(before)
        assert apart(*results) <= {"float64": 1e-12, "float32": 5e-6}[dtype], name
