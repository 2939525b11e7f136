"""What was chosen: the rule, the rate, the schedule; how sure that is, what it cost, and the optimizer itself."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ...core.jsonable import jsonable
from ...draw.axes import ENDINGS
from ...draw.chart import Chart
from ...draw.pictured import Pictured
from ..trials.annealing import annealed
from ..trials.trial import warmup
from . import code, words
from .found import Found, Option
from .lattice import PER_DECADE
from .reading import Expected, expected, extrapolated, spread
from .strategy import FEWEST, Choosing, Level, Outcome, cliff

CLIFF = 2  # quarter decades between a rate and the lowest that diverged in the longest runs


@dataclass(frozen=True)
class Choice(Found, Pictured):
    """What `choose` found, and what is done with it: see `Found` for its numbers."""

    endings = (*ENDINGS, ".html", ".json")
    size = (820, 380)

    @property
    def settings(self) -> dict[str, float]:
        """The rule's other settings: its defaults."""
        from ... import rules

        return {name: float(value) for name, value in rules.get(self.rule).settings.items() if name != "lr"}

    @cached_property
    def reason(self) -> str:
        """Why, in one sentence."""
        return words.reason(self)

    def rate(self) -> Any:
        """The schedule of the learning rate over `steps`: a `descend.schedules.Schedule`."""
        return annealed(self.schedule, self.lr, self.steps)

    def optimizer(self, model: Any) -> Any:
        """The chosen optimizer for a torch module, with its schedule; `step()` it `steps` times.

        Warns where the module is not the one that was chosen for: another width has another best rate.
        """
        from .building import optimizer

        if not hasattr(model, "named_parameters"):
            raise TypeError(f"optimizer(model) takes the module itself, not its parameters; got {type(model).__name__}")
        shapes = tuple((name, tuple(p.shape)) for name, p in model.named_parameters())
        if self.model and shapes != self.model:
            other = next(
                (a for a, b in zip(shapes, self.model, strict=False) if a != b), "another number of parameters"
            )
            warnings.warn(
                f"this is not the model that was chosen for, {other} differs: its best rate may be another",
                stacklevel=2,
            )
        return optimizer(self.rule, model, self.rate())

    def at(self, horizon: int) -> "Choice":
        """This choice for a training of another length: rates and losses carried on by what they did so far.

        Rule and schedule stay. Its doubts say so where the runs were too short for the new length.

        Args:
            horizon: steps of the other training, from 16 on.
        Raises:
            ValueError: no such horizon.
        """
        if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < FEWEST:
            raise ValueError(f"horizon must be a whole number of steps from {FEWEST} on, got {horizon!r}")
        times = horizon / self.asked_steps
        options = tuple(_option(self.levels, self.outcomes, o.rule, o.step_s, o.price, times) for o in self.options)
        return replace(
            self,
            asked_steps=horizon,
            options=options,
            steps=max(FEWEST, round(horizon / self.best.price)),
            spent=self.spent / times,
            levels=tuple(replace(level, share=level.share / times) for level in self.levels),
            doubts=(
                *(d for d in self.doubts if d != words.far(self.best.share)),
                *filter(None, [words.far(options[0].share)]),
            ),
        )

    def code(self) -> str:
        """The lines that do without this library where torch has the rule, and otherwise those that use it.

        They decay what `optimizer(model)` decays; only torch's lines do not know what a model's own
        `no_weight_decay()` spares (a convention of timm).
        """
        return code.lines(self.rule, self.lr, self.schedule, self.steps, warmup(self.steps))

    def as_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and None only; what is not finite is None."""
        return jsonable({
            "name": self.name, "rule": self.rule, "lr": self.lr, "schedule": self.schedule, "steps": self.steps,
            "settings": self.settings, "expected": self.expected, "interval": list(self.interval),
            "confidence": self.confidence, "reason": self.reason, "doubts": list(self.doubts),
            "options": [
                {"rule": o.rule, "lr": o.lr, "expected": o.expected.loss, "interval": [o.expected.low, o.expected.high],
                 "seen": o.seen, "share": o.share, "step_ms": 1e3 * o.step_s, "price": o.price} for o in self.options
            ],
            "dropped": self.dropped, "spent": self.spent, "seconds": self.seconds, "start": self.start,
            "tried": [{**asdict(o.trial), "loss": o.loss} for o in self.outcomes], "code": self.code(),
        })  # fmt: skip

    def to_html(self) -> str:
        """A page of its own: no script, no request."""
        from .page import html

        return html(self, self.code(), self.to_json())

    def report(self, file: str | Path) -> Path:
        """Write the page: the answer, what was tried, what it cost, the numbers for download; returns the path.

        A name without an ending gets `.html`.

        Raises:
            ValueError: another ending: `save` writes pictures. OSError: it cannot be written.
        """
        file = Path(file)
        if file.suffix and file.suffix.lower() != ".html":
            raise ValueError(f"{file.name}: a report is a page, its name ends in .html; pictures and JSON: save()")
        return self.save(file.with_suffix(".html"))

    def chart(self) -> Chart:
        """The loss by rate: each rule in its longest runs."""
        from .page import chart

        return chart(self)

    def __str__(self) -> str:
        return words.text(self)


def answer(choosing: Choosing, name: str, seconds: float) -> Choice:
    """What the complete levels of a choice say.

    Args:
        name: of what was trained.
        seconds: on the clock.
    Raises:
        ValueError: no level is complete, every run diverged, or no rule moved the loss.
    """
    if not choosing.levels:
        done = len(choosing.seen)
        raise ValueError(
            f"the time was over after {done} run{'s' * (done != 1)}, too few to choose by: give it more "
            "seconds, or fewer rules"
        )
    last, start = choosing.levels[-1], choosing.start
    outcomes = tuple(choosing.seen[trial] for trial in sorted(choosing.seen))
    levels = choosing.levels
    if choosing.falls_late and last.share == 1:  # what shorter runs told is no part of the answer
        levels = [last]
    told = (_option(levels, outcomes, rule, choosing.step_s(rule), choosing.price(rule)) for rule in last.valleys)
    options = sorted(told, key=lambda o: (o.expected.loss, o.lr))
    options = [o for o in options if math.isfinite(o.seen)]
    if not options:
        raise ValueError(f"every run diverged, at all rates that were tried; the loss begins at {start:.4g}")
    if abs(start - options[0].seen) <= 1e-3 * abs(start) or not options[0].seen < start:
        raise ValueError(f"no rule made the loss smaller than it was at the start ({start:.4g}): nothing to choose by")
    best = options[0].rule
    again = [choosing.again] if choosing.again is not None and best in choosing.again.valleys else []
    if again:
        options[0] = _option([*levels, *again], outcomes, best, choosing.step_s(best), choosing.price(best))
    linear, other = choosing.other or (1.0, 1.0)
    winner = last.ranked[0]
    schedule = "cosine" if best == winner and other < linear else "linear"
    return Choice(
        name=name,
        asked_steps=choosing.asked.horizon,
        options=tuple(options),
        schedule=schedule,
        steps=choosing.steps(best),
        dropped=words.dropped(choosing),
        doubts=tuple(words.doubts(choosing, options)),
        spent=choosing.spent,
        seconds=seconds,
        start=start,
        levels=(*choosing.levels, *again),
        outcomes=outcomes,
        interrupted=choosing.interrupted,
    )


def _option(
    levels: Sequence[Level], outcomes: Sequence[Outcome], rule: str, step_s: float, price: float, times: float = 1.0
) -> Option:
    """What is said of a rule for a training so many times as long as the one that was chosen for."""
    luck = spread([valley.losses for valley in level.valleys.values()] for level in levels)
    levels = list({level.share: level for level in levels if rule in level.valleys}.values())  # more seeds come last
    shares = [level.share / times for level in levels]
    losses = [level.valleys[rule].loss for level in levels]
    finite = [k for k, loss in enumerate(losses) if math.isfinite(loss)]
    if not finite:
        return Option(rule, 0.0, Expected(math.inf, math.inf, math.inf), math.inf, shares[-1], 0.0, 1.0)
    place = extrapolated([levels[k].valleys[rule].place for k in finite], [shares[k] for k in finite])
    place = min(place, cliff(outcomes, rule) - CLIFF)
    guess = expected([losses[k] for k in finite], [shares[k] for k in finite], luck, levels[finite[-1]].seeds)
    lr = float(f"{10 ** (place / PER_DECADE):.2g}")
    return Option(rule, lr, guess, losses[-1], shares[-1], step_s, price)
