"""A dry step: torch.distributed.checkpoint makes optimizers allocate their state, and calls ``step()`` to do so.

Its ``_init_optim_state`` sets every lr to 0 and every gradient to zeros, steps, and puts the lr back; for a rule
without state at every checkpoint. Nothing is trained, so no step is counted, no hook is called, and the first real
step begins the state anew: its copies of parameters, first gradients and rates would be of a moment before the run.
"""

import sys
from typing import Any

import torch

from ..sharded.plan import planned
from ..step.owner import Owner

_CALLER = ("torch.distributed.checkpoint.state_dict", "_init_optim_state")


def wanted(optimizer: Owner) -> bool:
    """Whether that function is what steps. Asked of optimizers without state only."""
    rate = optimizer.param_groups[0].get("lr")
    if not (rate is None or isinstance(rate, torch.Tensor) or (isinstance(rate, int | float) and rate == 0)):
        return False  # torch's function has set it to 0
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == _CALLER[1] and frame.f_globals.get("__name__") == _CALLER[0]:
            return True
        frame = frame.f_back
    return False


def begin(optimizer: Owner) -> None:
    """Allocate the state as it would be before the first step.

    Raises:
        ValueError, RuntimeError: a parameter that the rule cannot step.
    """
    with torch.inference_mode(False), torch.no_grad():
        for batch in planned(optimizer, None).batches:
            for leaf in batch.fresh:
                optimizer._state.keep(leaf.owner, leaf.state)
                optimizer._dry.add(leaf.owner)
    optimizer._state.mark()
