"""What is known only when all gradients have arrived: which rules need it, and the norm, from a pass of its own."""

import functools
import math
from typing import Any

import numpy as np
import torch

from ... import rules
from ...core import ops
from ...core.rule import Rule, before, chain
from ...core.trace import trace
from ...engines.base import Row, Step, Work
from ...optimizer import CLIP
from ..step import tensors

SCALE = "measured_clip"


@functools.cache
def _clipped(unscaled: bool) -> Rule:
    """A rule whose first pass is the norm, with the bits of the ordinary form."""
    return chain(*([rules.unscale] if unscaled else []), CLIP, rules.gradient_descent)


@before
def measured_clip(p: Any, g: Any, *, measured_clip: float = 1.0) -> Any:
    """Clip by a norm measured before: what is left of clip_norm is its factor."""
    return g * measured_clip


@functools.cache
def scaled(rule: Rule) -> Rule:
    """``rule`` behind a factor for the gradient, the setting ``SCALE``."""
    return chain(measured_clip, rule)


# ---------------------------------------------------------------- which rules need all gradients


def refuse_totals(rule: Rule) -> None:
    """Raises ValueError for a rule that must see all gradients before it steps a tensor, or wants another point."""
    if takes_totals(rule):
        raise ValueError(
            f"{rule.name} cannot be stepped tensor by tensor: it takes a total over all parameters, known only when "
            "the last gradient has arrived. Use the ordinary class; or clip_tensor, which clips each gradient by its "
            "own norm; or, for clipping by global norm, step_in_backward(..., clip_norm=...) with measure()"
        )
    if rule.gradient_point is not None:
        raise ValueError(
            f"{rule.name} wants its gradient at another point than the parameters, and a step taken inside "
            "gradient_point() is lost when the block ends: use the ordinary class"
        )


def takes_totals(rule: Rule) -> bool:
    """Whether the rule, or its rule for vectors, reduces over all parameters of the optimizer."""
    if any(slot.init.shape == "all" for slot in rule.slots):
        return True
    found = any(node.op in ("total", "count") and node.value == "all" for node in trace(rule, whole=True).nodes)
    return found or (rule.vectors is not None and takes_totals(rule.of((2,))))


# ---------------------------------------------------------------- the norm


class Measured:
    """What ``measure()`` found.

    Attributes:
        norm: the Euclidean norm of all gradients, once the block has ended; float64.
        finite: whether every gradient was finite.
    """

    def __init__(self) -> None:
        self.norm = math.nan
        self.finite = True
        self.passes = 0
        self._sums: dict[int, tuple[Any, float]] = {}

    def __contains__(self, single: Any) -> bool:
        return id(single.p) in self._sums

    def add(self, single: Any, settled: Any) -> None:
        """Take the sum of squares of the gradient that stands, and free the gradient."""
        p, g = single.p, single.p.grad
        assert g is not None
        sparse = g.layout is torch.sparse_coo
        if sparse:
            g = g.coalesce().values()
        elif settled.engine.on_memory:
            like = p.detach() if tensors.is_dense(p) else torch.empty(p.shape, dtype=p.dtype, device=p.device)
            if g.is_neg() or g.is_conj() or not tensors.same_layout(g, like):
                g = torch.empty_like(like).copy_(g)
        g = tensors.plain(g)
        engine = settled.engine
        square = self._by_kernel(g, settled, not sparse) if engine.sums else by_words(g, engine.on_numpy)
        if not math.isfinite(square) and not bool(torch.isfinite(g).all()):
            self.finite = False
        self._sums[id(p)] = single, square
        p.grad = None

    def _by_kernel(self, g: torch.Tensor, settled: Any, keep: bool) -> float:
        machine: tuple[Work, Step] = settled.machine(work_of(tensors.dtype_name(g), [g.numel()]), keep)
        work, step = machine
        work.addresses[:] = g.data_ptr()  # type: ignore[index]
        ((square,), _) = step.first_sums(torch.get_num_threads())[0]
        return float(square[0])

    def close(self, settled: Any) -> None:
        """Add the sums up, in the order in which the ordinary form adds them."""
        parts: dict[Any, list[float]] = {}
        for i, members in enumerate(settled.members):
            rule = settled.whole[i]
            for p in members:
                if id(p) in self._sums:
                    vector = rule.vectors is not None and p.dim() < 2
                    parts.setdefault((rule, vector, p.dtype, p.device), []).append(self._sums[id(p)][1])
        if settled.engine.on_memory:
            total = sum((float(np.array(part).sum()) for part in parts.values()), 0.0)
        else:
            sums = [sum(part[1:], part[0]) for part in parts.values()]
            total = sum(sums[1:], sums[0])
        self.norm = ops.NUMBERS["sqrt"](total)


def factor(norm: float, limit: float) -> float:
    """By which ``clip_norm`` multiplies, as in ``rules.clip_norm``."""
    return ops.minimum(ops.divide(limit, norm + 1e-6), 1.0)


def work_of(dtype: str, sizes: list[int], scale: float | None = None) -> Work:
    """Tensors whose first pass is their norm; their gradients are yet to be pointed to.

    Args:
        scale: by which the loss was multiplied, if it was.
    """
    rule, count = _clipped(scale is not None), len(sizes)
    settings = {name: float(value) for name, value in rule.settings.items()}
    settings |= {} if scale is None else {"loss_scale": scale}
    rows, row_of = [Row(1, settings)], np.zeros(count, np.int64)
    return Work(rule, dtype, sizes, rows, row_of, addresses=np.zeros((2, count), np.int64))


def by_words(g: torch.Tensor, on_numpy: bool, scale: float | None = None) -> float:
    """The sum of squares of a gradient as an engine without kernels adds it."""
    g = torch.view_as_real(g) if g.is_complex() else g
    x: Any = g.to(torch.float64 if on_numpy else tensors.WORKING.get(g.dtype, g.dtype))
    x = x if scale is None else x / scale
    return float(ops.total(x.numpy() * x.numpy() if on_numpy else x * x))
