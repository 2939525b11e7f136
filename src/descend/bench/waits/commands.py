"""What a person waits for besides steps: a schedule of a whole run, a check, a range test, a first step of many."""

import tempfile
import time

import numpy as np
import torch

from ... import schedules as s
from ...schedules import Schedule
from ..measures import Bar
from ..timing import CLOCK, interleaved, measured
from .start import cache_in, fresh

STEPS = 1_000_000
BUDGET = 0.6  # seconds
SCHEDULES: dict[str, Schedule] = {
    "constant": s.constant(0.3),
    "piecewise": s.piecewise([3, 7, 7, 20], [1, 0.5, 9, 0.25, 0.125]),
    "multi_step": s.multi_step([30, 30, 80], 0.3),
    "exponential": s.exponential(gamma=0.97),
    "inverse_sqrt": s.inverse_sqrt(16),
    "polynomial": s.polynomial(40, 1, 0.1, power=1.7),
    "cosine_restarts": s.cosine_restarts(10, 2),
    "cyclic": s.cyclic(8, 0.1, mode="exp_range", gamma=0.99),
    "one_cycle": s.one_cycle(90, 0.4, 10, 100, "linear", three_phase=True),
    "wsd": s.wsd(0, 0, 20, "cosine", end=0.1),
    "power_cool": s.power_cool(100, 0.4, 1.2),
    "radam_warmup": s.radam_warmup(0.99),
    "plateau": s.plateau(factor=0.5, patience=2),
    "product": 3e-4 * (s.linear_warmup(5) >> s.cosine(95)) * s.step_decay(30),
    "sum": 0.1 + 2 * s.cosine(30) + s.linear(50) * 0.5 - 0.05 * s.cosine(10),
    "shifted": (s.cosine(50) >> s.linear(10)).shift(-7),
    "epochs": (s.linear_warmup(5) >> s.cosine(9)).in_epochs(7),
    "repeated": (s.linear(5) >> s.constant(0.2).until(2)).repeat(3),
}
_MANY = """
import json, time, torch
from descend.torch import AdamW
params = [torch.nn.Parameter(torch.zeros(16)) for _ in range(10_000)]
for p in params: p.grad = torch.ones(16)
optimizer = AdamW(params)
begin = time.perf_counter(); optimizer.step(); print(json.dumps(time.perf_counter() - begin))
"""
_CHECK = """
import json, time
from descend import rules
from descend.checks import check_rule
begin = time.perf_counter(); ok = check_rule(rules.adamw).ok
print(json.dumps({"seconds": time.perf_counter() - begin, "ok": ok}))
"""


def schedules_over_a_million() -> Bar:
    """Each schedule of a NumPy array of a million steps; the slowest."""
    steps = np.arange(STEPS)
    calls = {name: lambda one=one: one(steps) for name, one in SCHEDULES.items()}
    found = {name: measured(times) for name, times in interleaved(calls, 5, 0.0).items()}
    slowest = max(found, key=found.__getitem__)
    took = found[slowest]
    note = f"the slowest: {slowest}"
    return Bar("a schedule of a million steps", took.value, 0.05, None, False, "s", note, spread=took.spread)


def a_check() -> Bar:
    """``check_rule(rules.adamw)`` in a new process with an empty cache, once."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = float(fresh(_CHECK, environment=cache_in(folder))["seconds"])
    return Bar("descend check adamw", seconds, 30.0, None, False, "s")


def range_tests() -> Bar:
    """``find_lr(seconds=0.6)`` of a loss that takes 2 ms, three times."""
    from ...torch import find_lr

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(10, 16, 6, generator=generator)
    batches = list(zip(x, x @ torch.randn(6, 1, generator=generator), strict=True))

    def slow(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        time.sleep(0.002)
        return (output - target).square().mean()

    find_lr(torch.nn.Linear(6, 1), "gradient_descent", slow, batches, steps=10, repeats=1, probes=0)  # compiles
    times = []
    for _ in range(3):
        begin = CLOCK.now()
        find_lr(torch.nn.Linear(6, 1), "gradient_descent", slow, batches, seconds=BUDGET)
        times.append(CLOCK.now() - begin)
    took = measured(times)
    claim = f"find_lr with {BUDGET:g} s to spend"
    return Bar(claim, took.value, 2 * BUDGET, None, False, "s", spread=took.spread)


def many_tensors(repeats: int = 3) -> Bar:
    """AdamW's first step on 10,000 tensors, in new processes that find its kernels in the cache."""
    with tempfile.TemporaryDirectory() as folder:
        found = measured([float(fresh(_MANY, environment=cache_in(folder))) for _ in range(repeats + 1)][1:])
    claim = "first step of 10,000 tensors in a new process, kernels cached"
    return Bar(claim, found.value, 1.5, 0.3, False, "s", spread=found.spread)
