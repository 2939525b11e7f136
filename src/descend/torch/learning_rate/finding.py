"""What `find_lr` returns: a learning rate, why, and everything it rests on."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...core.shown import Shown
from . import curve as curves
from . import words
from .arguments import lead
from .curve import Curve
from .strategy import Evidence, Probe


@dataclass(frozen=True)
class LRFinding(Shown):
    """A learning rate and its evidence. Every rate is that of the first parameter group that is not at 0.

    Attributes:
        rule: name of the optimizer's class.
        evidence: all sweeps and probes.
        bases: lr of each group at the time; `.lrs` keeps their ratios.
        range: (low, high) of the sweeps.
        evaluations: gradients taken, over all.
        seconds: it took.
        late: whether the time budget ended it.
        free: whether the rule finds its rate itself, so that 1 is its usual lr.
    """

    rule: str
    evidence: Evidence
    bases: tuple[float, ...]
    range: tuple[float, float]
    evaluations: int
    seconds: float
    late: bool = False
    free: bool = False

    @cached_property
    def lr(self) -> float:
        """The learning rate to train with."""
        if self.evidence.plateau:
            return self.evidence.plateau[0]
        return self.median if self.fell else min(lead(self.bases), self.widest_stable)

    @property
    def fell(self) -> bool:
        """Whether the loss of any sweep fell by more than its noise."""
        return any(curves.fall(c) for c in self.curves)

    @property
    def median(self) -> float:
        """The geometric median of valley, steepest and minimum/10, over the repeats."""
        return curves.middle(self.evidence.medians)

    @property
    def lrs(self) -> list[float]:
        """The learning rate of each parameter group: `.lr`, in the ratios they had."""
        return [self.lr * (base / lead(self.bases)) for base in self.bases]

    @property
    def multiplier(self) -> float:
        """What to multiply every group's lr by."""
        return self.lr / lead(self.bases)

    @property
    def suggestions(self) -> dict[str, float]:
        """Rule of thumb -> lr: valley, steepest, minimum/10, slide."""
        return self.evidence.suggestions

    @property
    def band(self) -> tuple[float, float]:
        """Lowest and highest geometric median of the repeats."""
        return min(self.evidence.medians), max(self.evidence.medians)

    @property
    def plateau(self) -> tuple[float, float]:
        """Lowest and highest probed lr that does nearly as well as the best; without probes, `.band`."""
        found = self.evidence.plateau
        return (found[0], found[-1]) if found else self.band

    @property
    def widest_stable(self) -> float:
        """Half the lr from which training turns ragged or diverges."""
        return self.evidence.stable

    @property
    def one_cycle(self) -> tuple[float, float]:
        """Start and top of a one-cycle schedule (Smith 2018): where the loss begins to fall, the widest stable lr."""
        low = curves.middle(curves.begins_to_fall(c) for c in self.evidence.sweeps)
        return min(low, self.widest_stable / 10), self.widest_stable

    @property
    def curve(self) -> Curve:
        """The first sweep: arrays lr, raw, smoothed; diverged_at; val."""
        return self.evidence.sweeps[0]

    @property
    def curves(self) -> list[Curve]:
        """All sweeps."""
        return self.evidence.sweeps

    @property
    def probes(self) -> list[Probe]:
        """Short trainings at constant rates, in the order tried."""
        return self.evidence.probes

    @property
    def diverged_at(self) -> float | None:
        """The lowest lr at which a sweep diverged, or None."""
        return min((c.diverged_at for c in self.curves if c.diverged_at is not None), default=None)

    @cached_property
    def doubts(self) -> list[str]:
        """What speaks against trusting the result, worst first; empty if nothing does."""
        return words.doubts(self)

    @property
    def confidence(self) -> str:
        """ "high", "medium" or "low"."""
        return self.doubts[0].partition(":")[0] if self.doubts else "high"

    @property
    def reason(self) -> str:
        """One sentence: how the rate was chosen, and how far to trust it."""
        return words.reason(self)

    def apply(self, optimizer: Any) -> None:
        """Set `.lrs` in an optimizer with as many groups.

        A schedule in place of a rate is replaced by the number. A scheduler that is made afterwards begins there; one
        that was made before has noted its own rates and writes them at its next step. Both get a warning.

        Raises:
            ValueError: another number of groups.
        """
        if len(optimizer.param_groups) != len(self.bases):
            raise ValueError(f"found for {len(self.bases)} groups; this optimizer has {len(optimizer.param_groups)}")
        said = words.overruled(optimizer.param_groups, self.multiplier)
        for group, lr in zip(optimizer.param_groups, self.lrs, strict=True):
            for name in {"lr", "initial_lr"} & set(group):
                if hasattr(group[name], "fill_"):
                    group[name].fill_(lr)
                else:
                    group[name] = lr
        for warning in said:
            warnings.warn(warning, UserWarning, stacklevel=2)

    def as_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and None only; what is not finite is None."""
        return _plain({
            "rule": self.rule, "lr": self.lr, "lrs": self.lrs, "multiplier": self.multiplier,
            "confidence": self.confidence, "reason": self.reason, "suggestions": self.suggestions,
            "geometric_median": self.median, "band": self.band, "plateau": self.plateau,
            "widest_stable": self.widest_stable, "one_cycle": self.one_cycle, "diverged_at": self.diverged_at,
            "range": self.range, "extended": self.evidence.extended, "late": self.late,
            "evaluations": self.evaluations, "seconds": self.seconds,
            "probes": [asdict(probe) for probe in self.probes], "curves": [asdict(c) for c in self.curves],
        })  # fmt: skip

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False)

    def to_html(self) -> str:
        """A page of its own: no script, no request."""
        from .page import html

        return html(self)

    def plot(self, width: int | None = None) -> Any:
        """Print the curve in braille signs; `.save("x.svg")` of what comes back writes a picture.

        `width` in characters; default: the terminal's, at most 100.
        """
        from .picture import Picture

        picture = Picture(self)
        print(picture.text(width))
        return picture

    def save(self, path: str | Path) -> Path:
        """Write an .svg, .png or .html. Raises ValueError for other endings."""
        from .picture import Picture

        return Picture(self).save(path)

    def _picture(self) -> str:
        from .picture import Picture

        return Picture(self).svg()

    def __repr__(self) -> str:
        return f"LRFinding(lr={words.rate(self.lr)}, rule={self.rule!r}, confidence={self.confidence!r})"

    def __str__(self) -> str:
        return self.reason


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
