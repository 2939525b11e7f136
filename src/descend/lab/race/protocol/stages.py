"""The stages of a race as one pure function: which trials are missing, given those that are done.

Range test, grid, more rates for all where a best one sits on the edge, more seeds near the best, then the race on fresh
seeds, look by look, and last the leader on shorter budgets, which prices what the others lack in steps. A stage
depends on nothing but finished stages. So a race that was killed goes on where it was, and ends with the same numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...trials.trial import RAMP, Run, Settings, Trial
from ..race import Config, Entry
from . import pairs, settings, tuning
from .pairs import Pair
from .settings import Candidate
from .standing import UNDECIDED, Standings, standings_of
from .tuning import Rate

Runs = Mapping[Trial, Run]
LADDER = (0.71, 0.5, 0.35, 0.25)  # of the steps: the leader's shorter runs
STREAM = 10**6  # seeds of `adamw#2` are those of `adamw` and so many


@dataclass(frozen=True)
class Round:
    """Trials that may run in any order, and what they are for."""

    name: str
    trials: list[Trial]


@dataclass(frozen=True)
class Tuned:
    """What tuning has found for a rule; `rates` ascend."""

    choice: tuning.Choice
    rates: list[Rate]
    centre: int


class Stages:
    """A race with the runs it has so far. `failed` rules take no further part."""

    def __init__(self, config: Config, entries: list[Entry], runs: Runs, failed: Mapping[str, str]) -> None:
        self.config, self.runs = config, runs
        self.entries = [entry for entry in entries if entry.rule not in failed]
        self.rules = [entry.rule for entry in self.entries]
        self.tuned: dict[str, Tuned] = {}
        self.standings: Standings | None = None  # after the last complete look
        self.pairs: dict[tuple[str, str], Pair] = {}  # every two rules
        self._counts: dict[str, int] = {}  # fresh seeds of each rule

    def next(self) -> Round | None:
        """The first stage with missing trials, and these; None where the race is over."""
        for stage in self._stages():
            if missing := [trial for trial in stage.trials if trial not in self.runs]:
                return Round(stage.name, missing)
        return None

    def _stages(self) -> Iterator[Round]:
        if not self.rules:
            return
        yield from self._tuning()
        yield from self._final()
        yield from self._ladder()
        yield from self._pairs()

    # tuning

    def _trial(self, rule: str, lr: float, seed: int, steps: int = 0, settings: Settings = ()) -> Trial:
        stream = int(rule.partition("#")[2] or 1) - 1
        return Trial(rule, lr, seed + stream * STREAM, steps or self.config.steps, self.config.schedule, settings)

    def _tuned_trial(self, rule: str, seed: int, steps: int = 0) -> Trial:
        choice = self.tuned[rule].choice
        return self._trial(rule, choice.lr, seed, steps, choice.settings)

    def _tuning(self) -> Iterator[Round]:
        config = self.config
        few, more = config.tuning_seeds[: config.grid_seeds], config.tuning_seeds
        ramps = {
            rule: Trial(rule, 1.0, self._trial(rule, 1.0, few[0]).seed, tuning.RAMP_STEPS, RAMP) for rule in self.rules
        }
        yield Round("range test", list(ramps.values()))
        centres = {e.rule: tuning.centre(self.runs.get(ramps[e.rule]), e.usual_lr) for e in self.entries}
        spans = {rule: (centre - config.side, centre + config.side) for rule, centre in centres.items()}
        for extension in range(tuning.EXTENSIONS + 1):
            grids = {rule: tuning.grid(*span) for rule, span in spans.items()}
            name = "grid" if not extension else "wider grid"
            yield Round(name, [self._trial(r, lr, seed) for r in self.rules for lr in grids[r] for seed in few])
            sides = {rule: tuning.side_of(self._rates(rule, grids[rule], few)) for rule in self.rules}
            if not any(sides.values()):
                break
            if extension < tuning.EXTENSIONS:
                for rule, (low, high) in spans.items():  # the same number of new rates for every rule
                    up = sides[rule] > 0 or (not sides[rule] and high - centres[rule] <= centres[rule] - low)
                    spans[rule] = (low, high + tuning.WIDER) if up else (low - tuning.WIDER, high)
        best = {}
        for rule in self.rules:
            rates = self._rates(rule, grids[rule], few)
            best[rule] = rates[tuning.best_of(rates)].lr
        trials = [self._trial(rule, lr, seed) for rule in self.rules for lr in tuning.near(best[rule]) for seed in more]
        yield Round("tuning", trials)
        tuned = {}
        for rule in self.rules:
            wide = [rate for rate in self._rates(rule, grids[rule], few)]
            close = self._rates(rule, tuning.near(best[rule]), more)
            rates = sorted({rate.lr: rate for rate in (*wide, *close)}.values(), key=lambda rate: rate.lr)
            choice = tuning.bagged(tuple(close))
            at_edge = {-1: "low", 0: "", 1: "high"}[sides[rule]]
            tuned[rule] = Tuned(replace(choice, edge=at_edge), rates, centres[rule])
        if config.tune:
            yield from self._settings(tuned)
        self.tuned = tuned

    def _rates(self, rule: str, lrs: list[float], seeds: tuple[int, ...]) -> list[Rate]:
        return tuning.means({lr: [self.runs[self._trial(rule, lr, seed)] for seed in seeds] for lr in lrs})

    def _settings(self, tuned: dict[str, Tuned]) -> Iterator[Round]:
        """The other settings, from the tuned rate on; what is found is written into `tuned`."""
        config = self.config
        few, more = config.tuning_seeds[: config.grid_seeds], config.tuning_seeds
        start: dict[str, Candidate] = {rule: (found.choice.lr, ()) for rule, found in tuned.items()}
        tried = {rule: [start[rule]] for rule in self.rules}

        def trials(rule: str, some: Sequence[Candidate], seeds: Sequence[int]) -> list[Trial]:
            return [self._trial(rule, lr, seed, 0, given) for lr, given in some for seed in seeds]

        def scores(rule: str, some: Sequence[Candidate], seeds: Sequence[int]) -> list[tuple[Candidate, float]]:
            losses = [[self.runs[trial].loss for trial in trials(rule, [one], seeds)] for one in some]
            return [(one, Rate(one[0], tuple(found)).score) for one, found in zip(some, losses, strict=True)]

        number = 0
        while number * settings.BATCH < config.tune:
            for entry in self.entries:
                lr = start[entry.rule][0]
                span = (lr / 10**settings.DECADES, lr * 10**settings.DECADES, settings.LOG)
                space = ((settings.LR, span), *sorted(entry.space.items()))
                known = tuple(scores(entry.rule, tried[entry.rule][1:], few))
                tried[entry.rule] += settings.ask(space, known, config.seed)
            number += 1
            yield Round(f"settings {number}", [t for rule in self.rules for t in trials(rule, tried[rule], few)])
        last = {}
        for rule in self.rules:
            order = sorted(scores(rule, tried[rule][1:], few), key=lambda found: found[1])
            last[rule] = [start[rule], *(one for one, _ in order[: settings.BEST])]
        yield Round("settings, more seeds", [t for rule in self.rules for t in trials(rule, last[rule], more)])
        for rule in self.rules:
            (lr, given), _ = min(scores(rule, last[rule], more), key=lambda found: found[1])
            found = tuned[rule]
            edge = found.choice.edge if not given else ""
            tuned[rule] = Tuned(replace(found.choice, lr=lr, edge=edge, settings=given), found.rates, found.centre)

    # the race

    def finals(self, rule: str) -> list[Run]:
        """The runs of a rule at its tuned rate on the fresh seeds, up to the first that is missing."""
        found = []
        for seed in self.config.final_seeds:
            run = self.runs.get(self._tuned_trial(rule, seed))
            if run is None:
                break
            found.append(run)
        return found

    def defaults(self, entry: Entry) -> list[Run]:
        """The runs of a rule at its default rate, on the seeds of the first look; empty until all are done."""
        seeds = self.config.final_seeds[: self.config.looks[0]]
        found = [self.runs.get(self._trial(entry.rule, entry.default_lr, seed)) for seed in seeds]
        return [run for run in found if run is not None] if None not in found else []

    @property
    def doubts(self) -> dict[str, float]:
        """What the choice of each rule's rate may cost it, as a share of its loss."""
        return {rule: found.choice.doubt for rule, found in self.tuned.items()}

    def _final(self) -> Iterator[Round]:
        config, active = self.config, set(self.rules)
        counts = dict.fromkeys(self.rules, 0)
        for k, n in enumerate(config.looks):
            seeds = config.final_seeds[:n]
            tuned = [self._tuned_trial(r, s) for r in self.rules if r in active for s in seeds]
            if k == 0:
                tuned += [self._trial(e.rule, e.default_lr, s) for e in self.entries for s in seeds]
            yield Round(f"look {k + 1}", list(dict.fromkeys(tuned)))
            for rule in active:
                counts[rule] = n
            self.standings = standings_of(
                self._losses(counts), config.looks, config.delta, config.against, config.log, self.doubts
            )
            if not (active := self.standings.still_open()):
                break
        self._counts = counts

    def _losses(self, counts: Mapping[str, int]) -> dict[str, list[float]]:
        return {rule: [run.loss for run in self.finals(rule)[:n]] for rule, n in counts.items()}

    def _pairs(self) -> Iterator[Round]:
        """After the verdict against the leader: more seeds for every two rules that cannot be told apart yet."""
        config, counts = self.config, self._counts
        known = pairs.against_leader(self.standings)
        judged = pairs.Judge(config.looks, config.delta, config.log, self.doubts, known)
        self.pairs = judged.of(self._losses(counts))
        if not config.pairs or config.against or not known:
            return
        for k, n in enumerate(config.looks):
            wanted = {
                rule
                for (a, b), pair in self.pairs.items()
                if pair.standing == UNDECIDED and (a, b) not in judged.known and min(counts[a], counts[b]) < n
                for rule in (a, b)
                if counts[rule] < n
            }
            if not wanted:
                continue
            seeds = config.final_seeds[:n]
            yield Round(f"pairs {k + 1}", [self._tuned_trial(r, s) for r in self.rules if r in wanted for s in seeds])
            counts.update(dict.fromkeys(wanted, n))
            self.pairs = judged.of(self._losses(counts))

    # what the others lack, in steps

    def ladder_trials(self, steps: int) -> list[Trial]:
        """The leader's trials on a shorter budget."""
        leader = self.standings.leader if self.standings else None
        if leader is None:
            return []
        seeds = self.config.final_seeds[: self.config.looks[0]]
        return [self._tuned_trial(leader, seed, steps) for seed in seeds]

    @property
    def ladder_steps(self) -> list[int]:
        return [steps for share in LADDER if (steps := round(share * self.config.steps)) >= 10]

    def _ladder(self) -> Iterator[Round]:
        if len(self.rules) > 1:
            yield Round("shorter budgets", [t for steps in self.ladder_steps for t in self.ladder_trials(steps)])
