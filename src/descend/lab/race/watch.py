"""How far a race is: what runs, how much is done, how long it will take. Events in, text out; no terminal."""

from collections.abc import Callable
from time import perf_counter

from .race import Config, Entry, Event, RuleDone, RuleFailed, RuleReady, RuleStarted, RunDone, most_runs
from .table import duration


class Watch:
    """Counts events. `clock` gives seconds; tests bring their own."""

    def __init__(self, config: Config, entries: list[Entry], clock: Callable[[], float] = perf_counter) -> None:
        self.config = config
        self.trials = {entry.rule: len(entry.grid) for entry in entries}
        self.expected = most_runs(config, entries)
        self.done = 0
        self.rules_done = 0
        self.runs_of: dict[str, int] = {}
        self.running: dict[str, str] = {}
        self._clock = clock
        self._begin = clock()

    def take(self, event: Event) -> None:
        """Count an event."""
        match event:
            case RuleStarted(rule):
                self.runs_of[rule] = 0
                self.running[rule] = "compiling its kernels"
            case RuleReady(rule, _):
                self.running[rule] = self._phase(rule)
            case RunDone(run):
                self.done += 1
                self.runs_of[run.rule] += 1
                self.running[run.rule] = self._phase(run.rule)
            case RuleDone(rule) | RuleFailed(rule):
                self.rules_done += 1
                self.running.pop(rule, None)
                # Fewer runs than planned when the tuned learning rate is the default.
                self.expected -= self.trials[rule] + 2 * self.config.seeds - self.runs_of.get(rule, 0)

    def _phase(self, rule: str) -> str:
        trials, seeds, done = self.trials[rule], self.config.seeds, self.runs_of[rule]
        if done < trials:
            return f"tuning {done + 1}/{trials}"
        if done < trials + seeds:
            return f"racing, seed {done - trials + 1}/{seeds}"
        return f"at its default lr, seed {min(done - trials - seeds + 1, seeds)}/{seeds}"

    @property
    def elapsed(self) -> float:
        return self._clock() - self._begin

    @property
    def left(self) -> float | None:
        """Seconds to go at the pace so far; None before the first run is done."""
        return self.elapsed * (self.expected - self.done) / self.done if self.done else None

    def summary(self) -> str:
        """`57/136 runs · 3.1 s · about 4.2 s left`."""
        left = "" if self.left is None or not self.left else f" · about {duration(self.left)} left"
        return f"{self.done}/{self.expected} runs · {duration(self.elapsed)}{left}"
