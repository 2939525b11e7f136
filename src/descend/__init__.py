"""descend: parameter updates, each written once."""

from . import rules
from .core.init import first_gradient, full, number, ones, start, zeros
from .core.ops import (  # fmt: skip
    absolute,
    by_columns,
    by_rows,
    columns,
    diagonal,
    eigh,
    exp,
    isfinite,
    log,
    matmul,
    matrix,
    maximum,
    mean,
    minimum,
    noise,
    norm,
    order,
    qr,
    rows,
    shaped,
    sign,
    solve_lower,
    spectral_bound,
    sqrt,
    tanh,
    total,
    transpose,
    upper,
    when,
    where,
)
from .core.rule import Rule, after, before, chain, rule
from .core.settings import shared
from .core.shown import PICTURES


def _drawn(one: Rule) -> str:
    from .explain.formula.markup import picture

    return picture(one)


PICTURES[Rule] = _drawn
_LATER = ("jax", "schedules", "torch")  # they load what a bare import need not wait for

__version__ = "0.1.0"
__all__ = [
    "absolute", "after", "before", "by_columns", "by_rows", "chain", "columns", "diagonal", "eigh", "exp",
    "first_gradient", "full", "isfinite", "log", "matmul", "matrix", "maximum", "mean", "minimum", "noise", "norm",
    "number", "ones", "order", "qr", "rows", "rule", "rules", "shaped", "shared", "sign", "solve_lower",
    "spectral_bound", "sqrt", "start", "tanh", "total", "transpose", "upper", "when", "where", "zeros",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name == "minimize":
        from .search.minimizing import minimize

        return minimize
    if name in _LATER:
        import importlib

        return importlib.import_module(f"descend.{name}")
    if name.startswith("_"):
        raise AttributeError(name)
    from .core.nearest import did_you_mean

    said = did_you_mean(name, __dir__())
    if not said and isinstance(getattr(rules, name, None), type(rules.adam)):
        said = f" The rule is rules[{name!r}], the optimizer descend.torch.optimizer({name!r})."
    raise AttributeError(f"module 'descend' has no attribute {name!r}.{said}")


def __dir__() -> list[str]:
    return list(
        dict.fromkeys([*__all__, "__version__", "minimize", "schedules", *(x for x in _LATER if x in globals())])
    )
