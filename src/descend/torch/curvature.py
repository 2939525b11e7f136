"""Estimates of the curvature's diagonal, for rules that divide by it: Sophia (Liu et al. 2023) and AdaHessian.

if step % 10 == 0:  # Sophia
    diagonals = curvature.gauss_newton_bartlett(model(x), params)
    curvature.feed(opt, params, diagonals)

diagonals = curvature.hutchinson(loss, params, probes="signs")  # AdaHessian, before every step (Yao et al. 2021)
curvature.feed(opt, params, curvature.spatial_average(diagonals))
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.settings import check_setting
from .optim.base import RuleOptimizer
from .optim.group import given
from .sharded.refusals import refuse_use
from .step.leaf import Leaf
from .step.tensors import state_array

_SLOT = "h"
_PROBES = ("normal", "signs")
_AVERAGES_ITSELF = {"adahessian"}  # the estimates it is fed: each takes the place of the last


def hutchinson(
    loss: Tensor,
    params: Iterable[Tensor],
    generator: torch.Generator | None = None,
    samples: int = 1,
    probes: str = "normal",
) -> list[Tensor]:
    """Hutchinson's estimate of the diagonal of the Hessian: the mean of u ⊙ (H u) with u ~ N(0, I) (Algorithm 1).

    Costs a gradient with its graph and one more backward pass per sample. ``p.grad`` is left alone.

    Args:
        loss: a scalar with its graph, which is kept. params: the tensors to differentiate by.
        generator: of the device of the params; torch's global one without.
        samples: probes to average over, at least 1.
        probes: "normal", or "signs": u of ±1 with equal chances (AdaHessian's), whose estimate of a diagonal
            Hessian is exact.

    Returns:
        One tensor per parameter, of its shape and dtype; zeros where the loss does not depend on it. An estimate
        of a diagonal entry can be negative.

    Raises:
        ValueError: a loss that is no scalar or has no graph; no params; samples below 1; unknown probes.
    """
    if probes not in _PROBES:
        raise ValueError(f"hutchinson: probes must be {' or '.join(map(repr, _PROBES))}, got {probes!r}")
    params = _checked(params)
    if loss.numel() != 1:
        raise ValueError(f"hutchinson: loss must be a scalar, got shape {tuple(loss.shape)}")
    if not loss.requires_grad:
        raise ValueError("hutchinson: loss has no graph; compute it outside torch.no_grad()")
    if samples < 1:
        raise ValueError(f"hutchinson: samples must be at least 1, got {samples}")
    grads = _gradients(loss.reshape(()), params, create_graph=True)
    curved = [i for i, g in enumerate(grads) if g is not None and g.requires_grad]
    total = [torch.zeros_like(p, requires_grad=False) for p in params]
    for _ in range(samples if curved else 0):
        drawn = [torch.randn(p.shape, generator=generator, dtype=p.dtype, device=p.device) for p in params]
        if probes == "signs":
            drawn = [torch.where(u < 0, -1.0, 1.0).to(u.dtype) for u in drawn]
        # u·g, whose gradient is H u
        products = _gradients(sum((grads[i] * drawn[i]).sum() for i in curved), params, retain_graph=True)
        for average, u, hu in zip(total, drawn, products, strict=True):
            if hu is not None:
                average += u * hu.detach() / samples
    return total


def gauss_newton_bartlett(
    logits: Tensor, params: Iterable[Tensor], generator: torch.Generator | None = None
) -> list[Tensor]:
    """The Gauss–Newton–Bartlett estimate: B ĝ ⊙ ĝ, with ĝ the gradient for labels drawn from the model (Algorithm 2).

    Costs one backward pass. It estimates the diagonal of the Gauss–Newton matrix of the mean cross-entropy over the
    B predictions, and is never negative. ``p.grad`` is left alone and the graph is kept.

    Args:
        logits: (..., classes), with their graph. params, generator: as for ``hutchinson``.

    Returns:
        One tensor per parameter, of its shape and dtype; zeros where the logits do not depend on it.

    Raises:
        ValueError: logits without a dimension of classes, without predictions or without a graph; no params.
    """
    params = _checked(params)
    if logits.dim() < 1 or logits.numel() == 0:
        raise ValueError(f"gauss_newton_bartlett: logits must be (..., classes), got shape {tuple(logits.shape)}")
    if not logits.requires_grad:
        raise ValueError("gauss_newton_bartlett: logits have no graph; compute them outside torch.no_grad()")
    flat = logits.reshape(-1, logits.shape[-1])
    chances = torch.softmax(flat.detach().float() if flat.dtype.itemsize < 4 else flat.detach(), dim=-1)
    labels = torch.multinomial(chances, 1, generator=generator).squeeze(-1)
    loss = torch.nn.functional.cross_entropy(flat, labels)
    grads = _gradients(loss, params, retain_graph=True)
    return [
        torch.zeros_like(p, requires_grad=False) if g is None else len(flat) * g * g
        for p, g in zip(params, grads, strict=True)
    ]


def spatial_average(diagonals: Iterable[Tensor]) -> list[Tensor]:
    """The sizes of an estimate, for a convolution's weight averaged over its kernel (Yao et al. 2021).

    Args:
        diagonals: one tensor per parameter; from three dimensions on, all but the first two are the kernel's.

    Returns:
        Tensors of the same shapes, none negative.
    """
    sizes = [d.abs() for d in diagonals]
    return [
        d.mean(dim=tuple(range(2, d.dim())), keepdim=True).expand_as(d).contiguous() if d.dim() > 2 else d
        for d in sizes
    ]  # fmt: skip


@torch.no_grad()
def feed(opt: RuleOptimizer, params: Sequence[Tensor], diagonals: Sequence[Tensor], beta2: float | None = None) -> None:
    """Average the estimates into the state: h ← β₂·h + (1 - β₂)·diagonal (Algorithm 3, line 9).

    Args:
        opt: an optimizer whose rule keeps a curvature ``h``: ``descend.torch.Sophia`` or ``AdaHessian``.
        params: parameters of ``opt``. diagonals: one tensor of its shape for each.
        beta2: share of the past, in [0, 1); by default 0.99, and 0 for AdaHessian, which averages by itself.

    Raises:
        ValueError: a rule that keeps none, a parameter the optimizer does not have, shapes that differ. Nothing is
            written then.
    """
    if beta2 is not None:
        check_setting("beta2", beta2, "feed")
    groups = {id(p): group for group in opt.param_groups for p in group["params"]}
    params, diagonals = _checked(params), list(diagonals)
    if len(params) != len(diagonals):
        raise ValueError(f"feed: {len(params)} params but {len(diagonals)} diagonals")
    averages = []
    for i, (p, d) in enumerate(zip(params, diagonals, strict=True)):
        if id(p) not in groups:
            raise ValueError(f"feed: params[{i}] is not a parameter of this optimizer")
        if d.shape != p.shape:
            raise ValueError(f"feed: diagonals[{i}] has shape {tuple(d.shape)}, its parameter {tuple(p.shape)}")
        averages.append((p, *_begun(opt, groups[id(p)], p, f"params[{i}]"), d))
    for p, state, h, itself, d in averages:
        if p not in opt.state:
            opt.state[p] = state
        past = (0.0 if itself else 0.99) if beta2 is None else beta2
        h.mul_(past).add_(d.to(h), alpha=1 - past)


def _begun(opt: RuleOptimizer, group: dict[str, Any], p: Tensor, name: str) -> tuple[dict[str, Any], Tensor, bool]:
    """The state of a parameter, as it begins if no step has been taken, its curvature, and who averages that."""
    rule = opt.spec.rule(given(group), False)
    slots = {slot.name: slot for slot in rule.slots}
    if _SLOT not in slots:
        raise ValueError(f"feed: {rule.name} keeps no curvature {_SLOT!r}; descend.torch.Sophia and AdaHessian do")
    state = dict(opt.state.get(p, {}))
    leaf = Leaf(0, p, p, name, state)
    for slot in slots.values():
        state.setdefault(slot.saved_as, state_array(leaf, slot, p.detach(), {}))
    names = {stage.name for stage in rule.stages or (rule,)}
    return state, state[slots[_SLOT].saved_as], bool(names & _AVERAGES_ITSELF)


def _gradients(value: Any, params: list[Tensor], **how: Any) -> list[Any]:
    """The gradient by each parameter; None for one that is frozen or has no part in the value."""
    learning = [p for p in params if p.requires_grad]
    found = iter(torch.autograd.grad(value, learning, allow_unused=True, **how) if learning else ())
    return [next(found) if p.requires_grad else None for p in params]


def _checked(params: Iterable[Tensor]) -> list[Tensor]:
    if isinstance(params, Tensor):
        raise ValueError("params must be a list of tensors, got one tensor")
    params = list(params)
    if not params:
        raise ValueError("params is empty")
    refuse_use(params, "a curvature estimate", "its random vectors would differ from process to process")
    return params
