"""What sharpness along trainings shows: a curve for each, and the limit of its rule as a line beside it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ....core.jsonable import jsonable
from ....draw import axes, palette
from ....draw.chart import Axis, Chart, Line
from ....draw.pictured import Pictured
from ....draw.terminal import Table, text

HEAD = ("path", "at step", "sharpness", "largest", "limit", "share first", "last", "2nd half")
CAPTION = "How near the limit; the last column is a median"


@dataclass(frozen=True, eq=False)
class Along:
    """One training: `steps`, `values`, `errors` (residuals), `limits` (NaN: not known), (T,) each."""

    name: str
    steps: np.ndarray
    values: np.ndarray
    errors: np.ndarray
    limits: np.ndarray
    formula: str = ""

    @property
    def shares(self) -> np.ndarray:
        """(T,): of the limit."""
        return self.values / self.limits

    def row(self) -> list[str]:
        """What the table says of it; the last number is the median over the second half of its points."""
        if not len(self.values):
            return [self.name, *["–"] * 7]
        known = self.shares[np.isfinite(self.shares)]
        ends = [str(self.steps[-1]), f"{self.values[-1]:.4g}", f"{np.nanmax(self.values, initial=-np.inf):.4g}"]
        if not len(known):
            return [self.name, *ends, "not known", "–", "–", "–"]
        parts = (known[0], known[-1], np.median(known[len(known) // 2 :]))
        return [self.name, *ends, f"{self.limits[-1]:.4g}", *(f"{part:.2f}" for part in parts)]


@dataclass(frozen=True, eq=False)
class Sharpness(Pictured):
    """`paths`, the relative `tolerance` of the eigenvalues, and the Hessian products that all of it took."""

    endings = (*axes.ENDINGS, ".html", ".json")

    paths: list[Along]
    tolerance: float
    products: int
    about: list[str] = field(default_factory=list)

    def chart(self) -> Chart:
        """Sharpness by step; each limit is a thin dashed line of the colour of its curve."""
        shown = [v[np.isfinite(v) & (v > 0)] for p in self.paths for v in (p.values, p.limits)]
        every = np.concatenate([*shown, [1e-12]]) if not any(map(len, shown)) else np.concatenate(shown)
        low, high = float(every.min()), float(every.max())
        log = high > 30 * low
        last = max((int(p.steps[-1]) for p in self.paths if len(p.steps)), default=1)
        y = Axis(low / 1.5, high * 1.5, log=True) if log else Axis(0, 1.1 * high)
        title = "largest eigenvalue of the Hessian by step: " + "; ".join(" ".join(p.row()[:5]) for p in self.paths)
        drawn = Chart(Axis(0, max(last, 1), label="step"), y, title, head="sharpness", names="below")
        drawn.foot = list(self.about)
        for k, path in enumerate(self.paths):
            seen = np.isfinite(path.values) & ((path.values > 0) | (not log))
            where = (path.steps[seen], path.values[seen])
            drawn.add(Line(*where, palette.series(k), palette.dash_of(k), name=path.name))
            known = np.isfinite(path.limits)
            if known.any():
                where = (path.steps[known], path.limits[known])
                drawn.add(Line(*where, palette.series(k), (2, 3), 1.3, f"{path.formula} of {path.name}"))
        return drawn

    def table(self) -> Table:
        return Table(HEAD, [path.row() for path in self.paths], right=(*HEAD[1:4], *HEAD[5:]), prose=True, style="cyan")

    def draw(self, width: int = 100) -> str:
        """A row for each training, as text."""
        return text(self.table(), width=width)

    def as_dict(self) -> dict[str, Any]:
        return jsonable({"about": self.about, "tolerance": self.tolerance, "products": self.products,
                         "paths": [vars(path) for path in self.paths]})  # fmt: skip

    def to_csv(self) -> str:
        """A line for each point: path, step, sharpness, residual, limit."""
        rows = [
            f"{p.name},{t},{value:.9g},{error:.3g},{limit:.9g}"
            for p in self.paths
            for t, value, error, limit in zip(p.steps, p.values, p.errors, p.limits, strict=True)
        ]
        return "\n".join(["path,step,sharpness,residual,limit", *rows]) + "\n"

    def to_html(self) -> str:
        """A page of its own: no script, no request."""
        from .page import html

        method = [
            *(f"{line}." for line in self.about),
            "Sharpness is the largest eigenvalue of the Hessian of the mean loss, by Lanczos' method on products that "
            f"torch's autograd makes, to a residual of {self.tolerance:g} of it: {self.products:,} products in all.",
            "The thin dashed line is the sharpness above which the rule's steps grow on a quadratic: 2/lr for gradient "
            "descent (Cohen et al. 2021), more with momentum. Of Adam and RMSprop both are those of the Hessian in the "
            "coordinates that the rule scales (Cohen et al. 2022).",
            "What this does not show: an edge where there is none. Steps of mini-batches end below it, and under cross "
            "entropy, once every label is fitted, the Hessian goes to 0.",
        ]
        rows = [(k, path.row()) for k, path in enumerate(self.paths)]
        data = ("sharpness.csv.gz", self.to_csv())
        return html("descend surface --sharpness", self.answer, self.chart(), 380, rows, HEAD, CAPTION, method, data)

    @property
    def said(self) -> str:
        """How it was measured, on one line."""
        limits = [f"the limit of {path.name} is {path.formula}" for path in self.paths if path.formula]
        done = f"residuals below {self.tolerance:g} of each eigenvalue, by {self.products:,} products with the Hessian"
        return "; ".join([*limits, done])

    @property
    def answer(self) -> str:
        """Who is at the edge, in a few words."""
        parts = {p.name: np.median(p.shares[len(p.shares) // 2 :]) for p in self.paths if len(p.shares)}
        known = [f"{name} at {part:.2f}" for name, part in parts.items() if np.isfinite(part)]
        if not known:
            return "Sharpness along trainings, of which no limit is known"
        return f"Sharpness over the limit, in the second half: {', '.join(known)}"

    def __str__(self) -> str:
        return "\n".join([*self.about, *[""] * bool(self.about), self.draw()])

    def __repr__(self) -> str:
        return f"Sharpness({', '.join(path.name for path in self.paths)})"
