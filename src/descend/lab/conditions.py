"""What the numbers of a run depend on beside its trial: versions, processor, the rules' text, the data."""

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.machine import cpu, versions
from ..core.rule import Rule

MUST_AGREE = ("descend", "numpy", "llvmlite", "cpu", "rules", "data", "optuna")  # for numbers of two days to be mixed


def environment(processes: int) -> dict[str, Any]:
    """Versions, CPU and threads: what the timings, and the last digits, depend on."""
    installed = versions(("descend", "numpy", "llvmlite", "scikit-learn"))
    return {
        "python": platform.python_version(),
        **{name.replace("-", "_"): found or "not installed" for name, found in installed.items()},
        "cpu": cpu(),
        "cores": os.cpu_count() or 1,
        "processes": processes,
        "blas_threads_per_process": 1,
        "system": f"{platform.system()} {platform.machine()}",
    }


def text_of(rule: Rule) -> str:
    """The rule as it is written, each stage of a chain."""
    return "\n\n".join(stage.source for stage in rule.stages or (rule,))


def digest(texts: Iterable[str]) -> str:
    """Sixteen hexadecimal digits that other texts would not have."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs of that on which numbers depend."""
    return [key for key in MUST_AGREE if then.get(key) != now.get(key)]
