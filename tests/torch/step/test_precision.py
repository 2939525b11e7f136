"""Sixteen bits, zeros, overflow, underflow, NaN and infinities: where arithmetic goes wrong first."""

import platform

import pytest
import torch
from torch.nn import Parameter
from twins import (
    CLASSES,
    ENGINES,
    REFUSED,
    STATEFUL,
    TOLERANCE,
    assert_close,
    copies,
    distance,
    feed,
    gradient,
    parameters,
    theirs,
    twin,
    widen,
)

import descend.torch as ours
from descend.engines.llvm import machine


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", CLASSES)
def test_sixteen_bits_compute_in_float32_and_round_once(name, dtype, engine):
    settings = {"lr": 0.01, "weight_decay": 0.01, **STATEFUL.get(name, {})}
    p = parameters(dtype, ((40, 25), (), (0,)))
    opt = getattr(ours, name)(p, engine=engine, **settings)
    wide = [Parameter(x.detach().float()) for x in p]
    ref = theirs(name, wide, **settings)
    if engine == "llvm" and dtype is torch.float16 and not machine.halves():
        feed(p, 0)
        with pytest.raises(REFUSED, match="no F16C"):
            opt.step()
        return
    rounded_apart, peaks = 0, {}
    for t in range(40):
        feed(p, t)
        for x, w in zip(p, wide, strict=True):
            w.data.copy_(x.detach())  # teacher-forced, state below too: what was rounded apart must not count again
            w.grad = x.grad.float()
        opt.step()
        ref.step()
        for x, w in zip(p, wide, strict=True):
            expected = w.detach().to(dtype)
            spacing = torch.finfo(dtype).eps * expected.float().abs().clamp(min=1e-3)
            assert ((x.detach().float() - expected.float()).abs() <= spacing).all()
            rounded_apart += int((x.detach() != expected).sum())
        widen(peaks, ref, wide)
        for i, (x, w) in enumerate(zip(p, wide, strict=True)):
            for key, value in ref.state[w].items():
                if key != "step":
                    assert opt.state[x][key].dtype == torch.float32, key
                    assert distance(opt.state[x][key], value, peaks.get(f"{key} {i}", 1e-300)) <= 5e-7, (key, t)
                    value.copy_(opt.state[x][key])
    # A float32 ulp decides a rounding to bfloat16 once in 2**16 / few, to float16 once in 2**13 / few.
    assert rounded_apart <= (20 if dtype is torch.bfloat16 else 80), rounded_apart


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", CLASSES)
def test_zero_tiny_huge_and_infinite_gradients_as_torch(name, dtype, engine):
    """ε at v = 0, squares that underflow and overflow, NaN and infinities: as torch, place by place."""
    values = [0.0, -0.0, 1e-30, -1e-42, 1e-200, -1e30, float("inf"), -float("inf"), float("nan"), 1.0]
    p = [Parameter(torch.ones(len(values), dtype=dtype)), Parameter(torch.ones(3, dtype=dtype))]
    q = copies(p)
    settings = {"lr": 0.01, **({"momentum": 0.9} if name in ("SGD", "RMSprop") else {})}
    opt, ref = getattr(ours, name)(p, engine=engine, **settings), theirs(name, q, **settings)
    for t in range(3):
        for params in (p, q):
            params[0].grad = torch.tensor(values, dtype=dtype)
            params[1].grad = gradient(params[1], t)
        opt.step()
        ref.step()
        for i in range(len(values)):  # one by one: a huge neighbour must not hide an error
            where = f"gradient {values[i]} after {t + 1} steps"
            assert distance(p[0][i : i + 1], q[0][i : i + 1]) <= 2 * TOLERANCE[dtype], where
        assert_close((opt, p[1:]), (ref, q[1:]), TOLERANCE[dtype])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop"])
def test_gradients_whose_square_alone_overflows(name, engine):
    """At g = 3e19, g² is no float32 but (1 - β₂) g² is: torch takes a full step, not none."""
    mine, reference = twin(name, torch.float32, engine, lr=0.01)
    for opt, params in (mine, reference):
        for p in params:
            p.grad = torch.full_like(p, 3e19)
        opt.step()
    assert_close(mine, reference, 5e-7)


def test_without_instructions_for_float16_torch_steps_it(monkeypatch):
    """Kernels for a processor without F16C ended the process."""
    monkeypatch.setattr("descend.engines.llvm.machine.halves", lambda: False)
    for dtype, engine in ((torch.float16, "torch"), (torch.bfloat16, "llvm"), (torch.float32, "llvm")):
        p = Parameter(torch.ones(5, dtype=dtype))
        p.grad = torch.ones_like(p)
        opt = ours.AdamW([p])
        opt.step()
        assert opt.engine == engine


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="about x86")
@pytest.mark.parametrize(
    ("target", "able"),
    [
        (("x86-64", ""), False),
        (("x86-64", "+avx,-f16c"), False),
        (("x86-64", "+f16c"), True),
        (("x86-64-v3", ""), True),
    ],
)
def test_which_processors_convert_float16(target, able, monkeypatch):
    monkeypatch.setattr(machine, "processor", lambda: target)
    assert machine.halves.__wrapped__() is able
