"""What the methods of this room share: a point that goes downhill, and the reasons to stop."""

import math
from collections.abc import Generator
from typing import Any

from ..method import Iteration, Method, Stop, Wanted
from .line_search import Point, along, strong_wolfe
from .vectors import dot, largest, norm

FLAT = 10  # iterations in which the value does not change at all, until nothing more is expected


class Descent(Method):
    """A method with a current point ``x``, its value ``f`` and gradient ``g``. A subclass writes ``step``.

    Args:
        tol: content when no entry of the gradient is larger.
    """

    bounded = False
    uses = frozenset({"gradient"})

    def __init__(self, x0: Any, bounds: Any = None, *, tol: float = 1e-6, **base: Any) -> None:
        if bounds is not None and not self.bounded:
            raise ValueError(
                f"{type(self).__name__} keeps no bounds; l_bfgs does, and the methods that use values only"
            )
        super().__init__(x0, bounds, **base)
        self.tol = tol
        self.x, self.f, self.g = x0, math.inf, x0
        self.flat = 0

    def step(self) -> Generator[Wanted, Any, Point | None]:
        """The next point; None if there is none lower."""
        raise NotImplementedError

    def stand(self, x: Any, f: float, g: Any) -> None:
        """Go on from here: another point, or the same one on other data. What is known of the curvature is kept."""
        self.x, self.f, self.g = x, f, g
        self.best_x, self.best_f = x, f
        self.begun, self.flat = True, 0
        self._running = self._wanted = self._saved = self._partial = None
        self._answers = []
        self.stop = self.judged()

    def begin(self) -> Iteration:
        self.f, self.g = yield Wanted("gradient", self.x[None])
        if not math.isfinite(self.f):
            return Stop("the value or the gradient at the start is not finite", success=False)
        return self.judged()

    def iterate(self) -> Iteration:
        point = yield from self.step()
        if point is None:
            return self.stuck()
        self.flat = self.flat + 1 if abs(self.f - point.f) <= self.unsure[0] else 0
        self.x, self.f, self.g = point
        return self.judged()

    def curvature(self, s: Any, y: Any) -> float:
        """s·y, if the function curves upwards along a step s by more than its rounding; else 0."""
        curved, square = dot(s, y), dot(y, y)
        return curved if curved > self.eps * norm(s) * norm(y) and 0 < square < math.inf else 0.0

    def bend(self, point: Point, curved: float) -> float:
        """What the values make of the curvature along the step to a point, in units of ``curved``, that of the slopes.

        The change of the gradient is the mean curvature of a step; the cubic through both values and slopes tells the
        one at its end (Biggs 1973): 1 for a parabola. Within a factor of 5, and only where values are exact enough.
        """
        if curved <= 1000 * self.rounding():
            return 1.0
        t = 6 * (self.f - point.f + dot(point.x - self.x, point.g)) / curved - 2
        return max(0.2, min(5.0, t))  # in this order, for a NaN of huge values

    def slopes(self) -> Any:
        """The gradient, as far as bounds leave it."""
        return self.g

    def rounding(self) -> float:
        """How far off the value may be."""
        return max(self.eps * abs(self.f), self.unsure[0])

    def judged(self) -> Stop | None:
        slopes = self.slopes()
        size = largest(slopes)
        if size <= self.tol:
            return Stop(f"no entry of the gradient is above {self.tol:g}")
        if self.unsure[1] is not None and bool((abs(slopes) <= self.unsure[1]).all()):
            return Stop(
                f"no entry of the gradient is above {size:.2g}, which finite differences cannot tell from 0 here: "
                + self._reach()
            )
        if self.flat >= FLAT:
            size, hidden = self.hidden()
            says = f"the value has not changed for {FLAT} iterations"
            says += f" by more than its noise of {self.unsure[0]:.2g}" if self.unsure[0] else ""
            says += f"; the gradient is up to {size:.2g}"
            return Stop(says, success=hidden)
        return None

    def _reach(self) -> str:
        return f"values are exact to {self.unsure[0]:.2g}; tol = {self.tol:g} is out of their reach"

    def hidden(self) -> tuple[float, bool]:
        """The largest entry of the gradient; whether what it promises is below the rounding of the values."""
        slopes = self.slopes()
        least: Any = math.sqrt(self.eps) * max(1.0, abs(self.f))
        if self.unsure[1] is not None:
            least = (3 * (self.unsure[1] + self.unsure[2])).clip(least)
        return largest(slopes), bool((abs(slopes) <= least).all())

    def stuck(self) -> Stop:
        """Why there is no lower point: the rounding of the values hides it, or the gradient is wrong."""
        size, hidden = self.hidden()
        if hidden:
            says = f"the value is as low as its rounding lets one see; the gradient is at most {size:.2g}"
            return Stop(says if self.unsure[1] is None else f"{says} by finite differences: {self._reach()}")
        return Stop(f"no lower value along the direction, though the gradient is up to {size:.2g}", success=False)


class LineSearching(Descent):
    """A method that goes along a direction as far as the strong Wolfe conditions say.

    Args:
        tol: content when no entry of the gradient is larger. c1, c2: of the strong Wolfe conditions.
    """

    def __init__(self, x0: Any, bounds: Any = None, *, c1: float = 1e-4, c2: float = 0.9, **base: Any) -> None:
        super().__init__(x0, bounds, **base)
        if not 0 < c1 < c2 < 1:
            raise ValueError(f"c1 and c2 must be 0 < c1 < c2 < 1, got {c1} and {c2}")
        self.c1, self.c2 = c1, c2

    def along(self, d: Any, first: float, noise: float = 2.0) -> Generator[Wanted, Any, Point | None]:
        """Where a search from here along ``d`` settles; None if nowhere.

        ``first``: the length that it tries first. ``noise``: of two values, in units of their rounding.
        """
        search = strong_wolfe(
            self.f, dot(self.g, d), first, c1=self.c1, c2=self.c2,
            size=largest(d), smallest=self.eps, noise=noise * self.rounding(),
        )  # fmt: skip
        return along(search, self.x, d, Point(self.x, self.f, self.g))

    def downhill(self) -> tuple[Any, float]:
        """The direction of steepest descent, and a first length that is safe where nothing is known of the scale."""
        return -self.g, min(1.0, 1 / norm(self.g))
