"""The state of a rule drawn along its path: the average m and the step as arrows, the spread √v as an ellipse."""

from collections.abc import Callable

import numpy as np

from ...draw import palette
from ...draw.chart import Arrow, Oval
from ...rules.state.meaning import GRADIENT, MEANINGS, SQUARE
from .paths import Path
from .surface import Surface

LONGEST = 0.09  # of an arrow, in frames
WIDEST = 40.0  # pixels


def moments(path: Path) -> tuple[str, str, float]:
    """The slots that are an average of gradients and one of their squares ("": none), and the sign of a step for m."""
    meanings = MEANINGS.get(path.stepped_as or path.rule, {})
    known = {name: meanings[name] for name in path.state if name in meanings and path.state[name].ndim == 2}
    first = next((name for name, meaning in known.items() if meaning.what == GRADIENT), "")
    second = next((n for n, meaning in known.items() if meaning.what in (SQUARE, "sum of squared gradients")), "")
    return first, second, 1.0 if first and known[first].form == "velocity" else -1.0


def drawn(path: Path, k: int, surface: Surface) -> Callable[[int, bool], list[Arrow | Oval]]:
    """What draws the state behind a step of path number k of a picture; with names for the key or without.

    Against the gradient (dotted), m (dashed; of a velocity its own direction), and the step that they make (whole): the
    longest of each kind on the path is as long as `LONGEST` frames, the others as the roots of their parts of it.
    The ellipse is √v by coordinates, in parts of the largest on the path: where it is wide, steps are short.
    """
    first, second, sign = moments(path)
    low, high = np.array(surface.frame).T
    steps = path.steps if path.left is None else max(path.left - 1, 0)
    arrows: list[tuple[str, np.ndarray, str, tuple[float, ...], float]] = [
        ("against the gradient", -path.slopes, "ink", (1.5, 2.5), 1.2)
    ]
    if first:
        arrows.append((f"the average {first}", sign * path.state[first][1:], palette.series(k), (5, 3), 1.5))
    arrows.append(("the step", np.diff(path.points, axis=0), palette.series(k), (), 2.2))
    root = np.sqrt(np.maximum(path.state[second][1 : steps + 1], 0)) if second else np.zeros((0, 2))

    def at(t: int, named: bool = False) -> list[Arrow | Oval]:
        if t >= steps:
            return []
        x, y = path.points[t].tolist()
        found: list[Arrow | Oval] = []
        if second:
            wide, tall = (max(1.0, WIDEST * float(r / (root.max() or 1.0))) for r in root[t])
            said = f"step {t + 1} of {path.rule}: √{second} = {root[t, 0]:.3g}, {root[t, 1]:.3g}"
            found.append(Oval(x, y, wide, tall, palette.series(k), said, f"√{second}" * named))
        for what, vectors, colour, dash, width in arrows:
            sizes = np.hypot(*(vectors[:steps] / (high - low)).T)
            size, most = float(sizes[t]), float(sizes.max())
            if size > 0 and np.isfinite(most):
                u, v = (vectors[t] * LONGEST * (size / most) ** 0.5 / size).tolist()
                said = f"step {t + 1} of {path.rule}: {what}, {vectors[t, 0]:.3g}, {vectors[t, 1]:.3g}"
                found.append(Arrow((x, y), (x + u, y + v), colour, dash, width, said, what * named))
        return found

    return at
