"""``default``: the optimizer to use untuned, chosen by what it does on the lab's tasks (docs/default.md)."""

from __future__ import annotations

from typing import Any

from torch import nn

from .. import schedules
from ..core.settings import is_number
from ..schedules import Schedule
from .groups.groups import param_groups
from .optim.base import RuleOptimizer
from .optim.classes import optimizer

RULE = "prodigy_tensor+cautious_bounded+cautious_weight_decay"
FACTOR = 0.5  # of the estimated distance; 0.7 is quicker on some tasks and too high under noise
BETAS = (0.9, 0.99)  # with 0.999 the estimate needs longer than short trainings last
D0 = 1e-4  # where the estimates of tensors of zeros begin: from the rule's 1e-6 they need 50 steps and more to matter
SIZE = 0.1  # the least estimate, of the tensor's size: one that the first gradients mislead would stay at D0
FALL = 1.5  # power of the fall to zero: more steps at low rates than 1, for rates that are too high
DECAY = 5.0  # over the training, where it goes the step's way; 10 keeps gunpoint on its plateau, 3 is as good
GROWTH = 1.2  # the most an estimate rises in a step: free, the first steps throw it too high
RISING = 0.5  # of the steps: a later rise undoes the fall of the rate; 0.4 stops some before they are there
WARMUP = 1 / 30  # of the steps, as in the lab's trainings
MOST = 0.01  # of a weight in a step: in short trainings decay would outrun the estimates
OPEN = 0.005  # of it in a step at a factor of 1, where the steps are not known
SPARED = "bias+norm+embedding+1d"
# Where nobody says how many steps there will be: so many of warm-up, and of the scale on which the factor then falls.
WARM, TIMESCALE = 20, 100


def default(
    model: nn.Module, steps: int | None = None, *, scale: float = 1.0, weight_decay: float = DECAY, **options: Any
) -> RuleOptimizer:
    """The optimizer to use where nothing has been tuned: it finds a learning rate for every tensor by itself.

    Prodigy with an estimate for each tensor (``rules.prodigy_tensor``) and betas (0.9, 0.99), of whose step only the
    coordinates move that agree with the gradient (``rules.cautious_bounded``); weights of two and more dimensions
    decay where the step goes that way too (``rules.cautious_weight_decay``), embeddings, norms, biases and vectors do
    not. With ``steps`` the rate warms up over a thirtieth of them, then falls to zero as the power 1.5 of the steps
    that are left, where it stays: a longer training needs a larger number; in the second half no estimate
    rises. There is no scheduler to step; ``group["lr"]`` is the factor of the estimates, whose values are the entries
    ``d`` of the state.

    Without ``steps`` it warms up for 20 steps and then falls as 1/√(1 + t/100), for as long as you like; say how many
    where you know it.

    It keeps four numbers for each parameter, where AdamW has two. What it was compared with, and where it lost:
    docs/default.md.

    Args:
        model: whose parameters that require a gradient are to be trained; tied ones are one parameter, frozen ones are
            left out. One whose shapes are not known yet (lazy modules) has to be run once before.
        steps: how many times ``step()`` will be called, from 1 on.
        scale: multiplies every rate, above 0.
        weight_decay: decoupled, summed up over the training: a weight whose steps all went towards zero would shrink by
            exp(-weight_decay) through it; 0 or more. In a step at most 0.01 times it, so less in all where there are
            fewer than 250 steps; without ``steps`` 0.0025 times it, which falls as the rate does.
        options: of every class: ``clip_norm``, ``engine``, ``telemetry``, ``maximize``, and ``nonfinite``, which is
            ``"skip"`` here: a step with NaN or infinity in a gradient changes nothing and counts in ``.skipped``.
    Raises:
        TypeError: no module, a complex parameter, a rate of your own, an option there is none of (the message has
            the valid ones).
        ValueError: nothing to train, a shape that is not known yet, a number out of its range.

    Source: Mishchenko & Defazio 2023 (arXiv:2306.06101), Algorithm 4; Liang et al. 2024, Algorithm 1 (the mask); Chen
    et al. 2025, eq. 3 (the decay).
    """
    _check(steps, scale, weight_decay, options)
    shape, total = _shape(steps)
    peak = FACTOR * float(scale)
    groups = param_groups(model, float(weight_decay) / peak * min(1 / total, MOST), no_decay=SPARED, show=False)
    for name, p in (named for group in groups for named in group["params"]):
        if p.is_complex():
            raise TypeError(f"{name} is complex, whose distance from the start is not estimated: take AdamW")
    growth = GROWTH if steps is None else schedules.piecewise([max(1, round(RISING * steps))], [GROWTH, 1.0])
    settings = {"lr": peak * shape, "betas": BETAS, "d0": D0, "d0_rel": SIZE, "growth_rate": growth}
    return optimizer(RULE)(groups, **{**settings, "nonfinite": "skip", **options})


def _check(steps: Any, scale: Any, weight_decay: Any, options: dict[str, Any]) -> None:
    if isinstance(steps, bool) or not (steps is None or isinstance(steps, int)):
        raise TypeError(f"steps must be a whole number of steps, or None where it is not known, got {steps!r}")
    if steps is not None and steps < 1:
        raise ValueError(f"steps must be 1 or more, got {steps}; leave it out where it is not known")
    if not is_number(scale):
        raise TypeError(f"scale must be a number above 0, got {scale!r}")
    if not 0 < float(scale) < float("inf"):
        raise ValueError(f"scale must be a number above 0, got {scale!r}")
    if not is_number(weight_decay):
        raise TypeError(f"weight_decay must be a number, 0 or more, got {weight_decay!r}")
    if not 0 <= float(weight_decay) < float("inf"):
        raise ValueError(f"weight_decay must be a number, 0 or more, got {weight_decay!r}")
    if "lr" in options:
        raise TypeError("default finds the rates by itself: scale= multiplies them; for an lr of your own take AdamW")


def _shape(steps: int | None) -> tuple[Schedule, float]:
    """The factor of the rate at each step, at most 1; and the sum of all of them, or 1 / OPEN where there is no end."""
    if steps is None:
        return schedules.linear_warmup(WARM, start=1 / WARM) >> schedules.inverse_sqrt(TIMESCALE), 1 / (FACTOR * OPEN)
    first = max(1, round(WARMUP * steps))
    warm, rising = schedules.linear_warmup(first, start=1 / first), 1 + (first - 1) ** 2 / (2 * first)
    if steps == first:
        return warm, rising
    rest = steps - first  # whose sum is that of k^1.5 over rest^1.5, by Euler and Maclaurin
    return warm >> schedules.polynomial(rest, power=FALL), rising + rest / 2.5 + 0.5 + 0.125 / rest
