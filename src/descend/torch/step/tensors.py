"""What a tensor must be to be stepped, and how the refusals read."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from ...core.init import Slot
from ...core.rule import Rule
from ...engines.base import Engine
from ...engines.formats import working
from ..sharded import parts

if TYPE_CHECKING:
    from ..optim.spec import Spec
    from .leaf import Leaf

_NAMES = {torch.float32: "float32", torch.float64: "float64", torch.float16: "float16", torch.bfloat16: "bfloat16"}
_wrapped = torch._C._functorch.is_functorch_wrapped_tensor  # pyright: ignore[reportAttributeAccessIssue]
_PLAIN = (torch.Tensor, torch.nn.Parameter)
WORKING = {dtype: getattr(torch, working(name)) for dtype, name in _NAMES.items()}


def dtype_name(p: torch.Tensor) -> str:
    return _NAMES.get(p.dtype, str(p.dtype).removeprefix("torch."))


def _shape(t: torch.Tensor) -> str:
    return f"{dtype_name(t)} {tuple(t.shape)}"


def gradient(leaf: Leaf, spec: Spec, rule: Rule) -> None:
    """Refuse a gradient that the rule cannot take. Of a sparse one, find where its values belong.

    Raises:
        RuntimeError: it is sparse, or the parameter complex, where that is not taken. ValueError: its shape, type or
            device is not the parameter's, or the parameter overlaps itself; one of them has been freed.
    """
    p, g = leaf.p, leaf.grad
    plain = type(p) in _PLAIN and type(g) in _PLAIN
    if not plain and parts.is_part(g):
        raise ValueError(
            f"the gradient of {leaf.name} is a DTensor, and the parameter a plain tensor: distribute it alike"
        )
    if not plain and (parts.is_fake(p) or parts.is_fake(g)):
        raise RuntimeError(
            f"{leaf.name} is a FakeTensor, which has a shape and no numbers: there is nothing to step. "
            "Step outside FakeTensorMode"
        )
    if p.is_complex() and not spec.takes_complex(rule):
        raise RuntimeError(f"{leaf.name} is complex: {spec.name} does not support complex parameters")
    if g.layout is not torch.strided:
        reason = spec.not_by_rows(rule)
        if reason is None and (g.layout is not torch.sparse_coo or not g.sparse_dim()):
            reason = f"of layout {g.layout}, where sparse_coo is taken"
        if reason is not None:
            raise RuntimeError(f"the gradient of {leaf.name} is sparse: {reason}")
    if g.layout is not torch.strided and g.device == p.device and p.layout is torch.strided:
        if g.shape != p.shape or g.dtype != p.dtype:
            raise ValueError(f"the gradient of {leaf.name}: expected {_shape(p)}, got {_shape(g)}")
        g = g.coalesce()
        leaf.rows, leaf.grad = tuple(g.indices()), g.values()
        return
    if p.layout is not torch.strided:
        raise ValueError(f"{leaf.name} is sparse itself; only dense parameters can be stepped")
    if g.shape != p.shape or g.dtype != p.dtype:
        raise ValueError(f"the gradient of {leaf.name}: expected {_shape(p)}, got {_shape(g)}")
    if g.device != p.device:
        raise ValueError(f"the gradient of {leaf.name}: expected on {p.device}, got {g.device}")
    if not (p.is_floating_point() or p.is_complex()):
        raise ValueError(f"{leaf.name} is {dtype_name(p)}; only floating-point parameters can be stepped")
    if _overlaps_itself(p):
        raise ValueError(f"{leaf.name} is a view whose elements share memory; clone it first")
    if without_memory(p) or (without_memory(g) and type(g) in _PLAIN and not g._is_zerotensor()):
        what = leaf.name if without_memory(p) else f"the gradient of {leaf.name}"
        raise ValueError(f"{what} has no memory; {_whose(p if without_memory(p) else g)}")


def _whose(t: torch.Tensor) -> str:
    """Why a tensor has no memory."""
    wrapped = _wrapped(t) or torch._is_functional_tensor(t)  # pyright: ignore[reportPrivateImportUsage]
    return "torch.func has wrapped it: step outside of the transform" if wrapped else "was its storage freed?"


def not_recorded(name: str) -> None:
    """Refuse to step where torch's operators are recorded or imitated, which kernels of our own are not.

    Raises:
        RuntimeError: inside FakeTensorMode, ``make_fx``, ``torch.export`` or the like.
    """
    for mode in _get_current_dispatch_mode_stack():
        if getattr(mode, "_mode_key", None) is not None:  # only torch's own tracing has one
            raise RuntimeError(
                f"{name}.step() inside {type(mode).__name__}, as in make_fx and torch.export: torch's operators are "
                "recorded or imitated there, and a step is none of them; step outside"
            )


def _overlaps_itself(p: torch.Tensor) -> bool:
    """Whether two elements may stand at one place: some stride is within the span of the smaller ones."""
    if not p.numel() or p.is_contiguous():
        return False
    span = 0
    for stride, size in sorted((s, n) for s, n in zip(p.stride(), p.shape, strict=True) if n > 1):
        if stride <= span:
            return True
        span += (size - 1) * stride
    return False


def wanted(rule: Rule) -> list[str]:
    """The entries of a state that a checkpoint has."""
    return [slot.saved_as for slot in rule.slots if not slot.init.passing]


def complete(leaf: Leaf, wanted: list[str]) -> None:
    """Refuse a state of which a part is gone.

    Raises:
        ValueError: some entries of the rule's state are there and others are not.
    """
    missing = [name for name in wanted if leaf.state.get(name) is None]
    if missing and len(missing) < len(wanted):
        raise ValueError(f"the state of {leaf.name} has no {missing[0]!r}; delete all of it to begin anew")


def overlaps(leaves: list[Leaf]) -> None:
    """Refuse dense parameters that share memory.

    Raises:
        ValueError: two of them do; both are named.
    """
    spans = sorted(
        (leaf.p.data_ptr(), leaf.p.data_ptr() + leaf.p.numel() * leaf.p.element_size(), i)
        for i, leaf in enumerate(leaves)
        if leaf.p.numel() and leaf.p.device.type != "meta" and is_dense(leaf.p)
    )
    for (_, end, i), (begin, _, k) in itertools.pairwise(spans):
        if begin < end:
            raise ValueError(f"{leaves[i].name} and {leaves[k].name} share memory; step each element once")


def out_of_reach(p: torch.Tensor, engine: Engine) -> str | None:
    """Why an engine other than eager torch cannot step this tensor, or None."""
    if type(p) not in _PLAIN:
        return f"a {type(p).__name__}"
    if reason := engine.out_of_reach(p):
        return reason
    if p.dtype not in _NAMES:
        return f"a {dtype_name(p)} tensor"
    if p.layout is not torch.strided:
        return "a tensor that is not strided"
    return "a tensor with a lazy sign or conjugate" if p.is_neg() or p.is_conj() else None


def without_memory(g: torch.Tensor) -> bool:
    """Whether the numbers stand nowhere: freed, zeros of autograd's, or of an object that only plays a tensor."""
    try:
        return g.device.type == "cpu" and g.numel() > 0 and g.data_ptr() == 0
    except RuntimeError:
        return True


