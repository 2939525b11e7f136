"""Layer 4: the project's own checks, public: run them on a rule or an engine of yours."""

import importlib
from typing import Any

# Loaded when asked for: they need NumPy, and some of them torch and LLVM.
_PUBLIC = {
    "Report": "contract.report",
    "check_engine": "contract.engines",
    "check_rule": "contract.run",
    "per_tensor": "references.registry",
}
__all__ = ["Report", "check_engine", "check_rule", "per_tensor"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
