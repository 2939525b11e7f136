"""``ScheduleLR``: what ``torch_scheduler`` returns. It stands at the top of a module, so that it can be pickled."""

from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from ..core.settings import is_number
from .ahead import admitted, refuse_values
from .schedule import Schedule

OF = "torch_scheduler"
_STATE = ("last_epoch", "_step_count", "base_lrs")


class ScheduleLR(LRScheduler):
    """See ``descend.schedules.torch_scheduler``. Its state is the step, and what plateaus have seen."""

    def __init__(self, optimizer: Any, schedule: Any, setting: str, relative: bool, step: int) -> None:
        # torch's own __init__ patches optimizer.step to warn about the order of calls, and is left out:
        # the value depends on the step alone, so a call too many or too few is no mistake to guess at.
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is no torch optimizer")
        groups = optimizer.param_groups
        several = isinstance(schedule, list | tuple)
        if several and len(schedule) != len(groups):
            raise ValueError(f"{len(schedule)} schedules for {len(groups)} parameter groups; give one, or one each")
        for s in schedule if several else (schedule,):
            if not isinstance(s, Schedule):
                raise TypeError(f"torch_scheduler needs a schedule of descend.schedules, got {s!r}")
        if not isinstance(step, int) or step < 0:
            raise ValueError(f"step is the number of steps taken so far, 0 or more; got {step!r}")
        self.optimizer = optimizer
        self.schedules = list(schedule) if several else schedule
        self.setting, self.relative = setting, relative
        firsts = [self._first(group) for group in groups]
        for i, first in enumerate(firsts):
            refuse_values(self._of(i), setting, OF, first if relative else 1.0)
        for group, first in zip(groups, firsts, strict=True):
            group[f"initial_{setting}"] = first
        self.base_lrs = list(firsts)
        self.last_epoch = step
        self._step_count = step + 1
        self._apply()

    def _of(self, group: int) -> Schedule:
        if isinstance(self.schedules, Schedule):
            return self.schedules
        return self.schedules[min(group, len(self.schedules) - 1)]  # a group added later follows the last one

    def _first(self, group: dict[str, Any]) -> float:
        """What the group had before any scheduler; kept where torch's keep it, so that checkpoints carry it."""
        key, i = _place(group, self.setting)
        return float(group.get(f"initial_{self.setting}", group[key] if i is None else group[key][i]))

    def get_lr(self) -> list[float]:
        """The value for each group at the present step."""
        found = []
        for i, group in enumerate(self.optimizer.param_groups):
            if self.relative and i == len(self.base_lrs):
                self.base_lrs.append(group.setdefault(f"initial_{self.setting}", self._first(group)))
            value = self._of(i)(self.last_epoch)
            value = value * float(self.base_lrs[i]) if self.relative else value
            found.append(admitted(value, self.setting, OF, self.last_epoch))
        return found

    def _apply(self) -> None:
        self._last_lr: list[Any] = self.get_lr()
        for group, value in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            key, i = _place(group, self.setting)
            if i is not None:
                group[key] = (*group[key][:i], value, *group[key][i + 1 :])
            elif isinstance(group[key], torch.Tensor):
                group[key].fill_(value)
            else:
                group[key] = value

    def step(self, epoch: int | None = None) -> None:  # type: ignore[override]
        """After the optimizer's step; ``epoch`` sets the number of steps taken instead of adding one."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else int(epoch)
        self._step_count += 1
        self._apply()

    def _each(self) -> list[Schedule]:
        return [self.schedules] if isinstance(self.schedules, Schedule) else self.schedules

    def state_dict(self) -> dict[str, Any]:
        """Numbers and lists: the step, the initial values, what plateaus have seen. Not the schedule."""
        return {
            "last_epoch": self.last_epoch, "_step_count": self._step_count, "_last_lr": list(self._last_lr),
            "base_lrs": list(self.base_lrs), "schedules": [s.state_dict() for s in self._each()],
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to the saved step; the schedule stays the one given now, so a run can be extended.

        Raises:
            ValueError: no state of such a scheduler; nothing is changed.
        """
        saved = state_dict.get("schedules")
        if not isinstance(saved, list) or len(saved) != len(self._each()) or not set(_STATE) <= set(state_dict):
            raise ValueError(f"no state of a scheduler with {len(self._each())} schedules: {state_dict!r:.120}")
        read = [found for s, its in zip(self._each(), saved, strict=True) for found in s.read_state(its)]
        last, count = (int(state_dict[name]) for name in _STATE[:2])
        self.last_epoch, self._step_count, self.base_lrs = last, count, list(state_dict["base_lrs"])
        for plateau, its in read:
            vars(plateau).update(its)
        self._apply()


def _place(group: dict[str, Any], setting: str) -> tuple[str, int | None]:
    """The key of a setting in a group, and its place in the tuple there."""
    if setting in getattr(group, "schedules", ()):
        raise ValueError(
            f"{OF}: {setting!r} is a schedule already, which the optimizer follows: give it a number first"
        )
    if setting in group:
        value = group[setting]
        if setting == "params" or not is_number(value):
            hint = "; name one of them: beta1, beta2" if setting == "betas" else ""
            raise ValueError(f"{OF}: {setting!r} of the parameter groups is {value!r:.80}, not one number{hint}")
        return setting, None
    if setting in ("beta1", "beta2", "beta3") and len(group.get("betas", ())) >= int(setting[-1]):
        return "betas", int(setting[-1]) - 1
    present = ", ".join(k for k in group if k != "params")
    raise KeyError(f"the parameter groups have no {setting!r}; they have {present}")
