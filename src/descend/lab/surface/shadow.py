"""What was found on a plane through the parameters of a model: losses, shadows of paths, how far they mislead."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...draw import axes, palette
from ...draw.chart import Axis, Chart, Mark, Walk
from ...draw.pictured import Pictured
from ...draw.terminal import Table, text
from .picture import bands


@dataclass(frozen=True, eq=False)
class Shadow:
    """A path on the plane: `places` (T, 2), the losses (T,) of the path itself and of its places on the plane."""

    name: str
    places: np.ndarray
    losses: np.ndarray
    on_plane: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """(T,): how much higher the loss is on the plane than on the path."""
        return self.on_plane - self.losses


@dataclass(frozen=True, eq=False)
class Landscape(Pictured):
    """`losses` (len(b), len(a)) on the plane; `explained`: the shares of all movement that its two axes hold."""

    endings = (*axes.ENDINGS, *axes.MOVING, ".json")

    a: np.ndarray
    b: np.ndarray
    losses: np.ndarray
    along: str
    paths: list[Shadow] = field(default_factory=list)
    explained: list[float] = field(default_factory=list)

    def chart(self) -> Chart:
        """The map."""
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
        for k, path in enumerate(self.paths):
            told = f"{path.name}: loss {path.losses[-1]:.3g}, on the plane {path.on_plane[-1]:.3g}"
            u, v = path.places.T
            drawn.add(Walk(u, v, palette.mark_of(k), palette.series(k), palette.dash_of(k), title=told, name=path.name))
        for path in self.paths[:1]:
            drawn.add(Mark(float(path.places[0, 0]), float(path.places[0, 1]), "circle", "ink", True, 1.3, "the start"))
        return drawn

    def plot(self, ax: Any = None) -> Any:
        """The map, as of every picture; where matplotlib is missing, the text of all."""
        return axes.plot(self.chart(), self.__str__, ax)

    def to_json(self) -> str:
        paths = [{"name": p.name, "places": p.places.tolist(), "losses": p.losses.tolist(),
                  "on_plane": p.on_plane.tolist()} for p in self.paths]  # fmt: skip
        whole = {"along": self.along, "explained": self.explained, "a": self.a.tolist(), "b": self.b.tolist()}
        return json.dumps({**whole, "losses": self.losses.tolist(), "paths": paths}, ensure_ascii=False)

    def draw(self, width: int = 100) -> str:
        """How far the plane misleads, path by path, as text."""
        head = ("path", "points", "loss at its end", "on the plane", "largest error", "at point")
        rows = []
        for path in self.paths:
            worst = int(np.abs(path.errors).argmax())
            ends = (f"{path.losses[-1]:.4g}", f"{path.on_plane[-1]:.4g}", f"{path.errors[worst]:+.3g}")
            rows.append((path.name, str(len(path.losses)), *ends, str(worst)))
        return text(Table(head, rows, right=head[1:], style="cyan"), width=width)

    def __str__(self) -> str:
        low, high = float(np.nanmin(self.losses)), float(np.nanmax(self.losses))
        said = f"losses {low:.3g} to {high:.3g} on {len(self.b)} × {len(self.a)} places, along {self.along}"
        if self.explained:
            said += f", which hold {self.explained[0]:.1%} and {self.explained[1]:.1%} of the movement"
        return f"{said}\n\n{self.draw()}" if self.paths else said

    def __repr__(self) -> str:
        return f"Landscape({len(self.b)} × {len(self.a)}, {', '.join(path.name for path in self.paths) or 'no paths'})"
