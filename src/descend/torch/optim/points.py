"""Points: some rules train one point and ship another, or want the gradient elsewhere than the parameters are.

``with opt.shipped(): evaluate()`` and ``with opt.gradient_point(): loss.backward()`` put the other point into the
parameters and put the old one back, bit for bit, whatever happens inside. ``opt.eval()`` and ``opt.train()`` do so for
loops that know the published Schedule-Free optimizers: transformers.Trainer and accelerate call them.

What is saved while the parameters hold another point has the trained one beside it, so that the run resumes there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from ...core.rule import Rule
from ...core.settings import taken_by
from ...core.untraced import untraced
from ...engines import load
from ...engines.eager.many import at_point
from ..sharded import parts
from ..step.owner import Owner
from .group import given

SHIPPED, GRADIENT, EVAL = "shipped_point", "gradient_point", "eval"
_BLOCKS = {SHIPPED: "shipped()", GRADIENT: "gradient_point()"}
KEY = "trained_point"  # in the saved state of a parameter


@untraced
class Points:
    """The part of an optimizer that knows its points.

    Attributes:
        _elsewhere: which point the parameters hold; "" for the trained one. _inside: the block they are in, or "".
        _apart: the trained point of each parameter that holds another; after loading, of each that may do so.
        _came: which point those may hold.
    """

    _elsewhere: str
    _inside: str
    _apart: dict[torch.Tensor, torch.Tensor]
    _came: str

    def train(self: Any) -> None:
        """The parameters are the point that is trained, as at first, bit for bit; inside a block it is left alone."""
        if self._inside:
            return
        if self._elsewhere:
            _leave(self)
        elif self._apart:
            _arrive(self)

    def eval(self: Any) -> None:
        """The parameters are the point that ships until ``train()``; a ``step()`` is refused meanwhile.

        Nothing happens for rules that ship what they train.

        Raises:
            RuntimeError: inside ``gradient_point()``.
        """
        if self._elsewhere == SHIPPED:
            return
        if self._inside:
            raise RuntimeError(f"eval() inside {self._inside}: leave the block first")
        if any(part and part.shipped_point for rule in _rules(self) for part in (rule, rule.vectors)):
            self.train()
            _place(self, SHIPPED)

    # Generators of their own: torch.compile leaves what is inside such a block of a method alone, and would trace into
    # the block of a function that a method returns.
    @contextmanager
    def shipped(self: Any) -> Iterator[None]:
        """Inside, the parameters are what is to be evaluated and saved: the average, of rules that average.

        Raises:
            RuntimeError: ``step()`` is called inside.
        """
        with _swapped(self, SHIPPED):
            yield

    @contextmanager
    def gradient_point(self: Any) -> Iterator[None]:
        """Inside, the parameters are where the gradient must be taken; only look-ahead rules have another point."""
        with _swapped(self, GRADIENT):
            yield

    def watch(self: Any, model: torch.nn.Module) -> Any:
        """Warn once when ``model`` is evaluated (in eval mode) at the point that trains, not at the one that ships.

        Returns a handle whose ``remove()`` ends the watch.
        """

        def look(module: torch.nn.Module, _: Any) -> None:
            if module.training or self._elsewhere == SHIPPED or self._warned or not self.steps:
                return
            if any(rule.shipped_point is not None for rule in _rules(self)):
                self._warned = True
                warnings.warn(
                    f"{self.spec.name} ships another point than it trains: evaluate inside `with opt.shipped():`, "
                    "or between opt.eval() and opt.train()",
                    stacklevel=3,
                )

        return model.register_forward_pre_hook(look)


@untraced
def _rules(optimizer: Owner) -> list[Rule]:
    filled = [{**optimizer.spec.arguments, **given(group)} for group in optimizer.param_groups]
    clip = any(group["clip_norm"] is not None for group in filled)
    return [optimizer.spec.rule(group, clip) for group in filled]


@contextmanager
def _swapped(optimizer: Owner, which: str) -> Iterator[None]:
    """Put the other point into every parameter that has state; afterwards the old bits again."""
    if optimizer._inside:
        raise RuntimeError("the parameters already hold another point; leave that block first")
    there = optimizer._elsewhere == which  # in eval mode, which goes on afterwards
    if optimizer._elsewhere and not there:
        refuse(optimizer, _BLOCKS[which])
    try:
        if not there:
            optimizer.train()
            _place(optimizer, which)
        optimizer._inside = _BLOCKS[which]
        yield
    finally:
        optimizer._inside = ""
        if not there:
            _leave(optimizer)


def _place(optimizer: Owner, which: str) -> None:
    """Put a point into every parameter that has state; all or none."""
    load("torch")  # registers the words of the vocabulary for tensors
    optimizer._elsewhere = which
    try:
        with torch.no_grad():
            for p, point in _points(optimizer, which):
                optimizer._apart[p] = p.detach().clone(memory_format=torch.preserve_format)
                p.copy_(point())
    except BaseException:
        _leave(optimizer)
        raise


def _leave(optimizer: Owner) -> None:
    put(optimizer._apart)
    optimizer._elsewhere, optimizer._apart = "", {}


def put(points: Mapping[torch.Tensor, torch.Tensor]) -> None:
    """Put points into parameters."""
    with torch.no_grad():
        for p, point in points.items():
            p.copy_(point)


def refuse(optimizer: Owner, what: str) -> None:
    """Refuse what needs the trained point in the parameters.

    Raises:
        RuntimeError: they hold another one.
    """
    if optimizer._inside:
        raise RuntimeError(f"{what} inside {optimizer._inside}: leave the block first")
    if optimizer._elsewhere:
        name = "the point that ships" if optimizer._elsewhere == SHIPPED else "where a gradient is taken"
        raise RuntimeError(
            f"{what} of {optimizer.spec.name} in eval mode: the parameters hold {name}; call its train() before the "
            "forward pass"
        )
    if optimizer._apart:
        if _astray(optimizer):
            raise RuntimeError(
                f"{what} of {optimizer.spec.name}: the checkpoint was saved inside {_BLOCKS[optimizer._came]}, and the "
                "model, loaded after the optimizer, does not hold the trained point: load the model first, or call the "
                "optimizer's train() after both"
            )
        optimizer._apart = {}


def _astray(optimizer: Owner) -> dict[torch.Tensor, torch.Tensor]:
    """The trained points of the parameters that hold the other point, which was loaded after them."""
    return {p: mine for p, mine in _holding(optimizer, optimizer._came).items() if not torch.equal(p, mine)}


def _arrive(optimizer: Owner) -> None:
    put(_astray(optimizer))
    optimizer._apart = {}


def unmoved(optimizer: Owner) -> dict[torch.Tensor, torch.Tensor]:
    """The trained points of the parameters that hold what ``eval()`` put there: no other weights were loaded since."""
    return _holding(optimizer, optimizer._elsewhere) if optimizer._elsewhere else {}


def _holding(optimizer: Owner, which: str) -> dict[torch.Tensor, torch.Tensor]:
    """The trained points of the parameters that hold the point ``which`` now."""
    load("torch")  # registers the words of the vocabulary for tensors
    with torch.no_grad():
        there = {p: point().to(p.dtype) for p, point in _points(optimizer, which, optimizer._apart)}
    return {p: mine for p, mine in optimizer._apart.items() if p in there and torch.equal(p, there[p])}


# ---------------------------------------------------------------- checkpoints and copies


def save(optimizer: Owner, saved: dict[str, Any]) -> None:
    """Add the trained point to a checkpoint, if the parameters hold another one."""
    which = optimizer._elsewhere or (optimizer._came if optimizer._apart else "")
    if not which:
        return
    in_eval = optimizer._elsewhere == SHIPPED and not optimizer._inside
    for group, plain in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        plain["point"] = EVAL if in_eval else which
        for p, key in zip(group["params"], plain["params"], strict=True):
            if p in optimizer._apart and key in saved["state"]:
                # in a list, which the flat form of torch.distributed.checkpoint refuses: it would drop it in loading
                saved["state"][key][KEY] = [optimizer._apart[p]]


def which(saved: Any) -> str:
    """The point that a checkpoint's word means.

    Raises:
        ValueError: it is none.
    """
    if saved not in (EVAL, SHIPPED, GRADIENT):
        raise ValueError(f"loaded state dict: 'point' is {EVAL}, {SHIPPED} or {GRADIENT}, got {saved!r:.60}")
    return SHIPPED if saved == EVAL else saved


def read(saved: Any, p: torch.Tensor, name: str) -> torch.Tensor:
    """The trained point of a parameter in a checkpoint, as a copy.

    Raises:
        ValueError: there is none, or it does not fit.
    """
    if not isinstance(saved, list) or len(saved) != 1 or not isinstance(saved[0], torch.Tensor):
        raise ValueError(
            f"loaded state dict, {name}: it was saved while the parameters held another point, and the trained one is "
            "missing: save after train(), or outside of shipped() and gradient_point()"
        )
    if saved[0].shape != p.shape:
        raise ValueError(
            f"loaded state dict, {name}, {KEY!r}: expected shape {tuple(p.shape)}, got {tuple(saved[0].shape)}"
        )
    with torch.inference_mode(False), torch.no_grad():
        return torch.empty_like(p.detach(), memory_format=torch.preserve_format).copy_(saved[0])


def taken_over(
    optimizer: Owner, which: str, apart: dict[torch.Tensor, torch.Tensor], left: Mapping[torch.Tensor, Any]
) -> None:
    """Stand where a checkpoint was saved that has just been loaded.

    Args:
        which: "", "eval" or the point of a block, which nobody will leave: its trained points go into the parameters.
        apart: the trained points of the checkpoint. left: what ``unmoved`` gave before.
    """
    if which == EVAL:
        optimizer._elsewhere, optimizer._apart = SHIPPED, apart
        return
    put(apart if which else left)
    optimizer._elsewhere, optimizer._apart, optimizer._came = "", apart, which


def _points(
    optimizer: Owner, which: str, at: Mapping[torch.Tensor, torch.Tensor] | None = None
) -> Iterator[tuple[torch.Tensor, Callable[[], torch.Tensor]]]:
    """Each parameter that has such a point, and what computes it, from the trained points ``at`` if not from itself."""
    for group, whole in zip(optimizer.param_groups, _rules(optimizer), strict=True):
        numbers = optimizer.spec.numbers(
            optimizer.spec.lifted({**optimizer.spec.arguments, **given(group)}), whole, optimizer.steps
        )
        for p in group["params"]:
            rule = whole.of(tuple(p.shape))
            point, state = getattr(rule, which), optimizer._begun(p)
            if point is None or not state:
                continue
            slots = [parts.part(state[slot.saved_as]) for slot in rule.slots]
            settings = taken_by(point, {name: numbers[name] for name in rule.settings})
            here = parts.part(p if at is None else at.get(p, p))
            yield (
                p,
                lambda p=here, whole=p, point=point, slots=slots, settings=settings: parts.placed_as(
                    at_point(point, _wide(p), slots, settings), whole
                ),
            )


def _wide(p: torch.Tensor) -> torch.Tensor:
    p = p.detach()
    return p.float() if p.dtype in (torch.float16, torch.bfloat16) else p
