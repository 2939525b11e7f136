"""Who is asked: the rules that `choose` tries by itself, with the rate at which each is expected to be best.

The rates are the study's (docs/choose.md): the median over its tasks of the best rate of an annealed run, in decades;
`spread` is how far the tasks lie apart (standard deviation, decades). A rule that is not in the table begins at its own
default, with a spread that says how little is known.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Prior:
    """Where a rule's best rate is expected before anything is tried."""

    rule: str
    lr: float
    spread: float = 0.6  # decades

    @property
    def place(self) -> float:
        return math.log10(self.lr)


DEFAULT = ("adamw", "nadamw", "nesterov_accumulation", "lion", "muon", "adamw+cautious")
PRIORS = {
    prior.rule: prior
    for prior in (
        Prior("adamw", 3e-3),
        Prior("nadamw", 3e-3),
        Prior("nesterov_accumulation", 3e-2, 0.8),
        Prior("lion", 3e-4),
        Prior("muon", 1e-2),
        Prior("adamw+cautious", 3e-3),
    )
}
UNKNOWN = 1.0  # decades, of a rule that the study has not seen


def prior(rule: str) -> Prior:
    """What is expected of a rule: from the study, or around its own default."""
    if rule in PRIORS:
        return PRIORS[rule]
    from ... import rules

    return Prior(rule, float(rules.get(rule).settings["lr"]) or 1e-3, UNKNOWN)
