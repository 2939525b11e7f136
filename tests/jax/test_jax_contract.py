"""What optax asks of a gradient transformation, of rules of every kind: elementwise, with norms, of matrices."""

import pickle

import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import descend.jax as dj  # noqa: E402
from descend import chain, rules  # noqa: E402

PARAMS = {"w": jnp.linspace(-1.0, 1.0, 12).reshape(4, 3), "b": jnp.ones(3), "none": None, "scale": jnp.float32(2.0)}
GRADS = jax.tree.map(lambda p: jnp.cos(7 * p), PARAMS)
TX = {
    "adamw": dj.adamw(),
    "lamb": dj.lamb(),
    "nadam": dj.nadam(),
    "prodigy": dj.prodigy(),
    "adan": dj.adan(),
    "muon": dj.muon(),
    "adafactor": dj.adafactor(),
    "psgd_kron": dj.psgd_kron(),
    "schedule_free_adamw": dj.schedule_free_adamw(),
    "chain": dj.transform(chain(rules.clip_norm(0.5), rules.adamw, rules.cautious, rules.ema)),
}
every = pytest.mark.parametrize("name", TX)
few = pytest.mark.parametrize("name", ["adamw", "chain", "muon"])


def stepped(tx, params=PARAMS, grads=GRADS, state=None, steps=3):
    state = tx.init(params) if state is None else state
    update = jax.jit(tx.update)
    for _ in range(steps):
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def same(a, b, rtol=0.0):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)


@every
def test_the_second_step_compiles_nothing_and_keeps_shapes_and_types(name):
    traced = 0

    def counted(grads, state, params):
        nonlocal traced
        traced += 1
        return TX[name].update(grads, state, params)

    update, params, state = jax.jit(counted), PARAMS, TX[name].init(PARAMS)
    kinds = jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), state)
    for _ in range(3):
        updates, state = update(GRADS, state, params)
        params = optax.apply_updates(params, updates)
        assert jax.tree.map(lambda x: (x.shape, x.dtype, x.weak_type), state) == kinds
    assert traced == 1
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(state))
    assert int(state.count) == 3


@every
def test_a_resumed_run_goes_on_to_the_same_bits(name):
    params, state = stepped(TX[name])
    leaves, structure = jax.tree.flatten(state)
    step = jax.jit(TX[name].update)
    for again in (pickle.loads(pickle.dumps(state)), jax.tree.unflatten(structure, [np.asarray(x) for x in leaves])):
        same(step(GRADS, again, params), step(GRADS, state, params))


@few
def test_scan_and_donated_buffers_give_the_bits_of_a_loop(name):
    tx = TX[name]

    def step(carried, _):
        params, state = carried
        updates, state = tx.update(GRADS, state, params)
        return (optax.apply_updates(params, updates), state), None

    looped = stepped(tx)
    (params, state), _ = jax.jit(lambda c: jax.lax.scan(step, c, None, length=3))((PARAMS, tx.init(PARAMS)))
    same((params, state), looped, rtol=1e-6)
    donated = jax.jit(lambda c: step(c, None)[0], donate_argnums=0)
    carried = (jax.tree.map(jnp.copy, PARAMS), tx.init(PARAMS))
    for _ in range(3):
        before, carried = carried, donated(carried)
        assert all(x.is_deleted() for x in jax.tree.leaves(before))
    same(carried, looped, rtol=1e-6)


@few
def test_vmap_steps_each_of_a_stack(name):
    tx, count = TX[name], 3
    many = jax.tree.map(lambda p: jnp.stack([p * (k + 1) for k in range(count)]), PARAMS)
    grads = jax.tree.map(lambda p: jnp.cos(7 * p), many)
    updates, _ = jax.jit(jax.vmap(lambda g, p: tx.update(g, tx.init(p), p)))(grads, many)
    for k in range(count):
        own = jax.tree.map(lambda p, k=k: p[k], many)
        one, _ = jax.jit(tx.update)(jax.tree.map(lambda g, k=k: g[k], grads), tx.init(own), own)
        same(jax.tree.map(lambda u, k=k: u[k], updates), one, rtol=1e-5)


def test_it_stands_between_other_transformations():
    def between(adam):
        decayed = optax.chain(optax.scale(2.0), optax.add_decayed_weights(0.1))
        return optax.chain(decayed, adam, optax.scale(-0.5), optax.keep_params_nonnegative())

    params = jax.tree.map(jnp.abs, PARAMS)
    same(stepped(between(dj.adam()), params)[0], stepped(between(optax.adam(1e-3)), params)[0], rtol=1e-5)


