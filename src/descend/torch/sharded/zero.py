"""ZeroRedundancyOptimizer: it makes one of our optimizers for the share of the parameters that this process steps."""

import sys
import weakref
from typing import Any


def around() -> weakref.ref[Any] | None:
    """The ZeroRedundancyOptimizer whose constructor runs now, if one does.

    It tells its inner optimizer nothing of itself, and nothing in the arguments shows it: the calling frames do.
    """
    module = sys.modules.get("torch.distributed.optim.zero_redundancy_optimizer")
    if module is None:
        return None
    making = module.ZeroRedundancyOptimizer._init_local_optimizer.__code__
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code is making:
            return weakref.ref(frame.f_locals["self"])
        frame = frame.f_back
    return None


def without_options(group: dict[str, Any], options: dict[str, Any], where: str) -> dict[str, Any]:
    """A group without the options of the whole optimizer, which ZeroRedundancyOptimizer writes into every one.

    Raises:
        ValueError: the group says something else than the optimizer.
    """
    for name, value in options.items():
        if name in group and (group[name] or "") != value and not (group[name] is True and value):
            raise ValueError(
                f"{name} is of the whole optimizer, which has {value!r}: give it once; got {group[name]!r}{where}"
            )
    return {name: value for name, value in group.items() if name not in options}
