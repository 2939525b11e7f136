"""What a user waits for before the first update: the import, and the first step with nothing compiled."""

from __future__ import annotations

import json
import subprocess
import sys

_FIRST_STEP = """
import json, time, torch
from descend.torch import AdamW
p = torch.nn.Parameter(torch.randn(64, 64)); p.grad = torch.randn(64, 64)
optimizer = AdamW([p])
begin = time.perf_counter(); optimizer.step(); first = time.perf_counter() - begin
print(json.dumps({"first_step": first, "engine": optimizer.engine}))
"""
_IMPORT = """
import json, sys, time
begin = time.perf_counter(); import descend; took = time.perf_counter() - begin
heavy = [m for m in ("torch", "jax", "numba", "triton") if m in sys.modules]
print(json.dumps({"import": took, "heavy": heavy}))
"""


def _fresh(code: str) -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def first_step(repeats: int = 3) -> float:
    """Seconds of the first AdamW step in a new process, loading Numba and compiling included; the median."""
    return sorted(float(str(_fresh(_FIRST_STEP)["first_step"])) for _ in range(repeats))[repeats // 2]


def importing(repeats: int = 5) -> tuple[float, list[str]]:
    """Seconds of ``import descend`` in a new process (the median), and the heavy modules it loaded."""
    found = [_fresh(_IMPORT) for _ in range(repeats)]
    heavy = {str(m) for one in found for m in one["heavy"]}  # type: ignore[attr-defined]
    return sorted(float(str(one["import"])) for one in found)[repeats // 2], sorted(heavy)
