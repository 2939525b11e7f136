"""Paths as charts: the map with all that was walked on it, and the heights by step."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...draw import palette
from ...draw.chart import AT_REST, Area, Arrow, Axis, Chart, Dots, Line, Mark, Note, Oval, Shape, Walk
from ...draw.contour import rings
from .paths import Path
from .rolling import Ball
from .state import drawn
from .surface import Surface

BANDS = 14
SHOWN = 3000  # places of a path in a picture, at most


def ground(surface: Surface) -> list[Shape]:
    """The map: bands of height, and the minima."""
    return bands(*surface.heights()) + [Mark(x, y, "star", "ink", True, 1.6, "a minimum") for x, y in surface.minima]


def bands(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> list[Shape]:
    """Heights on a grid, the higher the darker.

    Half of the bands hold equal shares of the frame, so that a plain has some too; the others end at equal distances of
    log(1 + h/s), h the height above the lowest point and s that of the lowest tenth of the frame, so that pits have.
    """
    above = z - z.min()
    scale = np.quantile(above, 0.1) or above.max() or 1.0
    shares = np.linspace(0, 1, BANDS // 2 + 1)[1:-1]
    levels = [*np.quantile(z, shares), *(z.min() + scale * np.expm1(np.log1p(above.max() / scale) * shares))]
    return [Area(rings(x, y, z, level), "quiet", 0.07) for level in sorted(levels)]


def thinned(count: int) -> np.ndarray:
    """Which of so many places are drawn: all, or as many as can be told apart, the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, SHOWN)).round().astype(int))


def spaced(path: Path, count: int, size: np.ndarray) -> list[int]:
    """So many points of a path as far from each other as may be on the picture, or fewer; the first among them.

    `size`: of the frame.
    """
    stop = path.steps if path.left is None else max(path.left - 1, 0)
    gone = np.concatenate([[0.0], np.cumsum(np.hypot(*(np.diff(path.points[: stop + 1], axis=0) / size).T))])
    wanted = np.linspace(0, gone[-1], count + 1)[:-1]
    return np.unique(np.searchsorted(gone, wanted).clip(0, max(stop - 1, 0))).tolist()


def told(path: Path) -> str:
    """What became of a path."""
    rate = "" if path.lr is None else f", lr {path.lr:g}"
    if path.diverged is not None:
        return f"{path.rule}{rate}: diverged, beyond all bounds at step {path.diverged}"
    if path.reached is not None:
        return f"{path.rule}{rate}: at a minimum from step {path.reached} on"
    return f"{path.rule}{rate}: after {path.steps} steps {path.distance[-1]:.2g} from a minimum"


def name(path: Path) -> str:
    """What stands in the key."""
    as_other = f" as {path.stepped_as}" if path.stepped_as else ""
    return f"{path.rule}{as_other}" + (f", diverged at step {path.diverged}" if path.diverged is not None else "")


def on_map(path: Path, k: int, surface: Surface, steps: int, seconds: float = 0.0, states: int = 0) -> list[Shape]:
    """A path, number k of a picture of so many steps. One that has left the frame ends there with a cross and the step.

    `states`: at so many of its points the state is drawn, and in an animation at its mark.

    Having ended it rests, so that the marks of all paths make the same step at the same time.
    """
    low, high = np.array(surface.frame).T
    # What is far outside is brought nearer: no hand draws numbers of any size.
    seen = np.clip(path.points, low - 2 * (high - low), high + 2 * (high - low))
    edge = seen[0]
    if path.left is not None:
        edge = exit_at(seen[path.left - 1], seen[path.left], low, high) if path.left else seen[0].clip(low, high)
        seen = np.concatenate([seen[: path.left], edge[None]])
    seen = np.concatenate([seen, np.repeat(seen[-1:], steps + 1 - len(seen), 0)])
    kept = thinned(len(seen))
    x, y = seen[kept].T
    rest: list[Shape] = []
    beside: Callable[[int], list[Arrow | Oval]] | None = None
    if states:
        state = drawn(path, k, surface)
        at = spaced(path, states, high - low)
        rest = [replace(shape, group=AT_REST) for n, t in enumerate(at) for shape in state(t, k == n == 0)]

        def beside_mark(n: int) -> list[Arrow | Oval]:
            return state(int(kept[n]), False)

        beside = beside_mark
    line = {"colour": palette.series(k), "dash": palette.dash_of(k), "title": told(path), "name": name(path)}
    walk = Walk(x, y, palette.mark_of(k), seconds=seconds, ends=path.left is None, beside=beside, **line)
    if path.left is None:
        return [*rest, walk]
    x, y = edge.tolist()
    right, top = edge > (low + high) / 2
    side, aside = ("end", -9) if right else ("start", 9)
    note = Note(x, y, f"step {path.left}", walk.colour, side, aside, 16 if top else -6)
    return [*rest, walk, Mark(x, y, "cross", walk.colour, size=1.3, title=walk.title), note]