def test_settings_are_injected_read_and_changed():
    made = optax.inject_hyperparams(dj.adamw)(lr=optax.linear_schedule(0.1, 0.0, 10), beta1=0.8)
    plain = dj.adamw(lr=optax.linear_schedule(0.1, 0.0, 10), beta1=0.8)
    ours, state = stepped(made)
    same(ours, stepped(plain)[0], rtol=1e-6)
    np.testing.assert_allclose(state.hyperparams["lr"], 0.08, rtol=1e-6)
    state.hyperparams["weight_decay"] = jnp.asarray(0.5)
    changed, _ = stepped(made, state=state, steps=1)
    assert not np.allclose(changed["w"], stepped(made, state=stepped(made)[1], steps=1)[0]["w"])


def first(tx):
    return jax.jit(tx.update)(GRADS, tx.init(PARAMS), PARAMS)[0]


def test_parts_of_a_tree_have_their_own_rules():
    mask = {"w": True, "b": False, "none": None, "scale": False}
    labels = {"w": "a", "b": "b", "none": None, "scale": "b"}
    updates, only = first(dj.muon()), first(optax.masked(dj.muon(), mask))
    both = first(optax.multi_transform({"a": dj.muon(), "b": dj.lion()}, labels))
    # Five Newton-Schulz steps multiply small singular values, and their rounding, by up to 3.4445**5 = 485.
    np.testing.assert_allclose(only["w"], updates["w"], rtol=1e-4)
    np.testing.assert_allclose(both["w"], updates["w"], rtol=1e-4)
    same(only["b"], GRADS["b"])
    same(both["b"], first(dj.lion())["b"])


WRAPPERS = {
    "MultiSteps": lambda tx: optax.MultiSteps(tx, 2),
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 3),
    "flatten": optax.flatten,
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_of_optax_take_it(wrapper):
    ours, theirs = (WRAPPERS[wrapper](tx) for tx in (dj.adam(), optax.adam(1e-3)))
    params, state = stepped(ours)
    same(params, stepped(theirs)[0], rtol=1e-6)
    assert jax.tree.structure(state) == jax.tree.structure(ours.init(PARAMS))


def test_state_is_found_by_name_and_mapped_like_parameters():
    state = optax.chain(optax.clip(1.0), dj.nadam()).init(PARAMS)
    same(optax.tree.get(state, "exp_avg"), jax.tree.map(jnp.zeros_like, PARAMS))
    mapped = optax.tree.map_params(dj.nadam(), lambda x: x + 7, dj.nadam().init(PARAMS))
    assert mapped.slots["exp_avg"]["b"].tolist() == [7.0] * 3
    assert mapped.slots["mu_product"].tolist() == [[1.0, 0.0]] * 3


@every
def test_nothing_to_step_is_no_error(name):
    tx = TX[name]
    for empty in ({}, {"none": None}, {"w": jnp.zeros((0, 3))}):
        updates, state = jax.jit(tx.update)(empty, tx.init(empty), empty)
        same(updates, empty)
        assert jax.tree.structure(state) == jax.tree.structure(tx.init(empty))


@few
def test_a_leaf_without_gradient_stays_and_keeps_its_state(name):
    tx = TX[name]
    params, state = stepped(tx)
    updates, after = jax.jit(tx.update)({**GRADS, "w": None}, state, params)
    assert updates["w"] is None
    for slot, tree in after.slots.items():
        if isinstance(tree, dict) and tree["w"] is not None:
            same(tree["w"], state.slots[slot]["w"])


def refusals():
    adamw, state = dj.adamw(), dj.adamw().init(PARAMS)
    yield ValueError, "adamw needs the parameters", lambda: adamw.update(GRADS, state)
    yield ValueError, "differ in structure", lambda: adamw.update({"w": GRADS["w"]}, state, PARAMS)
    yield ValueError, "differ in shape", lambda: adamw.update({**GRADS, "b": GRADS["w"]}, state, PARAMS)
    yield ValueError, "lion has exp_avg", lambda: dj.lion().update(GRADS, state, PARAMS)
    yield ValueError, "lr must not be negative", lambda: dj.adamw(lr=-1.0)
    yield ValueError, "lr must be one number", lambda: dj.adamw(lr=jnp.ones(3))
    yield TypeError, "Did you mean 'lr'", lambda: dj.adamw(lrr=1.0)
    yield TypeError, "modifier needs chain", lambda: dj.transform(rules.clip_norm)
    yield TypeError, r"\['i'\] is int32", lambda: adamw.init({"i": jnp.arange(3)})
    yield TypeError, "complex64", lambda: adamw.init([jnp.ones(3, jnp.complex64)])
    yield TypeError, "Stepper", lambda: jax.jit(dj.adamw(lr=lambda k: 1 / float(k + 1)).update)(GRADS, state, PARAMS)
    yield AttributeError, "Did you mean 'adamw'", lambda: dj.adamww
    yield ValueError, "holds 2 states", lambda: dj.shipped(adamw, (state, state), PARAMS)


@pytest.mark.parametrize(("kind", "says", "call"), list(refusals()), ids=lambda x: x if isinstance(x, str) else "")
def test_a_mistake_is_named(kind, says, call):
    with pytest.raises(kind, match=says):
        call()
