"""What `find_lr` returns: a learning rate, why, and everything it rests on."""

import warnings
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from ...core.jsonable import jsonable
from ...draw.axes import ENDINGS
from ...draw.chart import Chart
from ...draw.pictured import Pictured
from . import picture, words
from .evidence import Found


@dataclass(frozen=True)
class LRFinding(Found, Pictured):
    """A learning rate, why, and what speaks against it. Every rate is that of the first parameter group not at 0."""

    endings = (*ENDINGS, ".html")
    size = (820, 340)

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
        return jsonable({
            "rule": self.rule, "lr": self.lr, "lrs": self.lrs, "multiplier": self.multiplier,
            "confidence": self.confidence, "reason": self.reason, "suggestions": self.suggestions,
            "geometric_median": self.median, "band": self.band, "plateau": self.plateau,
            "widest_stable": self.widest_stable, "one_cycle": self.one_cycle, "diverged_at": self.diverged_at,
            "range": self.range, "extended": self.evidence.extended, "late": self.late,
            "evaluations": self.evaluations, "seconds": self.seconds,
            "probes": [asdict(probe) for probe in self.probes], "curves": [asdict(c) for c in self.curves],
        })  # fmt: skip

    def to_html(self) -> str:
        """A page of its own: no script, no request."""
        from .page import html

        return html(self, self.as_dict())

    def draw(self, width: int | None = None) -> str:
        """The curve in braille signs and the rates read off it; `width` in characters, at most 100."""
        return picture.text(self, width)

    def chart(self) -> Chart:
        """The curve, its suggestions and the probes."""
        return picture.chart(self)

    def __repr__(self) -> str:
        return f"LRFinding(lr={words.rate(self.lr)}, rule={self.rule!r}, confidence={self.confidence!r})"

    def __str__(self) -> str:
        return self.reason