def exit_at(inside: np.ndarray, outside: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where the way from a point of the frame to one beyond crosses its edge."""
    move = outside - inside
    with np.errstate(all="ignore"):
        shares = np.where(move > 0, (high - inside) / move, np.where(move < 0, (low - inside) / move, np.inf))
    return np.clip(inside + min(1.0, float(np.nanmin(shares))) * move, low, high)


def arrows(path: Path, velocity: np.ndarray, k: int, steps: int) -> list[Shape]:
    """Of a rule whose state is a velocity: the jump that it carries on with, then the correction by the gradient.

    Nesterov's takes the gradient where the jump ends, plain momentum where it began; the arrows are the same two.
    """
    found: list[Shape] = []
    jumps = path.trained + (path.momentum or 0.0) * velocity
    for t in range(min(steps, path.steps)):
        (x, y), (u, v), (a, b) = path.trained[t].tolist(), jumps[t].tolist(), path.trained[t + 1].tolist()
        if t:  # the first step has no velocity yet
            said = f"step {t + 1} of {path.rule}: the jump, momentum times the last step"
            found.append(Arrow((x, y), (u, v), "ink", (4, 3), 1.3, said))
        where = "where the jump ends" if (path.asked[t] == jumps[t]).all() else "where the jump began"
        said = f"step {t + 1} of {path.rule}: the correction, lr times the gradient {where}"
        found.append(Arrow((u, v), (a, b), palette.series(k), (), 1.8, said))
    return found


def chart(
    surface: Surface,
    paths: list[Path],
    head: str,
    seconds: float = 0.0,
    arrow_steps: int = 0,
    ball: Ball | None = None,
    states: int = 0,
) -> Chart:
    """The map."""
    x, y = (Axis(*ends, label=label, grid=False) for ends, label in zip(surface.frame, ("x", ""), strict=True))
    said = f"{surface.title}: " + "; ".join(map(told, paths))
    foot = [f"f(x, y) = {surface.formula}"] * bool(surface.formula) + ([ball.said] if ball is not None else [])
    map_ = Chart(x, y, said, ground(surface), head, names="below", foot=foot, tall=1.5)
    steps = max((path.steps for path in paths), default=0)
    if ball is not None:
        map_.add(Line(ball.curve[:, 0], ball.curve[:, 1], "ink", width=1.4, name="the ball, Newton's law"))
        map_.add(Dots(paths[0].points[:, 0], paths[0].points[:, 1], "s0", 1.0))
    for k, path in enumerate(paths):
        map_.add(*on_map(path, k, surface, steps, seconds, states))
    for k, path in enumerate(paths):
        if path.velocity is not None:
            map_.add(*arrows(path, path.velocity, k, arrow_steps))
    jumps = (k for k, s in enumerate(map_.shapes) if isinstance(s, Arrow) and s.dash and s.group != AT_REST)
    first = next(jumps, None)
    if first is not None:
        map_.shapes[first] = replace(map_.shapes[first], name="jump, then correction")
    if paths:
        u, v = paths[0].points[0].tolist()
        map_.add(Mark(u, v, "circle", "ink", True, 1.3, "the start"))
    return map_


FLOOR = 1e-12


def heights(surface: Surface, paths: list[Path]) -> Chart:
    """How far above the lowest point each path is, by step."""
    steps = max(path.steps for path in paths)
    above = [np.maximum(path.heights - surface.lowest, 0) for path in paths]
    seen = np.concatenate(above)
    seen = seen[np.isfinite(seen) & (seen > FLOOR)]
    top = 10 * max((values[0] for values in above), default=1.0)
    low = max(FLOOR, float(seen.min()) / 2 if len(seen) else FLOOR)
    top = max(top, low * 10)
    title = f"height above the minimum by step, on {surface.title}"
    made = Chart(Axis(0, steps, label="step"), Axis(low, top, log=True), title, head="height above the minimum")
    for k, values in enumerate(above):
        kept = thinned(len(values))
        shown = np.nan_to_num(values[kept], nan=10 * top, posinf=10 * top).clip(low, 10 * top)
        made.add(Line(kept.tolist(), shown.tolist(), palette.series(k), palette.dash_of(k)))
    return made
