"""Who is asked: the rules that `choose` tries by itself, with the rate at which each is expected to be best.

The rates lie between what people use on large models and what the study found best on its small ones, in short
annealed runs (docs/choose.md); the first level spans two decades around them and widens at an end. A rule that is not
in the table begins at its own default.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prior:
    """Where a rule's best rate is expected before anything is tried."""

    rule: str
    lr: float


DEFAULT = ("adamw", "nadamw", "nesterov_accumulation", "lion", "muon", "adamw+cautious")
PRIORS = {
    prior.rule: prior
    for prior in (
        Prior("adamw", 1e-2),
        Prior("nadamw", 1e-2),
        Prior("nesterov_accumulation", 0.1),
        Prior("lion", 2e-3),
        Prior("muon", 3e-2),
        Prior("adamw+cautious", 1e-2),
    )
}


def prior(rule: str) -> Prior:
    """What is expected of a rule: from the study, or around its own default."""
    if rule in PRIORS:
        return PRIORS[rule]
    from ... import rules

    return Prior(rule, float(rules.get(rule).settings["lr"]) or 1e-3)
