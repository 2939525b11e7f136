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
from . import words
from .evidence import Found


@dataclass(frozen=True)
class LRFinding(Found, Shown):
    """A learning rate, why, and what speaks against it. Every rate is that of the first parameter group not at 0."""

    @cached_property
    def doubts(self) -> list[str]:
        """What speaks against trusting the result, worst first; empty if nothing does."""
        return words.doubts(self)

    @property
    def confidence(self) -> str:
        """ "high", "medium" or "low"."""
        return words.confidence(self.doubts)

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

        return html(self, self.as_dict())

    def draw(self, width: int | None = None) -> str:
        """The curve in braille signs and the rates read off it; `width` in characters, at most 100."""
        from .picture import text

        return text(self, width)

    def plot(self, ax: Any = None) -> Any:
        """The curve on ``ax`` (or new axes), which are returned; printed, and None, where matplotlib is missing."""
        from ...draw import axes
        from .picture import chart

        return axes.plot(chart(self), self.draw, ax)

    def save(self, path: str | Path) -> Path:
        """Write an .svg, .png, .pdf or .html; returns the path.

        Raises:
            ValueError: another ending.
            ModuleNotFoundError: .png and .pdf need matplotlib.
        """
        from ...draw import axes
        from .picture import chart

        path = Path(path)
        if path.suffix.lower() == ".html":
            path.write_text(self.to_html(), encoding="utf-8")
        else:
            axes.save(path, [chart(self)])
        return path

    def _picture(self) -> str:
        from ...draw.svg import svg
        from .picture import chart

        return svg(chart(self), 820, 340)

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
