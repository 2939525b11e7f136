"""Who is asked: the rules that `choose` tries by itself, with the rate at which each is expected to be best.

The rates lie between what people use on large models and what the study found best on its small ones, in short
annealed runs (docs/choose.md); the first level spans two decades around them and widens at an end. A rule that is not
in the table begins at its own default.
"""

DEFAULT = ("adamw", "nadamw", "nesterov_accumulation", "lion", "muon", "adamw+cautious")
PRIORS = {
    "adamw": 1e-2, "nadamw": 1e-2, "nesterov_accumulation": 0.1, "lion": 2e-3, "muon": 3e-2, "adamw+cautious": 1e-2,
}  # fmt: skip

# How a rule compares with the others at the end, and for each doubling that is left: in sizes of a surprise, below 0
# where it is better. Learnt from sweeps: `python -m benchmarks.choosing fit`.
LEANINGS = {
    "adamw": (-0.22, 0.074), "nadamw": (-0.12, -0.003), "nesterov_accumulation": (0.34, -0.053),
    "lion": (0.4, -0.066), "muon": (-0.02, -0.047), "adamw+cautious": (-0.38, 0.069),
}  # fmt: skip


def leaning(rule: str) -> tuple[float, float]:
    """What is expected of a rule before anything is tried: nothing, where no sweep told."""
    return LEANINGS.get(rule, (0.0, 0.0))


def prior(rule: str) -> float:
    """Where a rule's best rate is expected before anything is tried: from the study, or its own default."""
    from ... import rules

    return PRIORS.get(rule) or float(rules.get(rule).settings["lr"]) or 1e-3
