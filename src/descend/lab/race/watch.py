"""How far a race is: what runs, how much is done, how long it will take. Events in, text out; no terminal."""

from collections.abc import Callable
from time import perf_counter

from ..trials.runners.runner import Event, RuleFailed, RunDone
from .protocol.stages import Round
from .protocol.standing import UNDECIDED, Standings
from .race import Config
from .table import duration


class Watch:
    """Counts events. `clock` gives seconds; tests bring their own."""

    def __init__(self, config: Config, kept: int = 0, clock: Callable[[], float] = perf_counter) -> None:
        self.config = config
        self.kept = kept  # runs that were in the store already
        self.done = 0
        self.round: Round | None = None
        self.done_here = 0
        self.standings: Standings | None = None
        self._clock = clock
        self._begin = clock()

    def take(self, event: Event | Round, standings: Standings | None = None) -> None:
        """Count an event; with a round come the standings before it."""
        match event:
            case Round():
                self.round, self.done_here, self.standings = event, 0, standings
            case RunDone():
                self.done += 1
                self.done_here += 1
            case RuleFailed(rule) if self.round:
                self.round = Round(self.round.name, [trial for trial in self.round.trials if trial.rule != rule])

    @property
    def total_here(self) -> int:
        return max(self.done_here, len(self.round.trials)) if self.round else 0

    @property
    def elapsed(self) -> float:
        return self._clock() - self._begin

    @property
    def racing(self) -> bool:
        return self.round is not None and self.round.name.startswith(("look", "pairs"))

    @property
    def left(self) -> float | None:
        """Seconds to go in this part of the race at the pace so far, at most; None before the first run is done."""
        if not self.done:
            return None
        runs = self.total_here - self.done_here
        if self.racing and self.standings is not None:
            going_on = {trial.rule for trial in self.round.trials} if self.round else set()
            last = max((trial.seed for trial in self.round.trials), default=0) if self.round else 0
            runs += len(going_on) * sum(seed > last for seed in self.config.final_seeds)
        return self.elapsed * runs / self.done

    def summary(self) -> str:
        """`tuning 57/136 · 3.1 s · about 4.2 s left`."""
        if self.round is None:
            return "starting"
        left = self.left
        told = "at most" if self.racing and self.standings else "about"
        rest = f" · {told} {duration(left)} left" if left else ""
        return f"{self.round.name} {self.done_here}/{self.total_here} · {duration(self.elapsed)}{rest}"

    def decided(self) -> str:
        """`5 of 7 decided`; empty before the first look is done."""
        if self.standings is None:
            return ""
        others = [row for row in self.standings.rows if row.name != self.standings.leader]
        return f"{sum(row.standing != UNDECIDED for row in others)} of {len(others)} decided"
