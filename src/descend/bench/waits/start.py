"""What a user waits for before the first update: the import, and the first step with nothing compiled."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from typing import Any

_FIRST_STEP = """
import json, time, torch
from descend import chain, rules
from descend.core.program import program
from descend.torch import optimizer
rule = {rule}
p = torch.nn.Parameter(torch.randn(64, 64)); p.grad = torch.randn(64, 64)
optimizer = optimizer(rule)([p])
begin = time.perf_counter(); optimizer.step(); first = time.perf_counter() - begin
from descend.engines.llvm import kernels
print(json.dumps({{
    "first_step": first, "kernels": len(program(rule, late=True).kernels),
    "made": sum(one.seconds for one in kernels._known.values())}}))
"""
_IMPORT = """
import json, sys, time
begin = time.perf_counter(); import descend; took = time.perf_counter() - begin
heavy = [m for m in ("torch", "jax", "llvmlite", "triton") if m in sys.modules]
print(json.dumps({"import": took, "heavy": heavy}))
"""
COLD = {"adamw": "rules.adamw", "clip + adamw + ema": "chain(rules.clip_norm(1.0), rules.adamw, rules.ema(0.999))"}
"""What is compiled: a rule of one kernel, and a chain of two."""


def cache_in(folder: str) -> dict[str, str]:
    """The environment of a process whose compiled kernels are kept in ``folder`` and nowhere else."""
    return {**os.environ, "DESCEND_CACHE": folder, "XDG_CACHE_HOME": folder}


def fresh(code: str, *arguments: str, environment: dict[str, str] | None = None) -> Any:
    """What a new Python process prints as JSON.

    Raises:
        RuntimeError: it failed; the message ends with what it said last.
    """
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise RuntimeError(f"a new process ended with {done.returncode}: {said[-1]}")
    return json.loads(done.stdout)


@dataclass(frozen=True)
class First:
    """First steps in new processes, seconds: ``cold``, with an empty cache, everything included; of these, what the
    kernels took to be ``compiled``; and what they took in processes with a ``warm`` cache."""

    kernels: int
    cold: list[float]
    compiled: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)


def first_step(rule: str = "adamw", repeats: int = 3) -> First:
    """The first steps of ``repeats`` pairs of new processes, of which the second finds the kernels of the first.

    Args:
        rule: a name in ``COLD``.
    """
    cold, warm = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            for found in (cold, warm):
                found.append(fresh(_FIRST_STEP.format(rule=COLD[rule]), environment=cache_in(folder)))
    return First(
        int(cold[0]["kernels"]), [one["first_step"] for one in cold],
        [one["made"] for one in cold], [one["made"] for one in warm],
    )  # fmt: skip


def importing(repeats: int = 5) -> tuple[list[float], list[str]]:
    """Seconds of ``import descend`` in new processes, and the heavy modules it loaded."""
    found = [fresh(_IMPORT) for _ in range(repeats)]
    return [float(one["import"]) for one in found], sorted({m for one in found for m in one["heavy"]})
