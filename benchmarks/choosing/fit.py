"""What sweeps teach `belief`: how large the surprises of a task are, and how rules lean. Maximum likelihood over tasks.

Of each task a sample of the runs of its sweep is used, all lengths and both schedules. The luck of each task is fitted
between the rounds, as a choice fits it. All constants are held by a wide normal prior around where they began, so
that what no sweep tells stays as it is.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from descend.lab.choosing.belief import LEARNT, Fitted, Learnt, Points, Scale
from descend.lab.choosing.candidates import LEANINGS, prior
from descend.lab.choosing.lattice import nearest
from descend.lab.choosing.outcomes import OTHER
from descend.lab.notebook import Notebook

from .sweep import FULL_SEEDS, RULES, SHORT_SEEDS

SAMPLE = 230  # runs of a task
SEEDS = {*SHORT_SEEDS[:3], *FULL_SEEDS}
SIGNED = ("trend", "tilt", "bowl", "drift")  # the others are sizes, of which the logarithm is fitted,
PARTS = ("lasting",)  # or parts, of which that of the odds is
ROUNDS, STEPS = 4, 10
WIDE = 1.5  # of the prior of a constant
END, SLOPE = 0.3, 0.1  # of the prior of a rule's leaning

Data = tuple[Points, Any, Any]


def data(notebook: Notebook) -> Data:
    """A sample of the runs of a task: where they were, which shared a seed, what came of them."""
    runs = [(t, r) for t, r in notebook.known.items() if t.rule in RULES and t.seed in SEEDS]
    rng = np.random.default_rng(0)
    chosen = [runs[k] for k in sorted(rng.permutation(len(runs))[:SAMPLE])]
    start = float(np.mean([r.val_loss[0] for _, r in chosen]))
    scale = Scale(start, [r.loss for _, r in chosen])
    left = np.array([math.log2(notebook.card.steps / t.steps) for t, _ in chosen])
    at = Points(
        np.array([RULES.index(t.rule) for t, _ in chosen]),
        np.array([float(nearest(t.lr) - nearest(prior(t.rule))) for t, _ in chosen]),
        left,
        np.array([float(t.schedule == OTHER) for t, _ in chosen]),
    )
    group = np.array([100 * t.seed + round(4 * x) for (t, _), x in zip(chosen, left, strict=True)])
    return at, group, np.array([scale.to(r.loss) for _, r in chosen])


def learnt(tasks: Sequence[Data], log: Any = None) -> tuple[Learnt, dict[str, tuple[float, float]]]:
    """The constants under which the runs of all tasks are likeliest."""
    from scipy.optimize import minimize

    begun = np.concatenate([_packed(LEARNT), np.array([LEANINGS[rule] for rule in RULES]).T.ravel()])
    middle = begun[: len(fields(Learnt))].copy()
    found = begun
    for _ in range(ROUNDS):
        luck = [_fitted(found, of).fit() for of in tasks]

        def unlikely(v: Any, luck: Any = luck) -> float:
            n = len(middle)
            told = sum(_fitted(v, of).luck(*by) for of, by in zip(tasks, luck, strict=True))
            ends, slopes = v[n : n + len(RULES)], v[n + len(RULES) :]
            held = ((v[:n] - middle) / WIDE) ** 2
            return told + (held.sum() + ((ends / END) ** 2).sum() + ((slopes / SLOPE) ** 2).sum()) / 2

        made = minimize(unlikely, found, method="L-BFGS-B", options={"maxiter": STEPS, "maxfun": 10**6})
        found = made.x
        if log is not None:
            log(f"{made.fun:.1f}")
    constants, means = _unpacked(found)
    return constants, {rule: (float(a), float(b)) for rule, a, b in zip(RULES, *means, strict=True)}


def _packed(constants: Learnt) -> Any:
    return np.array(
        [x if name in SIGNED else math.log(_odds(x) if name in PARTS else x) for name, x in asdict(constants).items()]
    )


def _odds(x: float) -> float:
    return x / (1 - x)


def _unpacked(v: Any) -> tuple[Learnt, tuple[Any, Any]]:
    names = [f.name for f in fields(Learnt)]
    n, rules = len(names), len(RULES)
    told = {name: float(x if name in SIGNED else math.exp(x)) for name, x in zip(names, v, strict=False)}
    told |= {name: told[name] / (1 + told[name]) for name in PARTS}
    return Learnt(**told), (v[n : n + rules], v[n + rules :])


def _fitted(v: Any, of: Data) -> Fitted:
    constants, means = _unpacked(v)
    return Fitted(means, *of, constants)
