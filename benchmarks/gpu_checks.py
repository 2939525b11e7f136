"""What ``gpu.py`` checks before it measures: every rule on the device against the float64 oracle on the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from descend.checks.traces import begin, gradients
from descend.core.rule import Rule
from descend.engines import load
from descend.engines.base import Row, Work

CHECKED = ((4, 3), (5,), (), (1,), (0,), (1029,), (1024,), (300, 1000))
# They take the distance of p from where it started: any float32 engine is far from the oracle (tests/triton_engine).
CANCELLING = ("dog", "dowg", "prodigy", "prodigy_tensor", "dadapt_adam")


def engine() -> Any:
    from descend.engines.triton.engine import ENGINE

    return ENGINE


def prepared(rule: Rule, start: list[np.ndarray] | list[tuple[int, ...]], dtype: str, device: str) -> Work:
    """A Work on the device, from arrays or, with random numbers, from shapes."""
    kind, wide = getattr(torch, dtype), torch.float64 if dtype == "float64" else torch.float32
    if start and isinstance(start[0], tuple):
        start = [np.random.default_rng(0).normal(size=1).repeat(int(np.prod(shape))) for shape in start]
    work = begin(rule, [torch.tensor(a).to(kind).double().numpy() for a in start], dict(rule.settings))
    work.dtype = dtype
    arrays = {n: [torch.tensor(a).to(kind if n == "p" else wide).to(device) for a in v] for n, v in work.arrays.items()}
    work.arrays = arrays | {"g": [torch.randn(np.shape(a), device=device).to(kind) for a in start]}
    numbers: Any = {n: torch.tensor(a).to(device) for n, a in work.numbers.items()}  # where nothing waits for them
    work.numbers = numbers
    work.rows = [Row(1, dict(rule.settings))]
    work.addresses = np.array([[a.data_ptr() for a in work.arrays[n]] for n in work.names], np.int64)
    return work


def distance(rule: Rule, dtype: str, device: str, steps: int, capturable: bool, shapes: Any) -> float:
    """Units in the last place of p between the engine and the float64 oracle after some steps."""
    start, grads = gradients(shapes, steps)
    ours = prepared(rule, start, dtype, device)
    exact = begin(rule, [a.cpu().double().numpy().copy() for a in ours.arrays["p"]], dict(rule.settings))
    step, reference = engine().prepare([ours], False, capturable), load("numpy").prepare([exact])
    kind = ours.arrays["p"][0].dtype
    for t, values in enumerate(grads, 1):
        for g, value in zip(ours.arrays["g"], values, strict=True):
            g.copy_(torch.tensor(value))
        exact.arrays["g"] = [g.cpu().double().numpy() for g in ours.arrays["g"]]
        ours.rows[0].t = exact.rows[0].t = t
        step(1)
        reference(1)
        if dtype in ("bfloat16", "float16"):
            exact.arrays["p"] = [torch.tensor(a).to(kind).double().numpy() for a in exact.arrays["p"]]
    info, worst = torch.finfo(kind), 0.0
    for x, y in zip(exact.arrays["p"], ours.arrays["p"], strict=True):
        if x.size:
            scale = max(np.abs(x).max(), info.smallest_normal) * info.eps
            worst = max(worst, float(np.abs(x - y.cpu().double().numpy()).max() / scale))
    return worst


def replayed(rule: Rule, device: str) -> bool:
    """Whether three replays of a captured step leave the bits of three ordinary steps."""
    made = []
    for capture in (False, True):
        torch.manual_seed(0)
        work = prepared(rule, [np.full(shape, 0.5) for shape in CHECKED], "float32", device)
        step = engine().prepare([work], False, True)
        step(1)
        if capture:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step(1)
        for _ in range(3):
            graph.replay() if capture else step(1)
        made.append([a.clone() for n, v in work.arrays.items() if n != "g" for a in v])
    return all(torch.equal(a, b) for a, b in zip(*made, strict=True))


def check(device: str, chosen: dict[str, Rule], shapes: Any = CHECKED) -> Iterator[tuple[str, str, bool]]:
    """(rule, what was found, whether it is right) for every rule and type."""
    for name, rule in chosen.items():
        for dtype, steps, bound in (("float32", 6, 16.0), ("bfloat16", 2, 2.0), ("float16", 2, 2.0)):
            if name in CANCELLING and dtype == "float32":
                bound = 1 << 13
            for capturable in (False, True):
                found = distance(rule, dtype, device, steps, capturable, shapes)
                yield name, f"{dtype}{' capturable' if capturable else ''} {found:.1f} units", found <= bound
        if device != "cpu":
            yield name, "replay of a CUDA graph", replayed(rule, device)
