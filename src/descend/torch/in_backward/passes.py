"""What a backward pass does when the steps happen inside it: which passes step, which refuse, when a step ends."""

import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.autograd.function import BackwardCFunction

from ...core.untraced import untraced
from ..optim import points
from ..optim.base import RuleOptimizer
from ..sharded import parts
from ..step.tensors import not_recorded
from .norm import Measured
from .tensor import Settled, Single

_current_pass = torch._C._current_graph_task_id  # pyright: ignore[reportAttributeAccessIssue]
_engine: Any = torch.autograd.Variable._execution_engine  # type: ignore[attr-defined]
_NESTED = BackwardCFunction.apply.__code__


@untraced
class Arrived:
    """The hook of every parameter. It keeps no optimizer alive: the garbage collector does not see torch's hooks."""

    def __init__(self, owner: "Passes") -> None:
        self.owner = weakref.ref(owner)
        self.handles = owner._handles

    def __call__(self, p: torch.Tensor) -> None:
        owner = self.owner()
        if owner is None:
            self.forget()
            raise RuntimeError(
                "what step_in_backward returned was dropped without remove(), so nothing is stepped: keep it as long "
                "as the model trains. Its hooks are gone now"
            )
        owner._arrived(p)

    def forget(self) -> None:
        for handle in self.handles.values():
            handle.remove()
        self.handles.clear()


def taken(p: torch.Tensor) -> bool:
    """Whether a living object steps the parameter in the backward; the hooks of a dropped one are taken away."""
    hooks = [h for h in (getattr(p, "_post_accumulate_grad_hooks", None) or {}).values() if isinstance(h, Arrived)]
    for hook in hooks:
        if hook.owner() is None:
            hook.forget()
    return any(hook.owner() is not None for hook in hooks)


@untraced
class _End:
    """Called when a backward pass has ended; torch drops it when the pass fails, which is how that is seen."""

    def __init__(self, owner: "Passes") -> None:
        self.owner = owner

    def __call__(self) -> None:
        self.owner._ended()


