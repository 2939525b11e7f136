"""Autograd's gradient against differences of the loss, in float64; nothing is left changed."""

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ...core.settings import check_count
from ..loop.loss import checked
from ..loop.reach import kept_by
from ..loop.untouched import hold, hold_randomness, untouched
from ..sharded.refusals import refuse_use
from .differences import measured_noise, slope
from .gradient_report import RIGHT, GradientReport, TensorChecked, judged
from .in_float64 import InFloat64

OF_LARGEST = 1e-13  # rounding of a backward pass, relative to the largest entry of the tensor


def check_gradients(
    loss_fn: Callable[[], torch.Tensor],
    params: Any,
    *,
    coordinates: int = 10,
    directions: int = 1,
    tolerance: float = RIGHT,
    seed: int = 0,
) -> GradientReport:
    """Compare autograd with central differences of ``loss_fn`` in float64, whatever precision the model has.

    Of each tensor, ``coordinates`` random ones are checked (all, where it has no more), half of them among those with
    a gradient, and the slope along ``directions`` random directions, in which every coordinate takes part. Steps are
    chosen per slope (``differences.slope``), kinks are recognised by one-sided slopes that disagree, and random
    numbers (dropout) are the same in every evaluation. Regularisation can hide a mistake in the loss of the data, as
    its gradient may be the larger: check without it too.

    Afterwards, and after any exception or Ctrl-C, all is as it was, bit for bit: parameters, gradients, random
    generators, and buffers and modes of the modules that ``loss_fn`` reaches as closure, global or bound method.

    Args:
        loss_fn: without arguments; returns the loss, one number.
        params: a module, tensors, (name, tensor) pairs, or a mapping from names to tensors.
        tolerance: relative error up to which a slope is right; what rounding and step size explain is allowed besides.
        seed: of the choice of coordinates and directions; the global generators are left alone.
    Raises:
        TypeError: a parameter that is no floating-point tensor, a loss that is no tensor. ValueError: a loss that is
            no scalar, not finite, without a graph, or not the same when evaluated twice; nothing to check.
    """
    if not callable(loss_fn):
        raise TypeError(f"loss_fn must be a function without arguments, got {loss_fn!r:.80}")
    check_count("coordinates", coordinates, 0)
    check_count("directions", directions, 0)
    if coordinates + directions < 1:
        raise ValueError("coordinates and directions are both 0: nothing to check")
    named = _named(params)
    modules = {id(m): m for root in (params, *_reached(loss_fn)) if isinstance(root, nn.Module) for m in root.modules()}
    memo: dict[int, Any] = {}
    thaws = [hold(p, memo) for p in named.values()] + [hold(vars(m), memo) for m in modules.values()]
    reseed = hold_randomness()
    check = _Check(loss_fn, named, reseed, torch.Generator().manual_seed(seed), tolerance)
    with torch.inference_mode(False), torch.enable_grad():
        return untouched(lambda: check.run(coordinates, directions), *thaws, reseed)


