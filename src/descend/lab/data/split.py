"""Training, validation and test: the same shares of every class, and pictures that are alike on one side."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

SPLITS = ("train", "val", "test")
SHARES = (80.0, 10.0, 10.0)


def quotas(count: int, shares: Sequence[float] = SHARES) -> list[int]:
    """Whole numbers in these shares that sum to `count`; none is 0 whose share is not, as long as there are enough."""
    exact = np.asarray(shares, float) / sum(shares) * count
    found = np.floor(exact).astype(int)
    for k in np.argsort(found - exact, kind="stable")[: count - found.sum()]:
        found[k] += 1
    for k in range(len(found)):
        if not found[k] and shares[k] and found.max() > 1:
            found[k] += 1
            found[found.argmax()] -= 1
    return found.tolist()


def split(
    groups: Sequence[Sequence[int]], labels: Sequence[str], shares: Sequence[float] = SHARES, seed: int = 0
) -> list[str]:
    """Which side each picture is on, groups undivided, each class in the given shares as nearly as its groups allow.

    Args:
        groups: every number 0 … n-1 once; labels: the class of each. shares: of `SPLITS`, in any unit.
    """
    rng = np.random.default_rng(seed)
    left = {label: quotas(count, shares) for label, count in Counter(labels).items()}
    side = [""] * len(labels)
    order: list[int] = rng.permutation(len(groups)).tolist()
    for g in sorted(order, key=lambda g: -len(groups[g])):  # large ones first, while they fit everywhere
        held = Counter(labels[k] for k in groups[g])
        room = np.array([min(left[c][s] - n for c, n in held.items()) for s in range(len(SPLITS))], float)
        wanted = np.array([sum(left[c][s] for c in held) for s in range(len(SPLITS))], float)
        fits = np.where(room >= 0, wanted, 0.0)
        place = int(rng.choice(len(SPLITS), p=fits / fits.sum())) if fits.sum() > 0 else int(room.argmax())
        for label, n in held.items():
            left[label][place] -= n
        for k in groups[g]:
            side[k] = SPLITS[place]
    return side
