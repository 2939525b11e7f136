"""What a search found, with SciPy's conventions: a dict whose keys are attributes too."""

from itertools import pairwise
from typing import Any, Self

import numpy as np

from ..draw.chart import Chart, curve
from ..draw.pictured import Pictured


class OptimizeResult(dict[str, Any], Pictured):
    """The outcome of a search. It prints itself, and draws the best value by evaluation: ``plot``, ``save``.

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

    size = (560, 160)

    def remember(self, lower: list[tuple[int, float]]) -> Self:
        """Keep, for the picture, after how many evaluations each new best value was seen; returns itself.

        The list may grow afterwards: a result in the middle of a search shows what was known then.
        """
        object.__setattr__(self, "_lower", (lower, len(lower)))  # no key: those are SciPy's
        return self

    def chart(self) -> Chart:
        """The best value by evaluation, logarithmic where none is below 0."""
        lower, known = self.__dict__.get("_lower", ([], 0))
        seen = lower[:known]
        if seen and seen[0][0] < self["nfev"]:
            seen.append((self["nfev"], seen[-1][1]))
        stairs = [place for (k, value), (n, _) in pairwise(seen) for place in ((k, value), (n, value))]
        x, y = [k for k, _ in stairs], [value for _, value in stairs]
        return curve(x, y, "best value by evaluation", "evaluations", bool(y) and min(y) >= 0)

    def __repr__(self) -> str:
        width = max(map(len, self), default=0) + 1
        with np.printoptions(linewidth=76, edgeitems=10, threshold=12, precision=3, suppress=False):
            lines = [f"{name:>{width}}: {_indented(repr(value), width + 2)}" for name, value in self.items()]
        return "\n".join(lines) or f"{type(self).__name__}()"


def _indented(text: str, by: int) -> str:
    return text.replace("\n", "\n" + " " * by)
