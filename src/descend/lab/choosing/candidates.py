"""Who is asked: the rules that `choose` tries by itself, with the rate at which each is expected to be best.

The rates lie between what people use on large models and what the study found best on its small ones, in short
annealed runs (docs/choose.md); the first level spans two decades around them and widens at an end. A rule that is not
in the table begins at its own default.
"""

DEFAULT = ("adamw", "nadamw", "nesterov_accumulation", "lion", "muon", "adamw+cautious")
PRIORS = {
    "adamw": 1e-2, "nadamw": 1e-2, "nesterov_accumulation": 0.1, "lion": 2e-3, "muon": 3e-2, "adamw+cautious": 1e-2,
}  # fmt: skip


def prior(rule: str) -> float:
    """Where a rule's best rate is expected before anything is tried: from the study, or its own default."""
    from ... import rules

    return PRIORS.get(rule) or float(rules.get(rule).settings["lr"]) or 1e-3
