"""What the races of several tasks say together: sentences, plain data, one page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from ....core.jsonable import jsonable
from ....draw.chart import Axis, Chart, Line
from ....draw.page import both, page, table
from ....draw.palette import dash_of, series
from ....draw.svg import svg
from ..record import Record
from ..results import Results
from ..table import loss, rate, times
from ..verdict import SCHEDULE, verdict
from . import profile
from .profile import Score

TICKS = 61  # points of a profile's line


@dataclass(frozen=True)
class Several:
    """The races, with what each found."""

    races: list[tuple[Record, Results]]

    @property
    def rules(self) -> list[str]:
        return list(dict.fromkeys(rule for record, _ in self.races for rule in record.config.rules))

    @property
    def ratios(self) -> dict[str, list[dict[str, float]]]:
        """Of each task, in steps and in seconds."""
        known = [found for _, found in self.races if found.times_steps]
        return {
            "steps": [found.times_steps for found in known],
            "seconds": [profile.in_seconds(found.times_steps, found.train_step_ms) for found in known],
        }

    def scores(self) -> dict[str, list[Score]]:
        """By what is counted; empty with fewer than three tasks."""
        return {
            what: profile.scores(by_task, self.rules)
            for what, by_task in self.ratios.items()
            if len(by_task) >= profile.FEWEST
        }

    def sentences(self) -> list[str]:
        """What to use where nothing else is known, and what each task says first."""
        said = []
        for what, found in self.scores().items():
            best, *others = found
            near = [one.rule for one in others if one.high >= best.low]
            said.append(
                f"Per {what.removesuffix('s')} {best.rule} scores best over {len(self.ratios[what])} tasks, "
                f"{best.score:.2f} ({best.low:.2f} to {best.high:.2f})"
                + (f"; the intervals of {', '.join(near)} meet its." if near else ".")
            )
        return said or [f"{len(self.races)} tasks: too few for a profile, which needs {profile.FEWEST}."]

    def summary(self) -> dict[str, Any]:
        """Plain data for `--json` and the file."""
        return {
            "verdict": self.sentences(),
            "profile": {
                what: [{"rule": s.rule, "score": s.score, "low": s.low, "high": s.high} for s in found]
                for what, found in self.scores().items()
            },
            "tasks": [
                {
                    "task": record.config.task,
                    "race": record.id,
                    "verdict": verdict(record, found),
                    "times_steps": jsonable(found.times_steps),
                    "standing": {line.rule: line.standing.standing for line in found.tuned},
                    "lr": {line.rule: line.lr for line in found.tuned},
                }
                for record, found in self.races
            ],
        }

    def html(self) -> str:
        """One page: the profiles, the table of tasks and rules, what each task says."""
        colour = {rule: k for k, rule in enumerate(self.rules)}
        parts = ["<h1>descend race: all tasks</h1>"]
        parts += [f"<p{' class=lead' * (k == 0)}>{escape(text)}</p>" for k, text in enumerate(self.sentences())]
        for what, found in self.scores().items():
            parts.append(f"<h2>Performance profile, per {what.removesuffix('s')}</h2>")
            wide = self._profile(what, colour)
            narrow = svg(replace(wide, names="below"), 340, 260, f"profile-{what}-narrow")
            parts.append(both(svg(wide, 760, 300, f"profile-{what}"), narrow))
            rows = [(s.rule, f"{s.score:.3f}", f"{s.low:.3f} to {s.high:.3f}") for s in found]
            parts.append(str(table(rows, ("rule", "score", "95 % over tasks"), (1,))))
        rows = [(record.config.task, *(_cell(found, rule) for rule in self.rules)) for record, found in self.races]
        parts.append("<h2>Every task, every rule</h2>")
        caption = "Final validation loss, and how many times the leader's steps that takes"
        parts.append(str(table(rows, ("task", *self.rules), (), caption)))
        for record, found in self.races:
            parts.append(f"<h3>{record.config.task}</h3>")
            parts += [f"<p>{escape(sentence)}</p>" for sentence in verdict(record, found)]
        config = self.races[0][0].config
        parts.append(
            f"<p class=quiet>Every task: {2 * config.side + 1} rates and two more near the best for each rule, "
            f"{config.seeds} fresh seeds, {SCHEDULE[config.schedule]}. A profile is the share of tasks on which a rule "
            "needs at most τ times the best rule's cost; the score is its mean for τ from 1 to 4.</p>"
        )
        return page("descend race: all tasks", "\n".join(parts))

    def _profile(self, what: str, colour: dict[str, int]) -> Chart:
        chart = Chart(
            Axis(1, profile.MOST, label="times the best rule's " + what),
            Axis(0, 1.02),
            f"share of tasks against the ratio in {what}, one line per rule",
            names="right",
        )
        taus = [1 + (profile.MOST - 1) * k / (TICKS - 1) for k in range(TICKS)]
        for rule, k in colour.items():
            ratios = [task.get(rule, math.inf) for task in self.ratios[what]]
            shares = [profile.share(ratios, tau) for tau in taus]
            chart.add(Line(taus, shares, series(k), dash_of(k), name=rule))
        return chart


def _cell(found: Results, rule: str) -> str:
    line = found.line(rule)
    if line is None:
        return "failed"
    needs = found.times_steps.get(rule)
    return f"{loss(line.standing.mean)} at {rate(line.lr)}" + (f", {times(needs)}" if needs and needs > 1.05 else "")


def rows_of(several: Several) -> Sequence[tuple[str, ...]]:
    """The terminal's table: rules by score, per step and per second."""
    found = several.scores()
    if not found:
        return ()
    seconds = {one.rule: one for one in found["seconds"]}
    return [
        (
            one.rule,
            f"{one.score:.2f}",
            f"{one.low:.2f}–{one.high:.2f}",
            f"{seconds[one.rule].score:.2f}",
            f"{seconds[one.rule].low:.2f}–{seconds[one.rule].high:.2f}",
        )
        for one in found["steps"]
    ]
