"""What a run on a surface gives: it plots, saves, prints and shows itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...core.jsonable import jsonable
from ...draw import axes
from ...draw.chart import Chart
from ...draw.pictured import Pictured
from ...draw.svg import svg
from ...draw.terminal import Table, text
from . import picture
from .paths import Path
from .rolling import Ball
from .surface import Point, Surface
from .table import HEAD, row

ENDINGS = (*axes.ENDINGS, *axes.MOVING, ".html", ".json")


@dataclass(frozen=True, eq=False)
class Paths(Pictured):
    """Paths from one start; iterated over they are `Path`s.

    Attributes:
        tuned: whether each rule has the best rate of the grid.
        arrows: of how many steps the jump and the correction are drawn, where the state is a velocity.
        states: at how many points of each path m, √v and the step are drawn; in an animation at the mark of each.
        ball: what rolled beside them, of `roll`.
    """

    endings = ENDINGS

    surface: Surface
    start: Point
    steps: int
    seed: int
    noise: float
    tuned: bool
    paths: list[Path]
    arrows: int = 0
    ball: Ball | None = None
    states: int = 0

    def __iter__(self) -> Iterator[Path]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rule: str | int) -> Path:
        """The path of that number, or the first of that rule."""
        if isinstance(rule, int):
            return self.paths[rule]
        found = [path for path in self.paths if path.rule == rule]
        if not found:
            raise KeyError(f"no path of {rule!r}; there are {', '.join(path.rule for path in self.paths)}")
        return found[0]

    @property
    def story(self) -> str:
        """What is to be seen; "" where others run than those of the surface's story, or otherwise."""
        if self.ball is not None:
            return "A ball with mass and friction by Newton's law, and the same law in steps, which is momentum."
        surface, rates = self.surface, {path.lr for path in self.paths}
        told = (surface.rules, surface.start, {surface.lr}, surface.steps, 0.0)
        ran = (tuple(path.rule for path in self.paths), self.start, rates, self.steps, self.noise)
        return surface.story if ran == told and not self.tuned else ""

    @property
    def rates(self) -> str:
        """How the rates were chosen, in words."""
        if self.ball is not None:
            return self.ball.said
        if self.tuned:
            return "each rule at its best rate of 19"
        rates = {path.lr for path in self.paths if path.lr is not None}
        return f"lr {rates.pop():g} for all" if len(rates) == 1 else "rates as given"

    def chart(self, seconds: float = 0.0) -> Chart:
        """The map; `seconds`: in which marks walk along their paths."""
        head = f"{self.surface.title}: {'a ball that rolls' if self.ball is not None else self.rates}"
        return picture.chart(self.surface, self.paths, head, seconds, self.arrows, self.ball, self.states)

    def to_html(self) -> str:
        """A page of its own: no script, no request."""
        from .page import SECONDS, html

        return html(self.surface, self.paths, self.chart(SECONDS), self.story, self.said, self.to_csv())

    def as_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and None only; what is not finite is None."""
        surface = self.surface
        return jsonable({
            "surface": surface.name, "formula": surface.formula, "minima": surface.minima, "frame": surface.frame,
            "near": surface.near, "start": self.start, "steps": self.steps, "seed": self.seed, "noise": self.noise,
            "tuned": self.tuned, "ball": None if self.ball is None else vars(self.ball),
            "paths": [{
                "rule": path.rule, "stepped_as": path.stepped_as or None, "lr": path.lr, "on_edge": path.on_edge,
                "reached": path.reached, "diverged": path.diverged, "left": path.left, "end": path.points[-1],
                "height": path.heights[-1], "distance": path.distance[-1], "points": path.points,
                "heights": path.heights, "slopes": path.slopes, "state": path.state,
            } for path in self.paths],
        })  # fmt: skip

    def to_csv(self) -> str:
        """A line for each step of each rule: rule, step, x, y, height, to nine digits."""
        lines = ["rule,step,x,y,height"]
        for path in self.paths:
            rows = zip(path.points.tolist(), path.heights.tolist(), strict=True)
            lines += [f"{path.rule},{t},{x:.9g},{y:.9g},{z:.9g}" for t, ((x, y), z) in enumerate(rows)]
        return "\n".join(lines) + "\n"

    def table(self) -> Table:
        """A row for each rule."""
        return Table(HEAD, [row(path) for path in self.paths], right=HEAD[1:3], prose=True, style="cyan")

    def draw(self, width: int = 100) -> str:
        """The table as text."""
        return text(self.table(), width=width)

    @property
    def said(self) -> str:
        """What ran, on one line."""
        said = [
            f"{self.surface.title} from ({', '.join(f'{x:g}' for x in self.start)})",
            f"{self.steps} steps",
            self.rates,
        ]
        said += [f"noise {self.noise:g}"] * bool(self.noise)
        said += [f"seed {self.seed}"] * bool(self.noise or self.surface.sampled)
        return " · ".join(said)

    def _picture(self) -> str:
        return svg(self.chart(6.0), 720, 480)

    def __str__(self) -> str:
        return f"{self.said}\n\n{self.draw()}"

    def __repr__(self) -> str:
        return f"Paths({self.surface.name!r}, {', '.join(path.rule for path in self.paths)})"
