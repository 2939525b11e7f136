"""What a search found, with SciPy's conventions: a dict whose keys are attributes too."""

from __future__ import annotations

from typing import Any

import numpy as np


class OptimizeResult(dict[str, Any]):
    """The outcome of a search.

    Attributes:
        x: the best point ever seen, of the shape and kind of x0. fun: its value, a float; inf if none was finite.
        success: whether the method converged or the target was reached. status: 0 that, 1 the budget is spent, 2 the
            method could not go on, 3 the callback ended it, 4 no value was finite. message: the reason in words.
        nit: iterations. nfev, njev, nhev: values, gradients, and Hessians or products with one. Finite differences
            count as the values or gradients they take.
        nbad: evaluations that raised or were not finite. method: the name of the class.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the result has no {name!r}; it has {', '.join(self)}") from None

    __setattr__ = dict.__setitem__  # type: ignore[assignment]
    __delattr__ = dict.__delitem__  # type: ignore[assignment]

    def __dir__(self) -> list[str]:
        return list(self)

    def __repr__(self) -> str:
        width = max(map(len, self), default=0) + 1
        with np.printoptions(linewidth=76, edgeitems=10, threshold=12, precision=3, suppress=False):
            lines = [f"{name:>{width}}: {_indented(repr(value), width + 2)}" for name, value in self.items()]
        return "\n".join(lines) or f"{type(self).__name__}()"


def _indented(text: str, by: int) -> str:
    return text.replace("\n", "\n" + " " * by)