@untraced
class Passes(RuleOptimizer):
    """The part of an optimizer that steps inside ``backward()``."""

    def __init__(self, params: Iterable[Any], accumulate: int, **settings: Any) -> None:
        self._every = accumulate
        super().__init__(params, **settings)
        if self._options.get("telemetry"):
            raise ValueError(f"{self.spec.name}: telemetry is of a step taken as a whole; use the ordinary class")
        self._prepare()

    def _ready(self) -> None:
        super()._ready()
        self._settled: Settled | None = None
        self._singles: dict[int, Single] = {}
        self._handles: dict[int, Any] = {}
        self._removed = False
        self._holding = 0  # blocks of accumulating() around this moment
        self._counted = 0  # passes accumulated since the last step
        self._task: int | None = None  # autograd's number of the pass that runs
        self._end: weakref.ref[_End] | None = None
        self._mode: Callable[[Single], None] | None = None  # what the pass does with a gradient; None: leaves it
        self._counts = False
        self._opened = self._dirty = self._skipping = False  # a step has begun; tensors have taken it, or passed it by
        self._measuring: Measured | None = None
        self._measured: Measured | None = None

    def _name(self, i: int, k: int) -> str:
        return parts.named(self.param_groups[i], i, k)

    # ---------------------------------------------------------------- a pass

    def _arrived(self, p: torch.Tensor) -> None:
        with self._lock:  # devices have threads of their own
            task = _current_pass()
            if task != self._task:
                self._begin(task)
            single = self._singles.get(id(p))
            if self._mode is not None and single is not None:
                self._mode(single)

    def _begin(self, task: int) -> None:
        """Refuse what cannot be right, before any tensor is touched; then settle what the pass does."""
        name = f"{self.spec.name} steps in the backward"
        not_recorded(name)
        if torch.is_grad_enabled():
            raise RuntimeError(
                f"{name}, so backward(create_graph=True) is refused: the graph would run through gradients that are "
                "freed. Use torch.autograd.grad, which steps nothing"
            )
        if _nested():
            raise RuntimeError(
                f"{name}, and this backward runs inside another one, as in checkpoint(..., use_reentrant=True): "
                "use use_reentrant=False"
            )
        if getattr(sys.modules.get("torch._dynamo.compiled_autograd"), "in_compiled_autograd_region", False):
            raise RuntimeError(
                f"{name}, and compiled autograd does not say when a pass ends: leave torch._dynamo.config."
                "compiled_autograd off, or use the ordinary class"
            )
        if self._runs():
            raise RuntimeError(f"{name}: two backward passes run at once through its parameters; run one at a time")
        if self._elsewhere or self._apart:
            points.refuse(self, "backward(), which steps,")
        self._close()  # of a pass that failed
        measuring = self._measuring is not None
        if measuring:
            mode = self._open_measure()
        elif not self._holding and self._counted + 1 >= self._every:
            mode = self._open()
        else:
            mode = None
        end = _End(self)
        _engine.queue_callback(end)
        self._counts = not (measuring or self._holding)
        self._end, self._mode, self._task = weakref.ref(end), mode, task

    def _runs(self) -> bool:
        return self._end is not None and self._end() is not None

    def _ended(self) -> None:
        with self._lock:
            mode, self._mode = self._mode, None
            self._task = self._end = None
            if mode is None:
                self._counted += self._counts
                return
            self._left(mode)
            if self._opened:
                self._close()

    def _left(self, mode: Callable[[Single], None]) -> None:
        """Gradients that came in earlier passes only, or to parameters without a hook."""
        for single in self._singles.values():
            if single.p.grad is not None:
                mode(single)

    def _update(self) -> None:
        """What ``step()`` does: the gradients that stand."""
        if self._elsewhere or self._apart:
            points.refuse(self, "step()")
        if self._runs():
            raise RuntimeError(f"{self.spec.name}.step() inside backward(): the pass steps by itself")
        self._prepare()
        if any(single.p.grad is not None for single in self._singles.values()):
            self._left(self._open())
        self._close()

    # ---------------------------------------------------------------- a step

    def _said_anew(self) -> None:
        super()._said_anew()
        self._settled = None

    def _prepare(self) -> Settled:
        if self._scheduled:
            self._follow()
        if self._settled is None or not self._settled.follows():
            self._settled = Settled(self)
            self._singles = {
                id(p): Single(i, p, self._name(i, k))
                for i, group in enumerate(self.param_groups)
                for k, p in enumerate(group["params"])
            }
            self._state.changed = False
        if not self._removed:
            for key, single in self._singles.items():
                if key not in self._handles and single.p.requires_grad:
                    self._handles[key] = single.p.register_post_accumulate_grad_hook(Arrived(self))
        return self._settled

    def _open(self) -> Callable[[Single], None]:
        """Settle the numbers of a step. Returns what it does with a gradient."""
        settled, found = self._prepare(), self._measured
        if settled.measured and found is None:
            raise RuntimeError(
                f"{self.spec.name} steps in the backward, and clip_norm and nonfinite must see all gradients first: "
                "`with opt.measure(): loss.backward(retain_graph=True)`, then `loss.backward()`"
            )
        self._opened = True
        if settled.measured and found is not None:
            if not found.finite and self._options["nonfinite"] == "skip":
                return self._discard
            settled.clip_by(found.norm)
        return self._take

    def _open_measure(self) -> Callable[[Single], None]:
        assert self._measuring is not None
        self._measuring.passes += 1
        if self._measuring.passes > 1:
            raise RuntimeError("measure() takes one backward pass: add the losses up first")
        settled, found = self._prepare(), self._measuring
        return lambda single: found.add(single, settled)

    def _take(self, single: Single) -> None:
        settled = self._settled
        assert settled is not None
        if self._measured is not None and single not in self._measured:
            raise RuntimeError(f"{single.name} has a gradient now and had none inside measure(): run the same backward")
        device = single.p.device.type
        try:
            if torch.is_autocast_enabled(device):  # the backward may run inside it; a step computes as it is written
                with torch.autocast(device, enabled=False):
                    single.step(settled)
            else:
                single.step(settled)
        except Exception as error:
            error.add_note(f"{self.spec.name}, stepping in the backward: {single.name} has not been changed")
            raise
        self._dirty = True

    def _discard(self, single: Single) -> None:
        single.p.grad = None
        self._skipping = True

    def _close(self) -> None:
        """The end of a step: count it, if any tensor has taken it."""
        if not self._opened:
            return
        self.steps += self._dirty
        self._show()
        self.skipped += self._skipping
        if self._dirty or self._skipping:
            self._opt_called = True  # or torch's schedulers would warn that no step was taken before theirs
        self._opened = self._dirty = self._skipping = False
        self._measured, self._counted = None, 0


def _nested() -> bool:
    """Whether this pass was started by the backward of a Python function, inside another pass."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _NESTED:
            return True
        frame = frame.f_back
    return False
