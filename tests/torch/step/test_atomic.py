"""A step happens whole or not at all: bad gradients, clipping, exceptions, memory, interrupts."""

import gc
import signal

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from twins import (
    CLASSES,
    ENGINES,
    HALVES,
    STATEFUL,
    assert_close,
    feed,
    gradient,
    parameters,
    snapshot,
    theirs,
    train,
)

import descend.torch as ours

SHAPES = ((4,), (2, 3), (), (0,), (5,))


def build(name="Adam", engine="llvm", dtype=torch.float64, split=2, **settings):
    p = parameters(dtype, SHAPES)
    opt = getattr(ours, name)(
        [{"params": p[:split]}, {"params": p[split:]}],
        engine=engine,
        **{**STATEFUL.get(name, {}), **settings},
    )
    return opt, p


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("policy", "name", "dtype"),
    [("skip", name, torch.float32) for name in CLASSES]
    + [("skip", "Adam", dtype) for dtype in (torch.float64, *HALVES)]
    + [("raise", "Adam", torch.float32), ("raise", "SGD", torch.bfloat16)],
    ids=str,
)
def test_one_bad_gradient_anywhere_changes_nothing(policy, name, dtype, engine):
    opt, p = build(name, engine, dtype, nonfinite=policy)
    clean, q = build(name, engine, dtype)
    for done, bad in enumerate((float("nan"), float("inf"), -float("inf"))):
        for at in (0, 1, 2, 4):
            feed(p, done)
            p[at].grad.view(-1)[-1] = bad
            before = snapshot(opt)
            if policy == "skip":
                opt.step()
            else:
                with pytest.raises((ValueError, RuntimeError, FloatingPointError, ArithmeticError)) as refused:
                    opt.step()
                assert any(word in str(refused.value) for word in ("finite", "NaN", "nan"))
            assert snapshot(opt) == before, f"{bad} in parameter {at}"
        train(range(done, done + 1), (opt, p), (clean, q))
    assert snapshot(opt, p)[:2] == snapshot(clean, q)[:2]


@pytest.mark.parametrize("engine", ENGINES)
def test_skipping_before_the_first_step_makes_no_state(engine):
    opt, p = build(engine=engine, nonfinite="skip")
    feed(p, 0)
    p[4].grad[0] = float("nan")
    opt.step()
    assert not any(opt.state.values())
    clean, q = build(engine=engine)
    train(range(3), (opt, p), (clean, q))
    assert snapshot(opt, p)[:2] == snapshot(clean, q)[:2]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("size", [1e-9, 0.0, 1.0, 1e18])
@pytest.mark.parametrize("max_norm", [1.0, 0.01])
def test_clip_norm_is_torchs_over_all_groups(max_norm, size, dtype, engine):
    opt, p = build("SGD", engine, dtype, clip_norm=max_norm, lr=0.1)
    q = parameters(dtype, SHAPES)
    ref = theirs("SGD", q, lr=0.1, momentum=0.9)
    for t in range(4):
        for params in (p, q):
            feed(params, t)
            params[2].grad = None if t == 1 else params[2].grad
            for x in params:
                if x.grad is not None:
                    x.grad.mul_(size)
        torch.nn.utils.clip_grad_norm_(q, max_norm)
        opt.step()
        ref.step()
        assert_close((opt, p), (ref, q), 1e-14 if dtype is torch.float64 else 5e-7, f"step {t}:")


@pytest.mark.parametrize("engine", ENGINES)
def test_clip_norm_with_a_bad_gradient(engine):
    """One NaN makes the norm NaN: skip leaves all alone, propagate poisons all as torch does."""
    opt, p = build("SGD", engine, clip_norm=1.0, nonfinite="skip")
    loose, q = build("SGD", engine, clip_norm=1.0)
    for o, params in ((opt, p), (loose, q)):
        feed(params, 0)
        params[0].grad[0] = float("nan")
        before = snapshot(o)
        o.step()
        assert (snapshot(o) == before) is (o is opt)
    assert all(torch.isnan(x).all() for x in q)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("source", ["closure", "pre-hook", "global pre-hook"])
