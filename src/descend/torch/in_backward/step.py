"""``step_in_backward``: every tensor is updated as its gradient arrives, and the gradient is freed.

At no time do all gradients stand in memory. The numbers are those of the ordinary loop, bit for bit.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ...core.rule import Rule
from ...core.settings import check_count
from ...core.untraced import untraced
from ...stepping import NonFiniteGradient
from ..optim.base import RuleOptimizer
from ..optim.classes import optimizer
from ..sharded.refusals import refuse_use
from .norm import Measured
from .passes import Passes, taken


def step_in_backward(
    model_or_params: torch.nn.Module | Iterable[Any],
    rule_or_class: Rule | type[RuleOptimizer],
    *,
    accumulate: int = 1,
    **settings: Any,
) -> SteppingInBackward:
    """Update every parameter inside ``loss.backward()``, as soon as its gradient has arrived, and free the gradient.

    Keep what is returned as long as the model trains: it owns the state. The settings of a step (``lr`` of the groups)
    are read when the first gradient of a pass arrives.

    Args:
        model_or_params: a module, whose parameters' names then stand in errors, or what an optimizer takes:
            tensors, (name, tensor) pairs or groups with settings of their own.
        rule_or_class: a rule or chain, or a class of ``descend.torch``.
        accumulate: step in every ``accumulate``-th backward pass; the others add to the gradients, which then stand.
        settings: of the class.

    Returns:
        An optimizer of the class, for schedulers and checkpoints; the latter fit the ordinary class, both ways.

    Raises:
        ValueError: a rule with a total over all parameters or another gradient point, a parameter that another such
            object steps already, a model under DistributedDataParallel, a setting not admitted; by name.
        TypeError: something that is no rule or class of descend.torch, or an unknown setting.
    """
    if isinstance(model_or_params, torch.nn.parallel.DistributedDataParallel):
        raise ValueError(
            "DistributedDataParallel averages gradients after they have arrived, so each process would step with "
            "its own gradient: use the ordinary class"
        )
    check_count("accumulate", accumulate)
    cls = optimizer(rule_or_class) if isinstance(rule_or_class, Rule) else rule_or_class
    if not isinstance(cls, type) or not issubclass(cls, RuleOptimizer) or cls is RuleOptimizer:
        raise TypeError(
            f"step_in_backward takes a rule or a class of descend.torch, got {rule_or_class!r}; "
            "torch.optim's classes have their counterparts there"
        )
    module = isinstance(model_or_params, torch.nn.Module)
    return _class(cls)(model_or_params.named_parameters() if module else model_or_params, accumulate, **settings)


@untraced
class SteppingInBackward(Passes):
    """What ``step_in_backward`` returns: an optimizer of the given class whose steps happen inside ``backward()``.

    ``param_groups``, ``state_dict``, ``load_state_dict``, ``add_param_group`` and ``shipped()`` are those of the class.
    ``step()`` and ``zero_grad()`` mean what they mean there, for the gradients that still stand. Usually there are
    none and they do nothing; there are some after passes that only accumulate, or after a pass that failed.
    As a context manager, it ends with ``remove()``.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As torch's; the new parameters are stepped in the backward too."""
        super().add_param_group(param_group)
        try:
            i = len(self.param_groups) - 1
            instead = "their gradients arrive when other processes have added theirs; use the ordinary class"
            refuse_use(self.param_groups[i]["params"], "step_in_backward", instead)
            for k, p in enumerate(self.param_groups[i]["params"]):
                if taken(p):
                    raise ValueError(
                        f"{self._name(i, k)} is stepped in the backward by another object: remove() that one first"
                    )
            if self._settled is not None:
                self._prepare()
        except Exception:
            self.param_groups.pop()
            raise

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients that still stand, and begin to count ``accumulate`` anew."""
        with self._lock:
            self._close()
            self._counted = 0
        super().zero_grad(set_to_none)

    @contextmanager
    def accumulating(self) -> Iterator[None]:
        """Backward passes inside step nothing: they add to the gradients, and do not count for ``accumulate``."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1

    @contextmanager
    def measure(self) -> Iterator[Measured]:
        """The backward pass inside steps nothing: it finds the norm of all gradients, freeing each as it arrives.

        ``clip_norm`` and ``nonfinite`` need it::

            with opt.measure() as found:
                loss.backward(retain_graph=True)
            loss.backward()  # steps, clipped by found.norm

        Raises:
            RuntimeError: gradients stand already, or are accumulated; no pass inside, or more than one.
            NonFiniteGradient: with ``nonfinite="raise"``, when the block ends; nothing has been changed.
        """
        if self._every > 1 or self._holding:
            raise RuntimeError(
                "measure() does not go with accumulation, which keeps all gradients in memory: use the ordinary class"
            )
        if self._measuring is not None or self._runs():
            raise RuntimeError("measure() inside measure() or a backward pass")
        if any(p.grad is not None for group in self.param_groups for p in group["params"]):
            raise RuntimeError("measure(): gradients stand already; step() or zero_grad() first")
        self._measured, self._measuring = None, (found := Measured())
        try:
            yield found
        finally:
            self._measuring = None
        if not found.passes or self._settled is None:
            raise RuntimeError("no backward pass reached a parameter inside measure()")
        found.close(self._settled)
        if not found.finite and self._options["nonfinite"] == "raise":
            raise NonFiniteGradient(f"{self.spec.name}: a gradient holds NaN or infinity; nothing was changed")
        if self._settled.measured:
            self._measured = found

    # ---------------------------------------------------------------- its end

    def remove(self) -> None:
        """Take the hooks away. ``step()`` then works as in the ordinary loop, one tensor after the other."""
        self._removed = True
        for handle in self._handles.values():
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> SteppingInBackward:
        return self

    def __exit__(self, *_: Any) -> None:
        self.remove()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("hooks cannot be copied or pickled: save state_dict(), which also fits the ordinary class")

    @property
    def _step_supports_amp_scaling(self) -> bool:
        raise RuntimeError(
            f"{self.spec.name} steps in the backward, where gradients are still scaled: GradScaler cannot unscale "
            "them, nor skip a step half taken. Use bfloat16 autocast without a scaler, or the ordinary class"
        )


@functools.cache
def _class(cls: type[RuleOptimizer]) -> type[SteppingInBackward]:
    members = {"__doc__": SteppingInBackward.__doc__, "__module__": "descend.torch"}
    return type(f"{cls.__name__}InBackward", (SteppingInBackward, cls), members)
