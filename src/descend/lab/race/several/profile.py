"""Performance profiles over tasks (Dolan & Moré 2002), scored as AlgoPerf does; pure functions.

The ratio of a rule on a task is how many times the best rule's cost it needs for the loss it ends with: in steps, from
the leader's shorter runs, and in seconds. More than τ = 4 is a miss. A profile is the share of tasks with a ratio of at
most τ; the score is its mean over τ from 1 to 4 (Dahl et al. 2023, arXiv:2306.07179).
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

MOST = 4.0
FEWEST = 3  # tasks below which a profile says nothing
RESAMPLED = 2_000
LEVEL = 0.95


@dataclass(frozen=True)
class Score:
    """The score of a rule, 0..1, and its bootstrap interval over tasks."""

    rule: str
    score: float
    low: float
    high: float


def in_seconds(times_steps: Mapping[str, float], step_ms: Mapping[str, float]) -> dict[str, float]:
    """Ratios of one task in seconds: steps times what a step costs, over the least."""
    costs = {rule: times * step_ms[rule] for rule, times in times_steps.items()}
    least = min(costs.values())
    return {rule: cost / least for rule, cost in costs.items()}


def share(ratios: Sequence[float], tau: float) -> float:
    """The part of the tasks whose ratio is at most tau."""
    return sum(ratio <= tau for ratio in ratios) / len(ratios)


def score(ratios: Sequence[float]) -> float:
    """The area under the profile from 1 to 4, over 3: of each task what is left of 4 after its ratio."""
    return fmean(max(0.0, MOST - max(ratio, 1.0)) / (MOST - 1) for ratio in ratios)


def scores(by_task: Sequence[Mapping[str, float]], rules: Sequence[str]) -> list[Score]:
    """Every rule's score, the best first; a task that lacks a rule (it failed) counts as a miss.

    Raises:
        ValueError: fewer than three tasks.
    """
    if len(by_task) < FEWEST:
        raise ValueError(f"a profile needs at least {FEWEST} tasks; got {len(by_task)}")
    draw = random.Random(0)
    draws = [[draw.randrange(len(by_task)) for _ in by_task] for _ in range(RESAMPLED)]
    found = []
    for rule in rules:
        ratios = [task.get(rule, math.inf) for task in by_task]
        again = sorted(score([ratios[k] for k in some]) for some in draws)
        ends = [again[round(q * (RESAMPLED - 1))] for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2)]
        found.append(Score(rule, score(ratios), *ends))
    return sorted(found, key=lambda one: -one.score)
