"""Why no map of two numbers can show Muon: what it does is done to the singular values of a matrix, drawn here."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ....draw.chart import Axis, Chart, Line
from ....draw.page import both, table
from ....draw.svg import svg
from ....optimizer import Optimizer
from ....rules.names import find_rule
from ...tasks.maths.zipf import FACTS, WIDTH, problem
from ..fields import Fields
from ..tab import Endpoint, Lab, Tab

# Of 1, 3, 10, … the rate that is best for each after 100 steps.
RATES = {"muon": 1.0, "adamw": 1.0, "gradient_descent": 3000.0}
LARGEST_RATE = 1e5
NAMED = {"muon": "muon", "adamw": "adamw", "gradient_descent": "sgd"}
STEPS, LOOKS = 200, 20  # looks at a run: each takes two decompositions
SHOWN = (1, 8, 24, 48, 72, 90)  # of the singular values, by size
DASHES = ((), (9, 3), (3, 3), (9, 3, 2, 3), (6, 3), (2, 2))
SMALLEST = 1e-30
LOWEST = 1e-7  # beside the largest, float32 has no smaller ones


@dataclass(frozen=True)
class Walked:
    """Singular values, the largest first, of the weight and of the last update, a row a look; the loss at the end."""

    steps: np.ndarray
    weight: np.ndarray
    update: np.ndarray
    loss: float
    right: float


@lru_cache(maxsize=32)
def walked(rule: str, lr: float, steps: int, seed: int) -> Walked:
    """Train the memory, without weight decay."""
    memory = problem()
    [w] = memory.init(seed)
    still: dict[str, Any] = {"weight_decay": 0.0} if "weight_decay" in find_rule(rule).settings else {}
    optimizer = Optimizer(rule, [w], lr=lr, **still)
    looks = set(np.unique(np.rint(np.linspace(1, steps, LOOKS))).astype(int).tolist())
    weight, update = [], []
    with np.errstate(all="ignore"):
        for t, batch in enumerate(memory.batches(seed, steps), 1):
            before = w.copy()
            optimizer.step(memory.loss_and_grads([w], batch)[1])
            if t in looks:
                weight.append(np.linalg.svd(w, compute_uv=False))
                update.append(np.linalg.svd(w - before, compute_uv=False))
        loss, right = memory.validate([w])
    return Walked(np.array(sorted(looks)), np.array(weight), np.array(update), loss, right)


def draw(lab: Lab, fields: Fields) -> Any:
    """Curves of the singular values by step, and what stands at the end, as HTML."""
    steps, seed = fields.whole("steps", 100, 2, STEPS), fields.whole("seed", 0, 0, 10**6)
    rates = {rule: fields.number(rule, lr, 1e-9, LARGEST_RATE) for rule, lr in RATES.items()}
    fields.end()
    found = {rule: walked(rule, lr, steps, seed) for rule, lr in rates.items()}
    blocks = []
    for what, title in (("update", "The update"), ("weight", "The weight")):
        panels, span = [], min(_span(getattr(run, what)) for run in found.values())
        for k, (rule, run) in enumerate(found.items()):
            charts = [_chart(run, what, NAMED[rule], span) for _ in range(2)]
            drawn = both(svg(charts[0], 400, 260, f"{what}{k}"), svg(charts[1], 330, 240, f"{what}{k}-narrow"))
            panels.append(f"<div><h3>{NAMED[rule]}</h3>{drawn}</div>")
        blocks.append(f'<h2>{title}: its singular values by step</h2><div class="panels">{"".join(panels)}</div>')
    rows = [
        (
            NAMED[rule],
            f"{rates[rule]:g}",
            f"{_ratio(run.update[-1]):,.3g}",
            f"{_rank(run.update[-1]):.1f}",
            f"{_rank(run.weight[-1]):.1f}",
            f"{run.loss:.4g}",
            f"{100 * run.right:.1f} %",
        )
        for rule, run in found.items()
    ]
    head = (
        "rule",
        "rate",
        "update: σ1 / σ48",
        "stable rank",
        "weight: stable rank",
        "loss over all facts",
        "facts known",
    )
    ranks = {NAMED[rule]: _rank(run.update[-1]) for rule, run in found.items()}
    best = min(found, key=lambda rule: found[rule].loss)
    answer = "The last update has stable rank " + ", ".join(f"{rank:.0f} ({name})" for name, rank in ranks.items())
    lead = (
        f'<p class="lead">{answer}, of at most {WIDTH}.</p><p>That is the sum of the squared singular values over the '
        f"largest squared: how many directions move alike. It decides nothing by itself: the lowest loss after {steps} "
        f"steps at these rates is that of {NAMED[best]}.</p>"
    )
    last = table(rows, head, range(1, 7), f"After {steps} steps")
    return {"blocks": lead + blocks[0] + last + blocks[1], "answer": answer}


def _ratio(values: np.ndarray) -> float:
    return float(values[0] / max(values[47], LOWEST * values[0], SMALLEST))


def _rank(values: np.ndarray) -> float:
    """The stable rank: how many directions count, beside the largest."""
    return float(np.sum((values / max(float(values[0]), SMALLEST)) ** 2))


def _span(values: np.ndarray) -> float:
    """The smallest value that is drawn, as a share of the largest."""
    return max(float(values[:, SHOWN[-1] - 1].min() / max(values.max(), SMALLEST)), LOWEST)


def _chart(run: Walked, what: str, name: str, span: float) -> Chart:
    """One panel; `span` is that of all panels beside it, which so have as many decades."""
    values = getattr(run, what)[:, [k - 1 for k in SHOWN]].astype(float)
    high = max(float(values.max()), SMALLEST)
    values = np.maximum(values, high * span)
    chart = Chart(
        Axis(float(run.steps[0]), float(run.steps[-1]), label="step"),
        Axis(high * span / 1.5, high * 1.5, log=True),
        f"{name}: singular values {', '.join(map(str, SHOWN))} of the {what} by step, "
        f"at the end from {values[-1, 0]:.2g} down to {values[-1, -1]:.2g}",
        names="right",
    )
    for k, which in enumerate(SHOWN):
        chart.add(Line(run.steps, values[:, k], f"s{k}", DASHES[k], name=f"σ{which}"))
    return chart


TAB = Tab(
    "matrix",
    "Matrix",
    f"Muon steps a matrix, so no map of two numbers shows it. Here a {WIDTH}×{WIDTH} matrix learns {FACTS} facts, "
    "the k-th shown in proportion to 1/k. Muon makes the singular values of an update nearly alike; the others push "
    "where gradients are large.",
    (Endpoint("draw", draw, ({"steps": 20, "seed": 1, "muon": 0.1, "adamw": 0.01, "gradient_descent": 1.0},)),),
    baked=lambda lab: {"matrix/draw": draw(lab, Fields({}))},
)