class _Check:
    def __init__(
        self,
        loss_fn: Callable[[], torch.Tensor],
        named: Mapping[str, torch.Tensor],
        reseed: Callable[[], Any],
        generator: torch.Generator,
        tolerance: float,
    ) -> None:
        self.loss_fn, self.named, self.reseed, self.generator = loss_fn, named, reseed, generator
        self.tolerance, self.evaluations = tolerance, 0

    def loss(self) -> torch.Tensor:
        self.evaluations += 1
        self.reseed()
        with InFloat64():
            return checked(self.loss_fn())

    def run(self, coordinates: int, directions: int) -> GradientReport:
        for p in self.named.values():
            p.grad = None
            p.data = p.data.double()
        loss = self.loss()
        at = float(loss.detach())
        if not math.isfinite(at):
            raise ValueError(f"the loss is {at}: there is no gradient to check")
        if not loss.requires_grad:
            raise ValueError("the loss depends on no parameter: was it computed under no_grad, or detached?")
        with InFloat64():
            grads = torch.autograd.grad(loss, list(self.named.values()), allow_unused=True)
        if all(g is None for g in grads):
            raise ValueError("the loss depends on none of these parameters: are they those of another model?")
        again = float(self.loss().detach())
        if abs(again - at) > 1e-12 * abs(at):
            raise ValueError(
                f"loss_fn is not the same twice: {at:.17g}, then {again:.17g}. Let it use one fixed batch, and no "
                "state that changes from call to call"
            )
        sizes = [float(p.detach().norm()) / math.sqrt(max(1, p.numel())) for p in self.named.values()]
        usual = max(sizes, default=0.0) or 1.0
        tensors = []
        for (name, p), g, size in zip(self.named.items(), grads, sizes, strict=True):
            if not p.numel():
                continue
            dense = torch.zeros_like(p) if g is None else g.to_dense() if g.layout is not torch.strided else g
            found = tuple(self._of_tensor(p.data, dense.detach(), at, size or usual, coordinates, directions))
            tensors.append(TensorChecked(name, tuple(p.shape), g is not None, found))
        return GradientReport(tuple(tensors), at, self.evaluations)

    def _of_tensor(
        self, p: torch.Tensor, g: torch.Tensor, at: float, size: float, coordinates: int, directions: int
    ) -> Iterator[Any]:
        rounding = OF_LARGEST * float(g.abs().max())
        before = p.clone()

        def along(h: float, u: torch.Tensor) -> float:
            p.copy_(before + h * u)
            try:
                return float(self.loss().detach())
            finally:
                p.copy_(before)

        everywhere = torch.randn(p.shape, generator=self.generator, dtype=torch.float64).to(p.device)
        noise = measured_noise(lambda h: along(h, everywhere), size)
        for index in self._chosen(g, coordinates):
            x, expected = float(p[index]), float(g[index])

            def moved(h: float, index: Any = index, x: float = x) -> float:
                p[index] = x + h
                try:
                    return float(self.loss().detach())
                finally:
                    p[index] = x

            found = slope(moved, at, max(abs(x), size), expected, noise)
            yield judged(index, expected, found, rounding, self.tolerance)
        for _ in range(directions if p.dim() else 0):
            # along the signs of the gradient, so that its entries cannot cancel
            u = torch.randn(p.shape, generator=self.generator, dtype=torch.float64).to(p.device)
            u = torch.where(g == 0, u, u.abs() * g.sign())
            u /= u.norm()

            expected = float((g * u).sum())
            found = slope(functools.partial(along, u=u), at, size, expected, noise)
            yield judged(None, expected, found, rounding, self.tolerance)

    def _chosen(self, g: torch.Tensor, count: int) -> list[tuple[int, ...]]:
        """Random coordinates, half of them where the gradient is not 0."""
        flat = g.reshape(-1).cpu()
        order = torch.randperm(flat.numel(), generator=self.generator)
        if flat.numel() > count:
            moving = order[flat[order] != 0][: (count + 1) // 2]
            rest = order[~torch.isin(order, moving)]
            order = torch.cat([moving, rest])[:count]
        return [tuple(int(i) for i in torch.unravel_index(k, g.shape)) for k in order]


def _named(params: Any) -> dict[str, torch.Tensor]:
    """Name -> tensor, each tensor once; of a module, those that are trained."""
    if isinstance(params, nn.Module):
        pairs: Iterable[Any] = [(n, p) for n, p in params.named_parameters() if p.requires_grad]
        if not pairs and next(params.parameters(), None) is not None:
            raise ValueError("every parameter of the model is frozen (requires_grad=False): nothing to check")
    elif isinstance(params, torch.Tensor):
        pairs = [("param 0", params)]
    elif isinstance(params, Mapping):
        pairs = params.items()
    elif not isinstance(params, Iterable):
        raise TypeError(f"params must be a module, tensors, or (name, tensor) pairs, got {params!r:.80}")
    else:
        pairs = [p if isinstance(p, tuple) else (f"param {i}", p) for i, p in enumerate(params)]
    found: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, p in pairs:
        if not isinstance(p, torch.Tensor):
            raise TypeError(f"{name} is no tensor but {type(p).__name__}")
        if isinstance(p, nn.parameter.UninitializedParameter):
            raise ValueError(f"{name} has no shape yet: run one batch through the model first")
        if not p.is_floating_point():
            kind = str(p.dtype).removeprefix("torch.")
            advice = "; check torch.view_as_real of it" if p.is_complex() else ", which has no gradient"
            raise TypeError(f"{name} is {kind}{advice}")
        if not p.is_leaf or not p.requires_grad:
            raise ValueError(f"{name} is " + ("frozen (requires_grad=False)" if p.is_leaf else "computed, no leaf"))
        if id(p) not in seen:
            seen.add(id(p))
            found[str(name)] = p
    refuse_use(found.values(), "check_gradients", "it moves single elements; check the model before it is sharded")
    if not any(p.numel() for p in found.values()):
        raise ValueError("no parameter to check")
    return found


def _reached(function: Any) -> Iterator[Any]:
    """What a function can use by name: bound object, closure, defaults, globals, arguments of a partial."""
    if isinstance(function, functools.partial):
        yield from (*function.args, *function.keywords.values(), *_reached(function.func))
        return
    yield function
    yield getattr(function, "__self__", None)
    inner = getattr(function, "__func__", function)
    if inspect.isfunction(inner):
        yield from kept_by(inner)
        yield from (inner.__globals__[name] for name in inner.__code__.co_names if name in inner.__globals__)
