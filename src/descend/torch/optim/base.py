"""``RuleOptimizer``: what every class of ``descend.torch`` is; a training loop sees torch's Optimizer.

A step has two phases. The plan validates everything and allocates what is missing, out of sight. The
commit runs the kernels, publishes new state and cannot fail. A step that raises has changed nothing.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
import torch.optim.optimizer as _torch

from ...core.untraced import untraced
from ...engines import asked_for
from ...signals import commit
from ...stepping import NONFINITE, NonFiniteGradient
from ..sharded import zero
from ..sharded.plan import planned
from ..step import telemetry, tensors
from ..step.plan import Plan
from . import checkpoint, dry, points
from . import group as groups
from .group import NOT_TAKEN, Group, given
from .points import Points
from .spec import OPTIONS, Spec
from .state import State

_profiling = torch._C._autograd._profiler_enabled  # pyright: ignore[reportAttributeAccessIssue]
_modes = torch._C._len_torch_dispatch_stack


@untraced
class RuleOptimizer(Points, torch.optim.Optimizer):
    """Base of the classes made from rules; use a class of ``descend.torch`` or ``optimizer(rule)``.

    Args (besides torch's):
        clip_norm: clip all gradients to this global norm first; a number, a schedule or None.
        nonfinite: what NaN or infinity in any gradient does: ``"propagate"`` (as torch), ``"skip"`` the
            step, changing nothing, or ``"raise"`` NonFiniteGradient, changing nothing.
        engine: ``"auto"``, or ``"llvm"``, ``"torch"``, ``"triton"`` or ``"numpy"`` to insist.
        telemetry: measure norms in every step, see ``telemetry``; ``"cosine"`` measures directions too.
    """

    spec: ClassVar[Spec]
    recipe: ClassVar[tuple[Any, str] | None] = None  # the rule and the name of a class made at run time
    _step_supports_amp_scaling = True  # a GradScaler leaves the division to the step, and sets grad_scale and found_inf

    def __init__(self, params: Iterable[Any], *args: Any, **kwargs: Any) -> None:
        spec = self.spec
        arguments, options = spec.taken(args, kwargs)
        if options["nonfinite"] not in NONFINITE:
            raise ValueError(f"nonfinite must be one of {', '.join(NONFINITE)}; got {options['nonfinite']!r}")
        options["engine"] = asked_for(options["engine"])
        options["telemetry"] = telemetry.asked_for(options["telemetry"])
        defaults = {**spec.arguments, **arguments}
        spec.check(defaults, "")
        spec.choose(defaults)
        self._options = options
        self._ready()
        super().__init__(params, defaults)

    def _ready(self) -> None:
        """The attributes that are never saved."""
        self._plan: Plan | None = None
        self._lock = threading.Lock()
        self.skipped = 0
        self.steps = 0
        self._warned = False
        self._elsewhere = self._inside = self._came = ""
        self._apart: dict[torch.Tensor, torch.Tensor] = {}
        self._dry: set[torch.Tensor] = set()  # whose state was made by a dry step
        self._successor: RuleOptimizer | None = None  # what it was switched to
        self._zero = zero.around()  # the ZeroRedundancyOptimizer that makes it, and that holds the others' shares
        self._scheduled = False  # some group may follow a schedule

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "spec" in cls.__dict__:
            cls.__signature__ = cls.spec.signature()  # type: ignore[attr-defined]

    # ---------------------------------------------------------------- groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's; besides, the group's own settings are checked and unknown keys refused.

        The dictionary is copied: torch fills in the caller's own, and whoever gave it to a second optimizer would give
        that one the rates of the first.
        """
        if isinstance(param_group, dict):
            if "params" not in param_group:
                raise ValueError(
                    f"a parameter group needs 'params'; this one has {', '.join(param_group) or 'nothing'}"
                )
            where = f" (parameter group {len(self.param_groups)})"
            if hasattr(param_group["params"], "__next__"):  # for a second optimizer, as torch leaves it
                param_group["params"] = list(param_group["params"])
            filled = zero.without_options({**self.defaults, **given(param_group)}, self._options, where)
            self.spec.check(filled, where)
            self.spec.look_ahead(filled, where)
            self.spec.choose(filled)
            param_group = groups.of({**given(param_group), **filled}, self)
        super().add_param_group(param_group)
        try:
            self.spec.begins(self, len(self.param_groups) - 1)
        except Exception:
            self.param_groups.pop()
            raise
        if self._plan is not None:
            self._plan.catch_up()
        self._plan = None

    def current(self, setting: str) -> Any:
        """What the next step will use: a number, or a list with one for each group if there are several.

        Args:
            setting: a key of the groups such as ``"lr"``, or one number of a tuple there, such as ``"beta1"``.

        Raises:
            ValueError: there is no such setting.
        """
        self._take_up()
        self._follow()
        found = [self.spec.read({**self.spec.arguments, **group}, setting) for group in self.param_groups]
        return found[0] if len(found) == 1 else found

    def _take_up(self) -> None:
        """Follow the schedules that somebody has put into plain groups."""
        for i, group in enumerate(self.param_groups):
            self.param_groups[i] = groups.taken_up(group, self)

    def _follow(self) -> None:
        """Let the groups say what the schedules say of the step to come."""
        for group in self.param_groups:
            if isinstance(group, Group):
                group.follow(self.steps)

    def _show(self) -> None:
        """The same where nothing may fail; what a schedule raises, the next step will."""
        with contextlib.suppress(Exception):
            self._take_up()
            self._follow()

    def _said_anew(self) -> None:
        """A schedule begins or ends, which may ask for another rule."""
        if self._plan is not None:
            self._plan.catch_up()
        self._plan, self._scheduled = None, True

    @property
    def engine(self) -> str:
        """The engine that steps these parameters: ``"llvm"``, ``"torch"`` or ``"numpy"``."""
        if self._plan is not None:
            return self._plan.engine.name
        return Plan.choose_engine(self).name

    # ---------------------------------------------------------------- the step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update. ``closure`` re-evaluates the model, once, before the gradients are used.

        Returns what the closure returned, or None.

        Raises:
            ValueError, TypeError, RuntimeError: a gradient, a setting or a state that does not fit,
                by name; nothing has been changed. NonFiniteGradient: if asked for.
        """
        if not self._state and dry.wanted(self):
            return dry.begin(self)
        if (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _torch._global_optimizer_pre_hooks
            or _torch._global_optimizer_post_hooks
            or _profiling()
        ):
            return _step_with_hooks(self) if closure is None else _step_with_hooks(self, closure)
        return self._step(closure)

    step.hooked = True  # type: ignore[attr-defined] - torch would wrap it in what costs more than a small step

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            points.refuse(self, "step()")
            with torch.enable_grad():
                loss = closure()
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(
                f"{self.spec.name}.step() is running in another thread; one optimizer steps once at a time"
            )
        try:
            self._update()
        finally:
            self._lock.release()
        return loss

    def _update(self) -> None:
        if self._elsewhere or self._apart:
            points.refuse(self, "step()")
        if _modes():  # 0.03 µs
            tensors.not_recorded(self.spec.name)
        if self._scheduled:
            self._follow()
        plan, found = self._plan, self.__dict__.get("found_inf")
        if plan.skips(found) if plan else found is not None and float(found):
            self.skipped += 1
            return
        self._plan = None  # whatever is refused now, the next step is planned anew
        if plan is None or not plan.refresh():
            if plan is not None:
                plan.catch_up()
            with torch.inference_mode(False), torch.no_grad():  # state made in inference mode is lost to training
                plan = planned(self, plan)
            self._look_for_two_schedules()
        self._plan = plan
        if plan.idle:
            return
        if commit(plan.commit):
            if self._scheduled:
                self._show()
            return
        self.skipped += 1
        if plan.unpublished:  # state that copies the first gradient must not copy this one
            self._plan = None
        if self._options["nonfinite"] == "raise":
            raise NonFiniteGradient(f"{self.spec.name}: a gradient holds NaN or infinity; nothing was changed")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As torch's, which opens a region for the profiler even if none listens: a tenth of a small training step."""
        if not set_to_none or _profiling():
            super().zero_grad(set_to_none)
            return
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = None

    def _look_for_two_schedules(self) -> None:
        for group in self.param_groups if hasattr(self.step, "_wrapped_by_lr_sched") else ():
            if isinstance(group, Group) and "lr" in group.schedules:
                group.warn("lr", NOT_TAKEN)

    @property
    def telemetry(self) -> telemetry.Telemetry:
        """What the last step measured, per tensor and group; for an optimizer made with ``telemetry=True``.

        Raises:
            ValueError: it was made without.
        """
        return telemetry.Telemetry(self)

    def loss_scale(self) -> float | None:
        """What a GradScaler multiplied the loss of this step by; None without one."""
        scale = self.__dict__.get("grad_scale")
        return None if scale is None else float(scale)

    # ---------------------------------------------------------------- checkpoints

    @property
    def state(self) -> State:
        """As torch's. Once it has been handed out, every step checks that no state tensor was moved."""
        if self._plan is not None:
            self._plan.catch_up()
        self._state.exposed = True
        return self._state

    @state.setter
    def state(self, value: Any) -> None:
        self._state = State(value)
        self._plan = None

    def _begun(self, p: torch.Tensor) -> dict[str, Any]:
        """The state of a parameter, in a dictionary of its own; nothing where only a dry step has made some."""
        return {} if p in self._dry else dict(self._state.get(p, {}))

    def state_dict(self) -> dict[str, Any]:
        """As torch's: ``{"state": ..., "param_groups": ...}`` of tensors, numbers and lists only."""
        self._show()
        saved = super().state_dict()
        saved["state"] = {k: dict(v) if isinstance(v, dict) else v for k, v in saved["state"].items()}
        for i, group in enumerate(self.param_groups):
            saved["param_groups"][i] = checkpoint.plain(saved["param_groups"][i], self.steps)
            saved["param_groups"][i] |= checkpoint.beside(self, given(group))
        points.save(self, saved)
        return saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a checkpoint of this class or of torch's class of the same name; tensors are copied.

        Parameters are matched by name where both sides have names, else by position.

        Raises:
            ValueError: groups, names or shapes that do not fit (the message says which). RuntimeError: inside
                ``shipped()`` or ``gradient_point()``. Nothing changed.
        """
        if self._inside:
            points.refuse(self, "load_state_dict()")
        state_dict = checkpoint.of_right_form(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = hook(self, state_dict) or state_dict  # type: ignore[func-returns-value]
        found = checkpoint.fitted(self, state_dict)
        left = points.unmoved(self)
        self.param_groups[:] = [groups.of(group, self, found.steps) for group in found.groups]
        self.state, self.steps, self._dry = found.state, found.steps, found.dry
        points.taken_over(self, found.point, found.apart, left)
        found.recall()
        self._show()
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults, "state": self.state, "param_groups": self.param_groups,
            "_options": self._options, "steps": self.steps, "_dry": self._dry,
            "_elsewhere": self._elsewhere, "_apart": dict(self._apart), "_came": self._came,
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._ready()
        state = {"_options": dict(OPTIONS), **state}
        inner = state.pop("state", {})
        super().__setstate__(state)
        self.defaults.setdefault("differentiable", False)
        self.param_groups[:] = [groups.of(group, self) for group in self.param_groups]
        self._scheduled = True
        for group in self.param_groups:
            for name, default in self.spec.arguments.items():
                group.setdefault(name, default)
            group.update(self.spec.fixed)
        self.state = inner

    def __repr__(self) -> str:
        lines = [f"{self.spec.name} (engine {self.engine})"]
        for i, group in enumerate(self.param_groups):
            lines.append(f"  group {i}: {len(group['params'])} tensors, {self.spec.shown(given(group))}")
        return "\n".join(lines)


_step_with_hooks = torch.optim.Optimizer.profile_hook_step(RuleOptimizer._step)
