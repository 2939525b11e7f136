"""How the learning rate runs over a trial: by default a short warm-up, then linearly to zero.

Un-annealed runs rank rules differently from annealed ones (Wen et al. 2025, arXiv:2509.02046), and linear to zero is
the schedule with the flattest optimum of the rate (Bergsma et al. 2025, arXiv:2502.15938).
"""

from ... import schedules
from ...schedules import Schedule
from .trial import RAMP, RAMP_HIGH, RAMP_LOW, warmup


def annealed(name: str, lr: float, steps: int) -> Schedule:
    """The learning rate at every step of a trial whose highest is `lr`; of a range test, from 1e-6 to 100."""
    if name == RAMP:
        return schedules.geometric(steps, RAMP_LOW, RAMP_HIGH)
    if name == "constant":
        return schedules.constant(lr)
    first = warmup(steps)
    rest = steps - first
    if name == "wsd":
        decay = max(1, rest // 5)
        return lr * schedules.wsd(first, rest - decay, decay, start=1 / first)
    falling = {"linear": schedules.linear, "cosine": schedules.cosine}[name]
    return lr * (schedules.linear_warmup(first, start=1 / first) >> falling(rest))
