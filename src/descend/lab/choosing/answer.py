"""What was chosen: the rule, the rate, the schedule; how sure that is, what it cost, and the optimizer itself."""

import math
import warnings
from collections.abc import Mapping, Sequence
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
from .belief import Belief
from .found import Expected, Found, Option
from .lattice import PER_DECADE
from .outcomes import Level, Outcome, cliff
from .strategy import FEWEST, Choosing

CLIFF = 2  # quarter decades between a rate and the lowest that gained nothing in the longest runs, or diverged in any
# Deviations on each side of what is expected, within which nine of ten of the study's answers ended: where all rules
# had a run of the full length, and where not.
TRIED, UNTRIED = 2.5, 4.0


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
        levels = tuple(replace(level, share=level.share / times) for level in self.levels)
        costs = {o.rule: (o.step_s, o.price) for o in self.options}
        options = _options(self.belief, levels, self.outcomes, costs, horizon / self.belief.horizon)
        options = [o for o in options if o.rule == self.rule] + [o for o in options if o.rule != self.rule]
        return replace(
            self,
            asked_steps=horizon,
            options=tuple(options),
            steps=max(FEWEST, round(horizon / self.best.price)),
            spent=self.spent / times,
            levels=levels,
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
    """What the runs of a choice say.

    Args:
        name: of what was trained.
        seconds: on the clock.
    Raises:
        ValueError: too few runs, every run diverged, or no rule moved the loss.
    """
    if not choosing.answerable:
        done = len(choosing.seen)
        raise ValueError(
            f"the time was over after {done} run{'s' * (done != 1)}, too few to choose by: give it more "
            "seconds, or fewer rules"
        )
    start, levels = choosing.start, choosing.levels
    outcomes = tuple(choosing.seen[trial] for trial in sorted(choosing.seen))
    lowest = min(o.loss for o in outcomes)
    if not math.isfinite(lowest):
        raise ValueError(f"every run diverged, at all rates that were tried; the loss begins at {start:.4g}")
    if abs(start - lowest) <= 1e-3 * abs(start) or not lowest < start:
        raise ValueError(f"no rule made the loss smaller than it was at the start ({start:.4g}): nothing to choose by")
    belief = choosing.belief()
    costs = {rule: (choosing.step_s(rule), choosing.price(rule)) for rule in belief.rules}
    options = _options(belief, levels, outcomes, costs)
    dropped = words.dropped(choosing, {o.rule for o in options})
    late = "" if choosing.timed_out and options[0].share >= 1 else choosing.late  # none longer was to come
    untried = [rule for rule, why in dropped.items() if why == words.UNTRIED]
    return Choice(
        name=name,
        asked_steps=choosing.asked.horizon,
        options=tuple(options),
        steps=choosing.steps(options[0].rule),
        dropped=dropped,
        doubts=tuple(words.doubts(late, options, levels, untried, start, belief.regret())),
        spent=choosing.spent,
        seconds=seconds,
        start=start,
        levels=levels,
        outcomes=outcomes,
        belief=belief,
        interrupted=choosing.interrupted,
    )


def _options(
    belief: Belief,
    levels: Sequence[Level],
    outcomes: Sequence[Outcome],
    costs: Mapping[str, tuple[float, float]],
    times: float = 1.0,
) -> list[Option]:
    """What is said of the rules that did not diverge everywhere, the best first.

    Args:
        costs: (seconds of a step, its price) of each rule.
        times: how many times as long as the training that was chosen for the one is that is asked about.
    """
    whole = {rule for level in levels if level.share >= 1 for rule in level.rules}
    wide = TRIED if whole >= set(belief.rules) else UNTRIED
    found = []
    for rule, end in belief.at_end(times).items():
        best = [(level.share, of) for level in levels if (of := level.near(rule, end.place)) is not None]
        if not best:
            continue
        place = min(end.place, cliff(outcomes, rule) - CLIFF, belief.edges[rule] - CLIFF)
        lr = float(f"{10 ** (place / PER_DECADE):.2g}")
        low, loss, high = (belief.scale.back(end.mean + k * end.deviation) for k in (-wide, 0, wide))
        (share, seen), (step_s, price) = best[-1], costs[rule]
        found.append(Option(rule, lr, Expected(loss, low, high), seen.loss, share, step_s, price, end.schedule))
    return sorted(found, key=lambda o: (o.expected.loss, o.lr))