def is_dense(p: torch.Tensor) -> bool:
    """Whether the elements fill one stretch of memory without gaps, in whatever order."""
    if p.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted((s, n) for s, n in zip(p.stride(), p.shape, strict=True) if n != 1):
        if stride != expected:
            return False
        expected *= size
    return True


def same_layout(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether equal offsets mean equal elements; strides along dimensions of size 1 mean nothing."""
    if a.stride() == b.stride() or a.numel() == 0:
        return True
    return all(n == 1 or x == y for x, y, n in zip(a.stride(), b.stride(), b.shape, strict=True))


def plain(g: torch.Tensor) -> torch.Tensor:
    """The gradient with lazy sign and conjugation carried out."""
    g = g.detach()
    return g.resolve_neg().resolve_conj() if g.is_neg() or g.is_conj() else g


def _filled(like: torch.Tensor, fill: float, dtype: torch.dtype) -> torch.Tensor:
    """``torch.full_like`` without torch's threads, which hang in a forked child; both halves of complex numbers."""
    if dtype.is_complex:
        return torch.full_like(like, complex(fill, fill), dtype=dtype).resolve_conj()
    if like.device.type != "cpu" or dtype not in _NAMES or type(like) not in _PLAIN:
        return torch.full_like(like, fill, dtype=dtype)
    made = torch.empty_like(like, dtype=dtype)
    made.numpy().fill(fill)
    return made


def state_array(leaf: Leaf, slot: Slot, like: torch.Tensor, numbers: dict[str, float]) -> torch.Tensor:
    """The state of a slot: what is there, if it fits, else freshly allocated.

    Raises:
        ValueError: there is one of another shape, type or device.
    """
    dtype = WORKING.get(like.dtype, like.dtype)
    shape = slot.init.shape_for(tuple(like.shape))
    there = leaf.state.get(slot.saved_as)
    placed = leaf.whole is not None and slot.init.shape == "element"
    if there is not None and parts.is_part(there) != placed:
        kinds = ("DTensor placed like the parameter", "plain tensor")[:: 1 if placed else -1]
        raise ValueError(f"state {slot.saved_as!r} of {leaf.name}: expected a {kinds[0]}, got a {kinds[1]}")
    if placed and there is not None:
        there = parts.placed_alike(there, leaf.whole, f"state {slot.saved_as!r} of {leaf.name}")
    if there is None:
        if slot.init.fill in ("p", "g"):
            origin = leaf.p if slot.init.fill == "p" else leaf.grad
            return torch.empty_like(like, dtype=dtype).copy_(origin.detach())
        fill = slot.init.first(numbers)
        if slot.init.shape == "element":
            return _filled(like, float(fill), dtype)
        if slot.init.is_square:
            return fill * torch.eye(shape[0], dtype=dtype, device=like.device)
        return torch.full(shape, fill, dtype=dtype, device=like.device)
    if (
        not isinstance(there, torch.Tensor)
        or there.shape != shape
        or there.device != like.device
        or there.dtype != dtype
    ):
        got = f"{_shape(there)} on {there.device}" if isinstance(there, torch.Tensor) else repr(there)
        expected = f"{dtype} {tuple(shape)} on {like.device}".removeprefix("torch.")
        converted = isinstance(there, torch.Tensor) and there.shape == shape
        way = "; if the model was converted or moved, opt.load_state_dict(opt.state_dict()) takes its state along"
        raise ValueError(
            f"state {slot.saved_as!r} of {leaf.name}: expected {expected}, got {got}{way if converted else ''}"
        )
    if slot.init.shape == "element" and not same_layout(there, like):
        return torch.empty_like(like, dtype=dtype).copy_(there)
    return there.detach().resolve_neg().resolve_conj()


def saved_array(value: Any, slot: Slot, p: torch.Tensor, what: str) -> torch.Tensor:
    """A loaded state tensor as the optimizer keeps it: a copy, laid out like the parameter.

    Raises:
        ValueError: it is no tensor of real numbers (complex, for a complex parameter) of the right shape.
    """
    if not isinstance(value, torch.Tensor):
        shape = slot.init.shape_for(tuple(p.shape))
        raise ValueError(f"{what}: expected a tensor of shape {shape}, got {value!r}")
    if parts.is_part(p) and slot.init.shape == "element":
        return parts.rejoined(saved_array(parts.placed_like(value, p, what), slot, parts.part(p), what), p)
    value, p = parts.placed_like(value, parts.part(p), what), parts.part(p)
    shape = slot.init.shape_for(tuple(p.shape))
    if value.shape != shape:
        raise ValueError(f"{what}: expected shape {shape}, got {tuple(value.shape)}")
    fits = value.is_complex() == p.is_complex() and (value.is_floating_point() or value.is_complex())
    if not fits or value.layout is not torch.strided or value.device.type == "meta":
        raise ValueError(
            f"{what}: expected numbers like the parameter's, got {_shape(value)} {value.layout}, {value.device}"
        )
    dtype = WORKING.get(p.dtype, p.dtype)
    with torch.inference_mode(False), torch.no_grad():
        if slot.init.shape != "element":
            return value.to(p.device, dtype, copy=True)
        return torch.empty_like(p.detach(), dtype=dtype, memory_format=torch.preserve_format).copy_(value)
