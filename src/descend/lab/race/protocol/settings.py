"""Settings beside the rate, searched by Optuna: the same number of trials for every rule, in small batches.

What a batch asks for depends on the finished trials before it and on the race's seed, and on nothing else: a race that
was killed goes on where it was. Each batch is a fresh study that is told what is known (Akiba et al. 2019,
arXiv:1907.10902, its sampler: tree-structured Parzen estimators, Bergstra et al. 2011).
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ...trials.trial import Settings
from .tuning import rounded

BATCH = 4  # trials of a rule that are asked for at once
RANDOM = 8  # trials before the sampler looks at what is known
BEST = 3  # of them that meet the defaults on all tuning seeds
DECADES = 1.0  # of the rate, to each side of the one tuned with the defaults
LR = "lr"
LOG, COMPLEMENT = "log", "1 - x, log"  # how a range is searched

Range = tuple[float, float, str]
Candidate = tuple[float, Settings]


def ranges(settings: Mapping[str, object]) -> dict[str, Range]:
    """What is searched of a rule's settings: one decade to each side of the default, for betas of what lacks to 1.

    Numbers of steps and switches stay, and so does what is 0 by default but for weight decay: another value would
    make another rule of it.
    """
    found: dict[str, Range] = {}
    for name, value in settings.items():
        if name == "weight_decay":
            found[name] = (1e-5, 0.3, LOG)
        elif not isinstance(value, float) or value <= 0 or not math.isfinite(value):
            continue
        elif 0.5 <= value < 1:
            found[name] = (rounded(1 - min(0.9, 10 * (1 - value))), rounded6(1 - (1 - value) / 10), COMPLEMENT)
        else:
            low, high = (1e-2, 1e4) if name == "eps" else (0.1, 10.0)
            found[name] = (rounded(low * value), rounded(min(high * value, 1.0) if value < 1 else high * value), LOG)
    return found


def rounded6(x: float) -> float:
    return float(f"{x:.6g}")


@lru_cache(512)
def ask(
    space: tuple[tuple[str, Range], ...], known: tuple[tuple[Candidate, float], ...], seed: int
) -> tuple[Candidate, ...]:
    """The next trials of a rule.

    Args:
        space: the ranges, the rate's among them.
        known: what has been tried, with its score; infinite where it diverged.
        seed: of the sampler.

    Raises:
        ImportError: Optuna is not installed.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    inner = {name: _inner(*span) for name, span in space}
    kinds: dict[str, Any] = {
        name: optuna.distributions.FloatDistribution(*ends, log=True) for name, ends in inner.items()
    }
    ways = {name: way for name, (_, _, way) in space}
    sampler = optuna.samplers.TPESampler(seed=seed * 1000 + len(known), n_startup_trials=RANDOM)
    study = optuna.create_study(sampler=sampler)
    worst = max((score for _, score in known if math.isfinite(score)), default=0.0)
    for (lr, settings), score in known:
        given = {name: _turned(value, ways[name]) for name, value in ((LR, lr), *settings)}
        params = {name: min(max(given[name], inner[name][0]), inner[name][1]) for name in kinds}
        value = score if math.isfinite(score) else worst + 1.0
        study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=value))
    asked = []
    for _ in range(BATCH):
        params = study.ask(kinds).params
        values = {name: rounded6(_turned(rounded(params[name]), ways[name])) for name in kinds}
        lr = values.pop(LR)
        asked.append((lr, tuple(sorted(values.items()))))
    return tuple(asked)


def _turned(value: float, way: str) -> float:
    """Between a setting and what is searched in its place; there and back."""
    return 1 - value if way == COMPLEMENT else value


def _inner(low: float, high: float, way: str) -> tuple[float, float]:
    return (1 - high, 1 - low) if way == COMPLEMENT else (low, high)
