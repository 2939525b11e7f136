"""Pairs to compare: a torch optimizer and its descend twin, fed the same gradients.

This folder must never get an ``__init__.py``: it would shadow the real ``torch``.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.nn import Parameter

import descend.torch as ours
from descend.engines.llvm import machine

CLASSES = ("SGD", "Adagrad", "RMSprop", "Adam", "AdamW", "Lion")
TORCH_CLASSES = CLASSES[:-1]
ENGINES = ("llvm", "torch")
SHAPES = ((7, 5), (13,), (), (0, 3), (3, 2, 4))
HALVES = [torch.bfloat16] + [torch.float16] * machine.halves()  # the kernels' formats of 16 bits on this processor
REFUSED = (ValueError, TypeError, RuntimeError, NotImplementedError)
TOLERANCE = {torch.float64: 1e-14, torch.float32: 5e-7}
STATEFUL = {"SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9, "centered": True}}


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, Algorithm 2, line by line."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, *, maximize=False, foreach=None):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = -p.grad if group["maximize"] else p.grad
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                c = beta1 * m + (1 - beta1) * g
                sign = torch.where(c.isnan(), c, c.sign())  # torch alone says sign(NaN) = 0
                p.add_(sign + group["weight_decay"] * p, alpha=-group["lr"])
                m.mul_(beta2).add_(g, alpha=1 - beta2)


def theirs(name: str, params: Any, **settings: Any) -> torch.optim.Optimizer:
    """torch's own class, on the path torch calls the ground truth: one tensor after the other."""
    cls = Lion if name == "Lion" else getattr(torch.optim, name)
    return cls(params, foreach=False, **settings)


def parameters(dtype: torch.dtype = torch.float64, shapes: Any = SHAPES, seed: int = 0) -> list[Parameter]:
    g = torch.Generator().manual_seed(seed)
    return [Parameter(torch.randn(s, generator=g, dtype=torch.float64).to(dtype)) for s in shapes]


def copies(params: list[Parameter]) -> list[Parameter]:
    return [Parameter(p.detach().clone()) for p in params]


def gradient(like: torch.Tensor, seed: int) -> torch.Tensor:
    """Random signs, magnitudes evenly spread over the decades from 1e-4 to 1e2."""
    return _drawn(like.shape, seed).to(like.dtype, copy=True)


@functools.lru_cache(maxsize=10_000)
def _drawn(shape: torch.Size, seed: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    size = 10 ** (torch.rand(shape, generator=g, dtype=torch.float64) * 6 - 4)
    sign = torch.randint(0, 2, shape, generator=g) * 2 - 1
    return sign * size


def feed(params: list[Parameter], step: int) -> None:
    for i, p in enumerate(params):
        p.grad = gradient(p, 1000 * step + i)


def train(steps: range, *runs: tuple[torch.optim.Optimizer, list[Parameter]]) -> None:
    """The same steps for each optimizer; step t has the same gradients in every run."""
    for t in steps:
        for opt, params in runs:
            feed(params, t)
            opt.step()


def twin(name: str, dtype: torch.dtype = torch.float64, engine: str | None = None, **settings: Any) -> Any:
    """(descend's optimizer, its parameters), (torch's, its parameters), starting from the same numbers."""
    p = parameters(dtype)
    q = copies(p)
    extra = {} if engine is None else {"engine": engine}
    return (getattr(ours, name)(p, **settings, **extra), p), (theirs(name, q, **settings), q)


def distance(a: torch.Tensor, b: torch.Tensor, peak: float = 1e-300) -> float:
    """Largest difference, in units of the largest magnitude in ``b``, at least ``peak``; NaNs must agree.

    A single number may cross zero on its way, so it counts as at least 1: parameters start around 1 and
    gradients reach 100.
    """
    assert a.shape == b.shape, (a.shape, b.shape)
    a, b = a.detach().double(), b.detach().double()
    if not torch.equal(torch.isnan(a), torch.isnan(b)):
        return float("inf")
    same = (a == b) | torch.isnan(a)
    if same.all():
        return 0.0
    if not torch.isfinite(a[~same]).all() or not torch.isfinite(b[~same]).all():
        return float("inf")
    magnitude = b[torch.isfinite(b)].abs().max().clamp(min=max(peak, 1.0) if b.numel() == 1 else peak)
    return float((a - b)[~same].abs().max() / magnitude)


def widen(peaks: dict[str, float], opt: torch.optim.Optimizer, params: list[Parameter]) -> None:
    """Raise ``peaks``, the largest magnitude of every tensor so far, to what they are now."""
    for i, p in enumerate(params):
        for key, value in {"param": p, **opt.state[p]}.items():
            if isinstance(value, torch.Tensor) and value.numel():
                name = f"{key} {i}"
                peaks[name] = max(peaks.get(name, 1e-300), float(value.detach().abs().max()))


def distances(mine: Any, reference: Any, peaks: dict[str, float] | None = None) -> dict[str, float]:
    """Distance of every parameter and every state entry torch has, by name."""
    peaks = peaks or {}
    (opt, params), (ref, originals) = mine, reference
    found = {}
    for i, (p, q) in enumerate(zip(params, originals, strict=True)):
        found[f"param {i}"] = distance(p, q, peaks.get(f"param {i}", 1e-300))
        if not opt.state.get(p) and float(ref.state[q].get("step", 1)) == 0:
            continue  # torch's Adagrad makes its state early, descend makes it at the first gradient
        for key, value in ref.state[q].items():
            if value is None:
                continue
            assert key in opt.state[p], f"param {i} has no state {key!r}, only {list(opt.state[p])}"
            got = opt.state[p][key]
            if key == "step":
                found[f"step {i}"] = abs(float(got) - float(value))
            else:
                found[f"{key} {i}"] = distance(got, value, peaks.get(f"{key} {i}", 1e-300))
    return found


def assert_close(mine: Any, reference: Any, tolerance: float, when: str = "") -> None:
    far = {k: v for k, v in distances(mine, reference).items() if not v <= tolerance}
    assert not far, f"{when} beyond {tolerance}: {far}"


def bits(tensor: Any) -> Any:
    if not isinstance(tensor, torch.Tensor):
        return repr(tensor)
    flat = tensor.detach().cpu().resolve_neg().resolve_conj().contiguous().reshape(-1)
    return str(tensor.dtype), tuple(tensor.shape), flat.view(torch.uint8).numpy().tobytes()


def snapshot(opt: torch.optim.Optimizer, params: list[Parameter] | None = None) -> Any:
    """Every bit that a refused call must leave alone: parameters, state, settings of the groups."""
    params = [p for g in opt.param_groups for p in g["params"]] if params is None else params
    state = [{k: bits(v) for k, v in opt.state.get(p, {}).items()} for p in params]
    groups = [{k: bits(v) for k, v in g.items() if k != "params"} for g in opt.param_groups]
    return [bits(p) for p in params], state, groups


def refusal(call: Any) -> str | None:
    """The message of the refusal, or None where ``call`` went through. Anything but a refusal is a bug."""
    try:
        call()
    except REFUSED as error:
        return str(error) or f"a {type(error).__name__} without a word"
    return None


class Raises(torch.autograd.Function):
    """Passes its first argument on; its backward raises the second."""

    @staticmethod
    def forward(ctx, x, error):
        ctx.error = error
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        raise ctx.error
