"""The vocabulary of a rule, and the exact meaning of each word.

A rule is written with ``+ - * / **``, the comparisons, and the words below. Every engine
gives each word this meaning, and the tests hold it to that:

========================  =====================================================================
``sqrt exp log tanh abs`` as in IEEE 754; ``sqrt`` and ``log`` of a negative number are NaN
``sign(x)``               -1, 0 or 1; ``sign(0) = 0``, ``sign(NaN) = NaN``
``maximum minimum(a, b)`` NaN if either is NaN
``where(c, a, b)``        ``a`` where ``c`` is true, else ``b``; both sides are evaluated
``isfinite(x)``           false for NaN and both infinities
``x / 0``                 ±inf, or NaN for ``0 / 0``: never an exception, scalars included
``x ** y``                ``x ** 2`` is ``x * x``; a negative base with a fractional power is NaN
``total(x, over=...)``    the sum over ``"tensor"``, over ``"all"`` parameters of the optimizer, or over
                          the last dimension (``"row"``) or the one before (``"column"``), kept as size 1
``mean norm(x, over=...)`` the mean, and the Euclidean norm, over the same
``when(c, f, g)``         ``f()`` where the number ``c`` is true, else ``g()``; only one is evaluated
comparisons               false when either side is NaN, except ``!=``, which is true; what they say is no number
                          (``where(c, 1.0, 0.0)`` is), joined by ``& | ~``, and only it is a condition
========================  =====================================================================

Whole matrices (such rules run in the engines that need no tracer):

``matrix(x)``             ``x`` with all but its first dimension flattened; ``shaped(u, like)`` undoes it
``matmul(a, b)``          the product; ``transpose(a)`` its mirror; ``rows(a)``, ``columns(a)`` their number
``eigh(a)``               eigenvalues, ascending, and the matrix of eigenvectors of a symmetric matrix
``qr(a)``                 the orthogonal factor of ``a``
``diagonal(a)``           as a vector; ``order(d)`` the places that sort a vector from the largest on
``by_columns(a, o)``      the columns of ``a`` in the order ``o``; ``by_rows`` its rows
``upper(a)``              ``a`` with zeros below the diagonal
``solve_lower(a, b)``     ``a⁻¹ b`` for a lower triangular ``a``
``spectral_bound(a)``     of a symmetric matrix: two steps of the power method from its largest column, which is
                          at most the largest singular value
``noise(a, t, seed)``     standard normal numbers of the shape of ``a``: a function of the step, the seed and the place,
                          the same in every engine and after every restart

The words work on whatever an engine registers (NumPy arrays, torch tensors, the tracer's
symbols) and on plain numbers, so one rule function serves them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

Words = dict[str, Callable[..., Any]]
_WORDS: dict[type, Words] = {}
_CONTAINING: set[type] = set()
_KNOWN: dict[type, Words | None] = {}  # what has been looked up; None: plain numbers
OVER = ("tensor", "all", "row", "column")


def register(kind: type, words: Words, containing: bool = False) -> None:
    """Tell the vocabulary how its words act on values of type ``kind`` (subclasses included).

    ``containing``: such values hold others, so that their words act when both kinds meet.
    """
    _WORDS[kind] = words
    _KNOWN.clear()
    if containing:
        _CONTAINING.add(kind)


def words_of(*values: Any) -> Words:
    """The words of the operands: of a containing kind if there is one, else of the first that is no plain number."""
    found = None
    for value in values:
        kind = type(value)
        if kind in _CONTAINING:
            return _WORDS[kind]
        if found is None:
            found = _KNOWN[kind] if kind in _KNOWN else _KNOWN.setdefault(kind, _looked_up(kind))
    return NUMBERS if found is None else found


def _looked_up(kind: type) -> Words | None:
    if kind in (float, int, bool):
        return None
    for base in kind.__mro__:
        if base in _WORDS:
            return _WORDS[base]
    raise TypeError(f"a rule works on arrays and numbers, not on {kind.__name__}")


def _word(name: str) -> Callable[..., Any]:
    def word(*args: Any) -> Any:
        return words_of(*args)[name](*args)

    word.__name__ = word.__qualname__ = name
    return word


sqrt, exp, log, tanh, sign, isfinite, maximum, minimum = map(
    _word, ("sqrt", "exp", "log", "tanh", "sign", "isfinite", "maximum", "minimum")
)


def absolute(x: Any) -> Any:
    return words_of(x)["abs"](x)


def where(condition: Any, a: Any, b: Any) -> Any:
    if isinstance(condition, bool):
        return a if condition else b
    return words_of(condition, a, b)["where"](condition, a, b)


def when(condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    return words_of(condition)["when"](condition, then, otherwise)


MATRIX_WORDS = (
    "matrix", "shaped", "matmul", "transpose", "rows", "columns", "eigh", "qr", "diagonal", "order",
    "by_columns", "by_rows", "upper", "solve_lower", "spectral_bound", "noise",
)  # fmt: skip
(
    matrix, shaped, matmul, transpose, rows, columns, eigh, qr, diagonal, order,
    by_columns, by_rows, upper, solve_lower, spectral_bound, noise,
) = map(_word, MATRIX_WORDS)  # fmt: skip


def total(x: Any, over: str = "tensor") -> Any:
    """The sum of ``x`` over its tensor, or over all parameters of the optimizer."""
    return _reduction("total", x, over)


def mean(x: Any, over: str = "tensor") -> Any:
    """The mean of ``x`` over its tensor, or over all parameters of the optimizer."""
    return _reduction("total", x, over) / _reduction("count", x, over)


def norm(x: Any, over: str = "tensor") -> Any:
    """The Euclidean norm of ``x`` over its tensor, or over all parameters of the optimizer."""
    return sqrt(_reduction("total", x * x, over))


def _reduction(word: str, x: Any, over: str) -> Any:
    if over not in OVER:
        raise ValueError(f"{word} is taken over one of {', '.join(OVER)}; got {over!r}")
    return words_of(x)[word](x, over)


def divide(a: float, b: float) -> float:
    """``a / b`` for numbers with the meaning above: no ZeroDivisionError."""
    if b:
        return a / b
    if not a or a != a or b != b:
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def power(a: float, b: float) -> float:
    """``a ** b`` for numbers with the meaning above: no complex result, no OverflowError."""
    try:
        result = a**b
    except ZeroDivisionError:
        return math.inf
    except OverflowError:
        return math.inf if a > 0 or int(b) % 2 == 0 else -math.inf
    return math.nan if isinstance(result, complex) else float(result)


def _number(function: Callable[[float], float], beyond: float = math.inf) -> Callable[[float], float]:
    def word(x: float) -> float:
        if x != x:
            return x
        try:
            return function(x)
        except ValueError:  # outside the domain
            return -math.inf if function is math.log and x == 0 else math.nan
        except OverflowError:
            return beyond

    return word


def _pick(first: Callable[[float, float], bool]) -> Callable[[float, float], float]:
    return lambda a, b: a if (a != a or first(a, b)) else b


NUMBERS: Words = {
    "sqrt": _number(math.sqrt),
    "exp": _number(math.exp),
    "log": _number(math.log),
    "tanh": _number(math.tanh),
    "abs": abs,
    "sign": lambda x: float((x > 0) - (x < 0)) if x == x else x,
    "isfinite": math.isfinite,
    "maximum": _pick(lambda a, b: a > b),
    "minimum": _pick(lambda a, b: a < b),
    "where": lambda condition, a, b: a if condition else b,
    "when": lambda condition, then, otherwise: then() if condition else otherwise(),
    "divide": divide,
    "power": power,
    "total": lambda x, over: x,
    "count": lambda x, over: 1,
}
