"""What telemetry measured as rows of text: which columns there are, and how a number is written."""

import math
from collections.abc import Callable, Sequence
from typing import Any

HINT = "update/weight is near 1e-3 in many healthy runs: a hint, no law"

# In the order in which they give way, last first.
COLUMNS: tuple[tuple[str, Callable[[Any], float | None]], ...] = (
    ("upd/wt", lambda m: m.ratio),
    ("|gradient|", lambda m: m.gradient_norm),
    ("|update|", lambda m: m.update_norm),
    ("|weights|", lambda m: m.weight_norm),
    ("cosine", lambda m: m.cosine),
    ("NaN/inf", lambda m: m.nonfinite or None),
)


def columns_of(shown: Sequence[Any]) -> list[tuple[str, list[str]]]:
    """Heading and cells of each column that says something."""
    found = [(head, [short(value(m)) for m in shown]) for head, value in COLUMNS]
    return [(head, cells) for head, cells in found if any(cells)]


def first_line(step: int, skipped: int, lrs: Sequence[float | None]) -> str:
    """``step 12, 1 skipped · lr 0.001``."""
    known = sorted({f"{lr:.3g}" for lr in lrs if lr is not None})
    return f"step {step}" + f", {skipped} skipped" * bool(skipped) + (f" · lr {', '.join(known[:3])}" if known else "")


def short(x: float | None) -> str:
    """Three digits."""
    if x is None:
        return ""
    return f"{x:.1e}" if x and math.isfinite(x) and not 0.01 <= abs(x) < 1000 else f"{x:.3g}"
