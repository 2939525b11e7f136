"""What was found on a plane through the parameters of a model: losses, shadows of paths, how far they mislead."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....core.jsonable import jsonable
from ....draw import axes, palette
from ....draw.chart import Axis, Chart, Mark, Walk
from ....draw.pictured import Pictured
from ....draw.terminal import Table, text
from ..picture import bands

HEAD = ("path", "points", "loss at its end", "on the plane", "largest error", "at point")
ERRORS = ("path", "at step", "loss there", "on the plane", "error", "of range")
SECONDS = 8.0
LISTED = 5  # points of a path of which the error is listed


def listed(count: int) -> list[int]:
    """Which of so many points are listed: first and last among them."""
    return sorted(set(np.linspace(0, count - 1, LISTED).round().astype(int).tolist()))


@dataclass(frozen=True, eq=False)
class Shadow:
    """A path on the plane: `places` (T, 2), the losses (T,) of the path itself and of its places on the plane.

    `steps` (T,): after how many steps each point was. A loss is NaN where time was up.
    """

    name: str
    places: np.ndarray
    losses: np.ndarray
    on_plane: np.ndarray
    steps: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """(T,): how much higher the loss is on the plane than on the path."""
        return self.on_plane - self.losses

    @property
    def worst(self) -> int:
        """Which point has the largest error."""
        return int(np.nan_to_num(np.abs(self.errors), nan=-1.0, posinf=np.inf).argmax())

    def rows(self, height: float) -> list[list[str]]:
        """Some of its points, first and last among them, and the one with the largest error."""
        at = sorted({*listed(len(self.losses)), self.worst})
        return [
            [self.name, str(self.steps[k]), f"{self.losses[k]:.4g}", f"{self.on_plane[k]:.4g}",
             f"{self.errors[k]:+.3g}", f"{self.errors[k] / height:+.1%}"]
            for k in at
        ]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Landscape(Pictured):
    """`losses` (len(b), len(a)) on the plane; `explained`: the shares of all movement that its two axes hold.

    `computed`: of how many places the loss was computed; the others are drawn between them. `about`: what was
    trained and judged how.
    """

    endings = (*axes.ENDINGS, *axes.MOVING, ".html", ".json")

    a: np.ndarray
    b: np.ndarray
    losses: np.ndarray
    along: str
    paths: list[Shadow] = field(default_factory=list)
    explained: list[float] = field(default_factory=list)
    computed: int | None = None
    about: list[str] = field(default_factory=list)

    @property
    def height(self) -> float:
        """How far apart the losses on the plane are."""
        return float(np.nanmax(self.losses) - np.nanmin(self.losses))

    @property
    def said(self) -> str:
        """What the map is, on one line."""
        low, high = float(np.nanmin(self.losses)), float(np.nanmax(self.losses))
        said = f"losses {low:.3g} to {high:.3g} on {len(self.b)} × {len(self.a)} places, along {self.along}"
        if self.explained:
            said += f", which hold {self.explained[0]:.1%} and {self.explained[1]:.1%} of the movement"
        if self.computed is not None and self.computed < self.losses.size:
            said += f"; {self.computed:,} places were computed, the others are drawn between them"
        return said

    @property
    def answer(self) -> str:
        """What there is to see, in a few words."""
        if not self.paths:
            return f"The loss around a model: {np.nanmin(self.losses):.3g} to {np.nanmax(self.losses):.3g}"
        lowest = min(self.paths, key=lambda path: path.losses[-1])
        held = f"the plane holds {sum(self.explained):.0%} of the movement"
        return f"{lowest.name} ends lowest, at {lowest.losses[-1]:.3g}; {held}"

    def chart(self, seconds: float = 0.0) -> Chart:
        """The map; `seconds`: in which marks walk along their paths."""
        said = [f"along {self.along}"]
        if self.explained:
            said.append(f"they hold {self.explained[0]:.0%} and {self.explained[1]:.0%} of the movement")
        x, y = (Axis(float(ends[0]), float(ends[-1]), grid=False) for ends in (self.a, self.b))
        finite = np.isfinite(self.losses)
        shown = np.where(finite, self.losses, self.losses[finite].max())
        drawn = Chart(
            x, y, f"loss {said[0]}", bands(self.a, self.b, shown), "loss on a plane", names="below", foot=said
        )
        drawn.tall = 1.5
        drawn.foot += self.about
        for k, path in enumerate(self.paths):
            told = f"{path.name}: loss {path.losses[-1]:.3g}, on the plane {path.on_plane[-1]:.3g}"
            line = {"colour": palette.series(k), "dash": palette.dash_of(k), "title": told, "name": path.name}
            drawn.add(Walk(path.places[:, 0], path.places[:, 1], palette.mark_of(k), seconds=seconds, **line))
        for path in self.paths[:1]:
            drawn.add(Mark(float(path.places[0, 0]), float(path.places[0, 1]), "circle", "ink", True, 1.3, "the start"))
        return drawn

    def plot(self, ax: Any = None) -> Any:
        """The map, as of every picture; where matplotlib is missing, the text of all."""
        return axes.plot(self.chart(), self.__str__, ax)

    def as_dict(self) -> dict[str, Any]:
        whole = {name: value for name, value in vars(self).items() if name != "paths"}
        return jsonable({**whole, "paths": [vars(path) for path in self.paths]})

    def to_html(self) -> str:
        """A page of its own: no script, no request."""
        from .page import html

        method = [f"{self.said[0].upper()}{self.said[1:]}.", *(f"{line}." for line in self.about)]
        method.append("The lower a place, the nearer its colour is to that of the page; a band is no fixed height.")
        if self.paths:
            method.append(
                "A path is seen as its shadow on the plane. The losses at its points and at their shadows are both "
                "computed: where they differ, the picture shows a height at which the path never was."
            )
        method.append(
            "What this does not show: what lies beside the plane. Of all directions a loss can bend in it has two."
        )
        rows = [(k, row) for k, path in enumerate(self.paths) for row in path.rows(self.height)]
        data = ("landscape.json.gz", self.to_json())
        head = "How far the plane misleads"
        return html("descend surface", self.answer, self.chart(SECONDS), 560, rows, ERRORS, head, method, data)

    def draw(self, width: int = 100) -> str:
        """How far the plane misleads, path by path, as text."""
        rows = []
        for path in self.paths:
            ends = (f"{path.losses[-1]:.4g}", f"{path.on_plane[-1]:.4g}", f"{path.errors[path.worst]:+.3g}")
            rows.append((path.name, str(len(path.losses)), *ends, str(path.worst)))
        return text(Table(HEAD, rows, right=HEAD[1:], style="cyan"), width=width)

    def table(self) -> Table:
        """How far the plane misleads at points of every path, in numbers and in parts of the range of its losses."""
        rows = [row for path in self.paths for row in path.rows(self.height)]
        return Table(ERRORS, rows, right=ERRORS[1:], style="cyan")

    def __str__(self) -> str:
        return f"{self.said}\n\n{self.draw()}" if self.paths else self.said

    def __repr__(self) -> str:
        return f"Landscape({len(self.b)} × {len(self.a)}, {', '.join(path.name for path in self.paths) or 'no paths'})"
