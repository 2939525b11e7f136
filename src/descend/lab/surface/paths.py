"""Paths on a surface, every step of them made by the library's own optimizer in float64."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core.rule import Rule
from ...engines.eager.alone import Alone
from ...optimizer import Optimizer
from .surface import Point, Surface

GRID = (*(float(f"{mantissa}e{power}") for power in range(-5, 1) for mantissa in (1, 2, 5)), 10.0)
FAR = 100.0  # frames away from the middle of the frame: there a path has left for good


@dataclass(frozen=True, eq=False)
class Path:
    """How one rule went, T steps (fewer than asked for if it diverged).

    Attributes:
        points: (T + 1, 2): what one would evaluate after each step; `trained`: what the rule steps, mostly the same.
        asked: (T, 2): where each gradient was taken. slopes: (T, 2): those gradients.
        heights: (T + 1,), f at `points`.
        state: slot -> (T + 1, 2), or (T + 1,) of a number.
        reached: the step from which on it stays near a minimum; None: it does not.
        diverged: the step in which it left every bound; None: it did not.
        left: the step in which it left the frame for the last time; None: it ends inside.
        stepped_as: of a rule for matrices, its rule for vectors, which a point in the plane is.
        on_edge: the tuned rate is the smallest or the largest of the grid.
    """

    rule: str
    lr: float | None
    points: np.ndarray
    trained: np.ndarray
    asked: np.ndarray
    slopes: np.ndarray
    heights: np.ndarray
    state: dict[str, np.ndarray]
    distance: np.ndarray
    reached: int | None
    diverged: int | None
    left: int | None
    stepped_as: str = ""
    on_edge: bool = False
    momentum: float | None = field(default=None, repr=False)

    @property
    def steps(self) -> int:
        return len(self.slopes)

    @property
    def velocity(self) -> np.ndarray | None:
        """(T + 1, 2): the state that is the last step of the rule; None: it has none."""
        found = self.state.get("v")
        moves = None if found is None else np.allclose(np.diff(self.trained, axis=0), found[1:], equal_nan=True)
        return found if moves else None

    @property
    def lengths(self) -> np.ndarray:
        """(T,): of the steps."""
        return np.hypot(*np.diff(self.points, axis=0).T)

    @property
    def rates(self) -> np.ndarray:
        """(T, 2): how far each coordinate went for each unit of its slope; NaN where that is 0."""
        with np.errstate(all="ignore"):
            return np.where(self.slopes == 0, np.nan, -np.diff(self.trained, axis=0) / self.slopes)


def walk(
    rule: Rule,
    surface: Surface,
    start: Point,
    lr: float | None = None,
    steps: int = 0,
    seed: int = 0,
    noise: float = 0.0,
    engine: str = "auto",
) -> Path:
    """One rule from one start.

    `lr` None: as the rule has it. `engine`: of `Optimizer`; "alone": the oracle's bits without an optimizer around
    them, several times as quick.
    """
    given: dict[str, Any] = {} if lr is None or "lr" not in rule.settings else {"lr": lr}
    if engine == "alone":
        return _walked(Alone(rule, np.array(start, np.float64), **given), rule, given, surface, steps, seed, noise)
    optimizer = Optimizer(rule, [np.array(start, np.float64)], engine=engine, threads=1, **given)
    return _walked(_Stepper(optimizer), rule, given, surface, steps, seed, noise)


class _Stepper:
    """An optimizer of one array, seen as `Alone` is."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer, self.rule = optimizer, optimizer.works[0].rule
        self.p = optimizer.params[0]
        self.state = {name: items[0] if isinstance(items, list) else items for name, items in optimizer.state.items()}

    def step(self, g: np.ndarray) -> None:
        self.optimizer.step([g])

    def gradient_point(self) -> np.ndarray:
        return self.optimizer.gradient_point()[0]

    def shipped_point(self) -> np.ndarray:
        return self.optimizer.shipped_point()[0]


def _walked(
    stepper: Alone | _Stepper, rule: Rule, given: dict[str, Any], surface: Surface, steps: int, seed: int, noise: float
) -> Path:
    p, g, stepped, held = stepper.p, np.zeros(2), stepper.rule, stepper.state
    curved = [slot.name for slot in stepped.slots if slot.saved_as == "hessian"]
    ahead, shipped = stepped.gradient_point is not None, stepped.shipped_point is not None
    trained = np.empty((steps + 1, 2))
    points = np.empty((steps + 1, 2)) if shipped else trained
    asked, slopes = np.empty((steps, 2)), np.empty((steps, 2))
    state = {name: np.empty((steps + 1, *np.shape(value))) for name, value in held.items()}
    points[0] = trained[0] = p
    for name, value in held.items():
        state[name][0] = value
    slope = surface.slope(seed, steps, noise)
    (left, right), (low, high) = surface.frame
    middle_x, middle_y = (left + right) / 2, (low + high) / 2
    reach_x, reach_y = FAR * (right - left), FAR * (high - low)
    diverged, done = None, 0
    with np.errstate(all="ignore"):
        for t in range(steps):
            at = stepper.gradient_point() if ahead else p
            x, y = asked[t] = at.tolist()
            try:
                g[0], g[1] = slopes[t] = slope(t, x, y)
                for name in curved:
                    held[name][:] = surface.curvature(x, y)
            except (ArithmeticError, ValueError):  # as math has it where a number is too large, or of no meaning
                g[:] = slopes[t] = np.nan
            stepper.step(g)
            p, held, done = stepper.p, stepper.state, t + 1
            trained[done] = p
            if shipped:
                points[done] = stepper.shipped_point()
            for name, value in held.items():
                state[name][done] = value
            x, y = points[done].tolist()
            if not (abs(x - middle_x) < reach_x and abs(y - middle_y) < reach_y):  # also of NaN
                diverged = done
                break
        heights = np.asarray(surface.value(*points[: done + 1].T), np.float64)
    points = points[: done + 1]
    distance = surface.distance(points)
    return Path(
        rule=rule.name, lr=given.get("lr", rule.settings.get("lr")), points=points, trained=trained[: done + 1],
        asked=asked[:done], slopes=slopes[:done], heights=heights, distance=distance,
        state={name: values[: done + 1] for name, values in state.items()},
        reached=since(distance <= surface.near), diverged=diverged, left=since(~surface.holds(points)),
        stepped_as=stepped.name if rule.vectors is not None else "",
        momentum=rule.bind(**given).settings.get("momentum"),
    )  # fmt: skip


def since(true: np.ndarray) -> int | None:
    """From which index on all are true; None if the last is not."""
    if not true[-1]:
        return None
    return int(len(true) - np.argmin(true[::-1])) if not true.all() else 0


def tuned(rule: Rule, surface: Surface, start: Point, **how: Any) -> Path:
    """The path of the best rate of a grid: there soonest, or else nearest at the end; a tie goes to the smaller rate.

    Before that comes whether it stays in the frame: what jumps out and happens to fall near a minimum was lucky.
    """

    def score(path: Path) -> tuple[bool, bool, float]:
        strays = not surface.holds(path.points).all()
        return strays, path.reached is None, path.distance[-1] if path.reached is None else path.reached

    if "lr" not in rule.settings:
        return walk(rule, surface, start, None, **how)
    best = min((walk(rule, surface, start, lr, **how) for lr in GRID), key=score)
    return Path(**{**vars(best), "on_edge": best.lr in (GRID[0], GRID[-1])})
