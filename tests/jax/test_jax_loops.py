"""JAX in a training loop: the stepper, other points than the parameters, optax's numbers, and life without JAX."""

import subprocess
import sys

import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from transformed import apart, scanned, trace_of  # noqa: E402

import descend.jax as dj  # noqa: E402
from descend import chain, rules, schedules  # noqa: E402
from descend.optimizer import Optimizer  # noqa: E402

# Where no dialect differs; all others are compared in test_peers_optax.py, through the oracle.
OPTAX = {
    "gradient_descent": (dj.gradient_descent(lr=0.1), optax.sgd(0.1)),
    "momentum_accumulation": (dj.momentum_accumulation(lr=0.1), optax.sgd(0.1, momentum=0.9)),
    "nesterov_accumulation": (dj.nesterov_accumulation(lr=0.1), optax.sgd(0.1, momentum=0.9, nesterov=True)),
    "sign_sgd": (dj.sign_sgd(lr=0.1), optax.sign_sgd(0.1)),
    "adam": (dj.adam(lr=0.1), optax.adam(0.1)),
    "adamw": (dj.adamw(lr=0.1), optax.adamw(0.1, weight_decay=1e-2)),
    "lion": (dj.lion(lr=0.1), optax.lion(0.1, weight_decay=0.0)),
    "adagrad_eps_inside": (dj.adagrad_eps_inside(lr=0.1), optax.adagrad(0.1, initial_accumulator_value=0.0, eps=1e-7)),
    "adadelta": (dj.adadelta(lr=0.1), optax.adadelta(0.1)),
}


@pytest.mark.parametrize("name", OPTAX)
def test_optax_computes_the_same_in_float64(name):
    ours, theirs = OPTAX[name]
    trace = trace_of(rules.all()[name])
    with jax.enable_x64(True):
        mine, _ = scanned(ours, rules.all()[name], jnp.float64, trace)
        other, _ = scanned(theirs, rules.all()[name], jnp.float64, trace)
    assert apart(mine, other) <= 1e-12


def test_a_stepper_calls_schedules_of_plain_python_and_changes_settings_without_compiling():
    asked = []

    def lr(step):
        asked.append(step)
        return 0.1 / (1 + step)

    stepper = dj.Stepper(rules.adamw, lr=lr)
    p, array = {"w": jnp.ones((2, 3))}, [np.ones((2, 3), np.float32)]
    state, oracle = stepper.init(p), Optimizer(rules.adamw, array, engine="numpy", lr=lr)
    for step in range(6):
        if step == 3:
            stepper.set(weight_decay=0.5, beta2=0.9)
            oracle.rule = oracle.rule.bind(weight_decay=0.5, beta2=0.9)
        g = jnp.cos(p["w"])
        oracle.step([np.asarray(g)])
        p, state = stepper.step(p, {"w": g}, state)
    np.testing.assert_allclose(p["w"], array[0], rtol=1e-6)
    assert stepper._compiled._cache_size() == 1
    assert set(asked) == set(range(6))
    with pytest.raises(TypeError, match="no setting"):
        stepper.set(lrr=1.0)


def test_a_stepper_donates_and_goes_on_from_any_state():
    p = {"w": jnp.ones((2, 3)), "none": None}
    g = {"w": jnp.full((2, 3), 0.5), "none": None}
    stepper = dj.Stepper(rules.nadam, lr=schedules.linear_warmup(10))
    kept = dj.Stepper(rules.nadam, donate=False, lr=schedules.linear_warmup(10))
    old, state = dict(p), kept.init(p)
    p, state = kept.step(p, g, state)
    again = jax.tree.map(jnp.copy, state)
    copy = jax.tree.map(jnp.copy, p)
    second, _ = stepper.step(p, g, state)
    assert p["w"].is_deleted()
    assert not old["w"].is_deleted()
    other = dj.Stepper(rules.nadam, lr=schedules.linear_warmup(10))
    third, state = other.step(copy, g, again)  # it has never seen the first step
    np.testing.assert_array_equal(second["w"], third["w"])
    assert int(state.count) == 2


def test_averaging_rules_ship_their_average():
    p, g = {"w": jnp.ones((2, 3))}, {"w": jnp.full((2, 3), 0.5)}
    tx = dj.transform(chain(rules.gradient_descent, rules.ema), lr=0.1, decay=0.5)
    whole = optax.chain(optax.clip(1.0), tx)
    state = whole.init(p)
    for _ in range(2):
        updates, state = whole.update(g, state, p)
        p = optax.apply_updates(p, updates)
    np.testing.assert_allclose(dj.shipped(tx, state, p)["w"], 0.5 * (0.5 * 1 + 0.5 * 0.95) + 0.5 * 0.9, rtol=1e-6)
    free = dj.schedule_free_adamw(lr=0.1)
    state = free.init(p)
    updates, state = free.update(g, state, p)
    q = optax.apply_updates(p, updates)
    z = state.slots["z"]["w"]
    np.testing.assert_allclose(dj.shipped(free, state, q)["w"], (q["w"] - 0.1 * z) / 0.9, rtol=1e-5)
    assert jax.tree.structure(dj.shipped(free, state, q)) == jax.tree.structure(q)


def test_a_look_ahead_rule_says_where_its_gradient_is_taken():
    p, g = {"w": jnp.ones(3)}, {"w": jnp.full(3, 0.5)}
    tx = dj.nesterov_lookahead(lr=0.1, momentum=0.5)
    updates, state = tx.update(g, tx.init(p), p)
    p = optax.apply_updates(p, updates)
    np.testing.assert_allclose(jax.jit(lambda s, p: dj.gradient_point(tx, s, p))(state, p)["w"], 0.95 - 0.5 * 0.05)
    same = dj.gradient_point(dj.adam(), dj.adam().init(p), p)
    np.testing.assert_array_equal(same["w"], p["w"])


def test_the_numpy_optimizer_takes_the_engine():
    results = []
    for engine in ("numpy", "jax"):
        p = [np.linspace(-1, 1, 12).reshape(4, 3)]
        optimizer = Optimizer(rules.lamb, p, engine=engine, nonfinite="skip")
        for _ in range(5):
            assert optimizer.step([np.cos(p[0])])
        assert not optimizer.step([np.full((4, 3), np.nan)])
        results.append(p)
    assert apart(*results) <= 1e-14


def fresh(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


def test_without_jax_the_message_says_what_to_install():
    for missing in ("jax", "optax"):
        done = fresh(f"import sys; sys.modules[{missing!r}] = None; import descend.jax")
        assert "pip install 'descend[jax]'" in done.stderr.splitlines()[-1]


def test_importing_starts_no_backend_and_shadows_nothing():
    program = (
        "import descend.jax, jax, sys; from jax._src import xla_bridge; print(jax.jit is not None, "
        "'site-packages' in jax.__file__, xla_bridge.backends_are_initialized(), jax.config.jax_enable_x64)"
    )
    assert fresh(program).stdout.split() == ["True", "True", "False", "False"], fresh(program).stderr
