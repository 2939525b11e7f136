"""Works for the Triton engine, on the CPU, and the oracle's results beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from descend.checks.traces import begin, gradients
from descend.core.rule import Rule
from descend.engines import load
from descend.engines.base import Row, Work

SHAPES = ((4, 3), (5,), (), (1,), (0,), (1029,), (1024,))  # the last but one: a chunk and a rest
STEPS = 6
ULP = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}


def tensors(rule: Rule, start: list[np.ndarray], dtype: str, settings: dict[str, Any] | None = None) -> Work:
    """A Work of torch tensors on the CPU at ``start``, with gradients to be filled."""
    settings = settings or dict(rule.settings)
    work = begin(rule, rounded(start, dtype), settings)  # state that copies p copies what dtype holds
    work.dtype = dtype
    kind, state = getattr(torch, dtype), torch.float64 if dtype == "float64" else torch.float32
    work.arrays = {n: [torch.tensor(a).to(kind if n == "p" else state) for a in v] for n, v in work.arrays.items()}
    work.arrays["g"] = [torch.zeros(a.shape, dtype=kind) for a in start]
    work.rows = [Row(1, settings)]
    point(work)
    return work


def point(work: Work) -> None:
    work.addresses = np.array([[a.data_ptr() for a in work.arrays[n]] for n in work.names], np.int64)


def results(work: Work) -> dict[str, list[np.ndarray]]:
    arrays = {n: [np.asarray(a, np.float64) for a in v] for n, v in work.numbers.items()}
    for n, items in work.arrays.items():
        arrays[n] = [a.double().numpy() if isinstance(a, torch.Tensor) else np.asarray(a, np.float64) for a in items]
    arrays.pop("g", None)
    return arrays


def feed(work: Work, values: list[np.ndarray]) -> None:
    for g, value in zip(work.arrays["g"], values, strict=True):
        if isinstance(g, torch.Tensor):
            g.copy_(torch.tensor(value))
        else:
            g[...] = value


def rounded(values: list[np.ndarray], dtype: str) -> list[np.ndarray]:
    """The float64 numbers nearest to ``values`` that ``dtype`` holds."""
    return [torch.tensor(a).to(getattr(torch, dtype)).double().numpy() for a in values]


def triton(rule: Rule, dtype: str, steps: int = STEPS, capturable: bool = False, guard: bool = False) -> Work:
    """A Work after some steps of the Triton engine."""
    start, grads = gradients(SHAPES, steps)
    work = tensors(rule, start, dtype)
    step = load_triton().prepare([work], guard, capturable)
    for t, g in enumerate(grads, 1):
        feed(work, g)
        if not capturable:
            work.rows[0].t = t
        assert step(1)
    return work


def load_triton() -> Any:
    from descend.engines.triton.engine import ENGINE

    return ENGINE


def oracle(rule: Rule, dtype: str, steps: int = STEPS) -> Work:
    """The same steps in float64, from the same numbers as ``dtype`` holds them; p is rounded to it after each step."""
    start, grads = gradients(SHAPES, steps)
    work = begin(rule, rounded(start, dtype), dict(rule.settings))
    work.arrays["g"] = [np.zeros(a.shape) for a in start]
    step = load("numpy").prepare([work])
    for t, g in enumerate(grads, 1):
        feed(work, rounded(g, dtype))
        work.rows[0].t = t
        step(1)
        if dtype in ("bfloat16", "float16"):
            work.arrays["p"] = rounded(work.arrays["p"], dtype)
    return work


def on_cpu(rule: Rule, steps: int = STEPS) -> Work:
    """The same steps by the CPU engine in float32."""
    start, grads = gradients(SHAPES, steps)
    work = begin(rule, start, dict(rule.settings))
    work.dtype = "float32"
    work.arrays = {n: [np.array(a, np.float32) for a in v] for n, v in work.arrays.items()}
    work.arrays["g"] = [np.zeros(a.shape, np.float32) for a in start]
    work.addresses = np.array([[a.ctypes.data for a in work.arrays[n]] for n in work.names], np.int64)
    step = load("llvm").prepare([work])
    for t, g in enumerate(grads, 1):
        feed(work, g)
        work.rows[0].t = t
        step(1)
    return work


def apart(expected: Work, found: Work, dtype: str, only: str | None = None) -> float:
    """The largest difference, in units in the last place (of ``dtype``) of the tensor's largest number."""
    worst, theirs = 0.0, results(found)
    smallest = torch.finfo(getattr(torch, dtype)).smallest_normal
    for name, items in results(expected).items():
        if only is not None and name != only:
            continue
        for x, y in zip(items, theirs[name], strict=True):
            if x.size:
                if not np.array_equal(np.isfinite(x), np.isfinite(y)):
                    return float("inf")
                worst = max(worst, float(np.abs(x - y).max() / max(np.abs(x).max(), smallest)))
    return worst / ULP[dtype]