def test_an_exception_before_the_update_changes_nothing(source, engine):
    opt, p = build(engine=engine)
    train(range(2), (opt, p))
    feed(p, 2)

    def fail(*_):
        raise RuntimeError("mine")

    remove = lambda: None  # noqa: E731
    if source == "pre-hook":
        remove = opt.register_step_pre_hook(fail).remove
    elif source == "global pre-hook":
        remove = register_optimizer_step_pre_hook(fail).remove
    before = snapshot(opt)
    try:
        with pytest.raises(RuntimeError, match="mine"):
            opt.step(fail if source == "closure" else None)
    finally:
        remove()
    assert snapshot(opt) == before
    clean, q = build(engine=engine)
    train(range(2), (clean, q))
    train(range(2, 4), (opt, p), (clean, q))
    assert snapshot(opt)[:2] == snapshot(clean)[:2]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("at", range(len(SHAPES)))
def test_a_fault_at_any_position_changes_nothing(at, engine):
    opt, p = build(engine=engine)
    train(range(at % 2), (opt, p))  # with and without state
    feed(p, 5)
    p[at].data = torch.ones(3, 3, 3).double()
    before = snapshot(opt)
    with pytest.raises((ValueError, TypeError, RuntimeError)):
        opt.step()
    assert snapshot(opt) == before


class OutOfMemory(TorchDispatchMode):
    """The ``after``-th tensor to be allocated cannot be."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split(".")[0]
        if name.removesuffix("_like").removeprefix("new_") in (
            "empty",
            "zeros",
            "ones",
            "full",
            "clone",
            "empty_strided",
        ):
            self.left -= 1
            if self.left < 0:
                raise MemoryError(f"no memory for {name}")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_memory_that_runs_out_changes_nothing(name, engine):
    failures = 0
    for after in range(40):
        opt, p = build(name, engine)
        feed(p, 0)
        before = snapshot(opt)
        try:
            with OutOfMemory(after):
                opt.step()
        except MemoryError:
            failures += 1
            assert snapshot(opt) == before, f"allocation {after}"
            opt.step()
        clean, q = build(name, engine)
        train(range(1), (clean, q))
        assert snapshot(opt)[:2] == snapshot(clean)[:2], f"allocation {after}"
    assert failures, "no allocation was seen, so nothing was tested"


class Interrupted(Exception):
    pass


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
@pytest.mark.parametrize("engine", ENGINES)
def test_ctrl_c_at_any_moment_leaves_whole_steps(engine):
    shapes = [(60_000,)] * 4
    grads = [gradient(p, i) for i, p in enumerate(parameters(torch.float32, shapes))]

    def fresh():
        p = parameters(torch.float32, shapes)
        for x, g in zip(p, grads, strict=True):
            x.grad = g
        return ours.AdamW(p, lr=0.01, engine=engine), p

    def state(opt, p):
        return [hash(x.detach().numpy().tobytes()) for x in p] + [
            hash(v.numpy().tobytes()) if v.dim() else float(v) for x in p for v in opt.state[x].values()
        ]

    opt, p = fresh()
    opt.step()
    whole = [state(opt, p)]
    for _ in range(4):
        opt.step()
        whole.append(state(opt, p))

    armed = False

    def ring(*_):
        if armed:  # one that comes late, when the steps are over, interrupts nothing
            raise Interrupted

    old, stopped = signal.signal(signal.SIGALRM, ring), 0
    gc.disable()  # an exception in a callback of the collector, as Hypothesis has one, is swallowed by Python
    try:
        for trial in range(60):
            opt, p = fresh()
            opt.step()
            done, armed = 0, True
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.00005 * (trial + 1))
                for _ in range(4):
                    opt.step()
                    done += 1
                armed = False
            except Interrupted:
                stopped += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            armed = False
            assert state(opt, p) in whole[done : done + 2], f"trial {trial}: step {done} is torn"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        gc.enable()
    assert stopped > 5
