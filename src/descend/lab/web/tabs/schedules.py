"""Schedules from the page: composed with the library's algebra, drawn, and given as the code that makes them."""

import math
from typing import Any

import numpy as np

from .... import schedules
from ....draw.chart import curve
from ....draw.page import both, table
from ....draw.svg import svg
from ....schedules import Schedule
from ..fields import Fields, Refused
from ..tab import Endpoint, Lab, Tab

STEPS = 10**6
WARMUPS = ("linear", "exponential")
SHAPES = ("cosine", "linear", "wsd", "constant", "step")
POINTS, SPARE = 1200, 5  # points that are looked at; every fifth is drawn, and where the curve
KINK = 1e-3  # has a kink: so much of its height


EXAMPLES: tuple[dict[str, Any], ...] = (
    {"name": "cosine", "title": "Warm-up, then cosine", "warmup": 100, "kind": "linear", "shape": "cosine", "end": 0.0},
    {"name": "tail", "title": "Cosine to a tenth", "warmup": 50, "kind": "linear", "shape": "cosine", "end": 0.1},
    {"name": "linear", "title": "Warm-up, then linear", "warmup": 33, "kind": "linear", "shape": "linear", "end": 0.0},
    {
        "name": "wsd",
        "title": "Flat, then decay (WSD)",
        "warmup": 50,
        "kind": "linear",
        "shape": "wsd",
        "end": 0.0,
        "decay": 0.2,
    },
    {"name": "steps", "title": "Halved in steps", "warmup": 0, "shape": "step", "every": 250, "factor": 0.5},
    {"name": "exponential", "title": "Exponential warm-up", "warmup": 200, "kind": "exponential", "shape": "constant"},
)  # each of a run of 1000 steps with a peak of 0.1


def known(lab: Lab, fields: Fields) -> Any:
    """Compositions to begin with."""
    fields.end()
    return [{"steps": 1000, "peak": 0.1, **one} for one in EXAMPLES]


def baked(lab: Lab) -> dict[str, Any]:
    """The compositions, drawn."""
    told = known(lab, Fields({}))
    plain = [{name: value for name, value in one.items() if name not in ("name", "title")} for one in told]
    drawn = {f"schedules/draw {one['name']}": draw(lab, Fields(asked)) for one, asked in zip(told, plain, strict=True)}
    return {"schedules/known": told, **drawn}


def composed(fields: Fields) -> tuple[Schedule, int]:
    """The schedule that is asked for, and the steps of the run.

    Raises: Refused: no step is left behind the warm-up, or for the decay.
    """
    total, peak = fields.whole("steps", 1000, 2, STEPS), fields.number("peak", 0.1, 1e-12, 1e6)
    warmup, kind = fields.whole("warmup", 0, 0, STEPS), fields.word("kind", "linear", WARMUPS)
    shape, end = fields.word("shape", "cosine", SHAPES), fields.number("end", 0.0, 0.0, 1.0)
    decay, every = fields.number("decay", 0.2, 0.001, 1.0), fields.whole("every", max(total // 4, 1), 1, STEPS)
    factor = fields.number("factor", 0.5, 0.001, 1.0)
    fields.end()
    left = total - warmup
    if left < 1:
        raise Refused(f"warmup must be less than the {total} steps of the run, got {warmup}")
    if shape == "wsd":
        last = max(round(decay * total), 1)
        if last > left:
            raise Refused(f"warmup and decay take {warmup + last} steps of {total}")
        after = schedules.wsd(0, left - last, last, end=end)
    elif shape == "step":
        after = schedules.step_decay(every, factor)
    elif shape == "constant":
        after = schedules.constant()
    else:
        after = (schedules.cosine if shape == "cosine" else schedules.linear)(left, 1.0, end)
    if warmup:
        begin = schedules.linear_warmup if kind == "linear" else schedules.exponential_warmup
        after = begin(warmup) >> after
    return peak * after, total


def draw(lab: Lab, fields: Fields) -> Any:
    """The curve as HTML, and the code."""
    made, total = composed(fields)
    at = np.unique(np.rint(np.linspace(0, total, min(total, POINTS) + 1)))
    values = made(at)
    bends = np.pad(np.abs(np.diff(values, 2)) > KINK * values.max(), 1, constant_values=True)
    drawn = bends | (np.arange(len(at)) % SPARE == 0)
    chart = curve(at[drawn], values[drawn], f"learning rate by step: {made!r}", "step")
    marks = sorted({0, total // 10, total // 4, total // 2, 3 * total // 4, total - 1})
    rows = [(f"{k:,}", f"{float(made(k)):.4g}") for k in marks]
    average = math.fsum(values) / len(values)
    rows.append(("mean", f"{average:.4g}"))
    said = "".join(f"{name}, " for name in schedules.__all__ if f"{name}(" in repr(made))
    code = f"from descend.schedules import {said.rstrip(', ')}\n\nlr = {made!r}\n"
    return {
        "blocks": both(svg(chart, 900, 320, "lr"), svg(chart, 340, 240, "lr-narrow"))
        + table(rows, ("step", "learning rate"), (1,), label="The learning rate at some steps"),
        "code": code + "# descend.torch.AdamW(model.parameters(), lr=lr)",
    }


_SOME = {"steps": 1000, "peak": 0.1, "warmup": 100, "kind": "linear", "shape": "cosine", "end": 0.0}
TAB = Tab(
    "schedules",
    "Schedules",
    "A learning rate by step: a warm-up, then a decay, put together with the library's algebra; and the code for it.",
    (
        Endpoint("known", known),
        Endpoint("draw", draw, (_SOME, {"shape": "wsd", "decay": 0.3}, {"shape": "step", "every": 100, "factor": 0.3})),
    ),
    baked=baked,
)
