"""Points: some rules train one point and ship another, or want the gradient elsewhere than the parameters are.

Both are explicit: ``with opt.shipped(): evaluate()`` and ``with opt.gradient_point(): loss.backward()`` put the
other point into the parameters and put the old one back, bit for bit, whatever happens inside.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from ..core.rule import Rule
from ..core.untraced import untraced
from ..engines import load

if TYPE_CHECKING:
    from .base import RuleOptimizer


@untraced
class Points:
    """The part of an optimizer that knows its points."""

    @contextmanager
    def shipped(self: Any) -> Iterator[None]:
        """Inside, the parameters are what is to be evaluated and saved: the average, of rules that average.

        Raises:
            RuntimeError: ``step()`` is called inside.
        """
        with _swapped(self, "shipped_point"):
            yield

    @contextmanager
    def gradient_point(self: Any) -> Iterator[None]:
        """Inside, the parameters are where the gradient must be taken; only look-ahead rules have another point."""
        with _swapped(self, "gradient_point"):
            yield

    def watch(self: Any, model: torch.nn.Module) -> Any:
        """Warn once when ``model`` is evaluated (in eval mode) at the point that trains, not at the one that ships.

        Returns a handle whose ``remove()`` ends the watch.
        """

        def look(module: torch.nn.Module, _: Any) -> None:
            if module.training or self._elsewhere or self._warned or not self.steps:
                return
            if any(rule.shipped_point is not None for rule in _rules(self)):
                self._warned = True
                warnings.warn(
                    f"{self.spec.name} ships another point than it trains: evaluate inside `with opt.shipped():`",
                    stacklevel=3,
                )

        return model.register_forward_pre_hook(look)


@untraced
def _rules(optimizer: RuleOptimizer) -> list[Rule]:
    filled = [{**optimizer.spec.arguments, **group} for group in optimizer.param_groups]
    clip = any(group["clip_norm"] is not None for group in filled)
    return [optimizer.spec.rule(group, clip) for group in filled]


@contextmanager
def _swapped(optimizer: RuleOptimizer, which: str) -> Iterator[None]:
    """Put the other point into every parameter that has state; afterwards the old bits again."""
    load("torch")  # registers the words of the vocabulary for tensors
    if optimizer._elsewhere:
        raise RuntimeError("the parameters already hold another point; leave that block first")
    saved: list[tuple[torch.Tensor, torch.Tensor]] = []
    try:
        with torch.no_grad():
            for p, point in _points(optimizer, which):
                saved.append((p, p.detach().clone(memory_format=torch.preserve_format)))
                p.copy_(point())
        optimizer._elsewhere = True
        yield
    finally:
        optimizer._elsewhere = False
        with torch.no_grad():
            for p, old in saved:
                p.copy_(old)


def _points(optimizer: RuleOptimizer, which: str) -> Iterator[tuple[torch.Tensor, Callable[[], torch.Tensor]]]:
    for group, whole in zip(optimizer.param_groups, _rules(optimizer), strict=True):
        numbers = optimizer.spec.numbers({**optimizer.spec.arguments, **group}, whole, optimizer.steps)
        for p in group["params"]:
            rule = whole.of(tuple(p.shape))
            point, state = getattr(rule, which), optimizer._begun(p)
            if point is None or not state:
                continue
            wanted = [name for name in inspect.signature(point).parameters if name in rule.settings]
            slots = [state[slot.saved_as] for slot in rule.slots]
            settings = {name: numbers[name] for name in wanted}
            yield p, lambda p=p, point=point, slots=slots, settings=settings: point(_wide(p), *slots, **settings)


def _wide(p: torch.Tensor) -> torch.Tensor:
    p = p.detach()
    return p.float() if p.dtype in (torch.float16, torch.bfloat16) else p
