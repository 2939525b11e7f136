"""descend: parameter updates, each written once."""

from . import rules
from .core.chain import chain
from .core.init import first_gradient, full, number, ones, start, zeros
from .core.ops import exp, isfinite, log, maximum, mean, minimum, norm, sign, sqrt, tanh, total, where
from .core.rule import after, before, rule
from .core.settings import shared

_LATER = ("jax", "schedules", "torch")  # they load what a bare import need not wait for

__version__ = "0.1.0"
__all__ = [
    "after", "before", "chain", "exp", "first_gradient", "full", "isfinite", "log", "maximum", "mean",
    "minimum", "norm", "number", "ones", "rule", "rules", "shared", "sign", "sqrt", "start", "tanh",
    "total", "where", "zeros",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name in _LATER:
        import importlib

        return importlib.import_module(f"descend.{name}")
    if name.startswith("_"):
        raise AttributeError(name)
    from .core.nearest import did_you_mean

    raise AttributeError(f"module 'descend' has no attribute {name!r}.{did_you_mean(name, __dir__())}")


def __dir__() -> list[str]:
    return list(dict.fromkeys([*__all__, "__version__", "schedules", *(name for name in _LATER if name in globals())]))
