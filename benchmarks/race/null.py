"""A rule raced against itself: how often is it called better, or behind?

The second copy trains on seeds of its own, for tuning and for the race; so the differences are those of two rules that
happen to be equal, the choice of the rate included, and nothing is paired. That is the hardest null there is: paired
copies would be the same runs.
"""

from collections import Counter
from collections.abc import Iterator

from descend.lab.race.asked import entries_of
from descend.lab.race.protocol.stages import Stages
from descend.lab.race.protocol.standing import LEADER, Standings
from descend.lab.race.race import Config
from descend.lab.tasks.problem import Problem
from descend.lab.tasks.source import Source
from descend.lab.trials.train import train
from descend.lab.trials.trial import Run, Trial


def standings(config: Config, problem: Problem) -> Standings:
    """A race in this process, up to its verdict."""
    entries = entries_of(config.rules)
    runs: dict[Trial, Run] = {}
    while True:
        stages = Stages(config, entries, runs, {})
        todo = stages.next()
        if stages.standings is not None and (todo is None or not todo.name.startswith("look")):
            return stages.standings
        assert todo is not None
        for trial in todo.trials:
            runs[trial] = train(trial, problem)


def verdicts(rule: str, task: str, races: int, steps: int, seeds: int, first: int = 0) -> Iterator[str]:
    """What each race says of the one that is not the leader."""
    source = Source(task)
    problem, card = source.problem(), source.card()
    for seed in range(first, first + races):
        config = Config((rule, f"{rule}#2"), task, steps, card.batch, seeds, seed, card.delta, log=card.log)
        found = standings(config, problem)
        yield next((row.standing for row in found.rows if row.standing != LEADER), "undecided")


def told(said: list[str]) -> str:
    """`200 races: 3 behind (1.5 %), 150 equal, 47 undecided`."""
    count = Counter(said)
    wrong = count["behind"] + count["better"]
    return f"{len(said)} races: {wrong} better or behind ({100 * wrong / len(said):.1f} %), " + ", ".join(
        f"{count[name]} {name}" for name in ("equal", "undecided")
    )
