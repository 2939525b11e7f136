"""Sharpness along a training: the largest eigenvalue of the Hessian at each point, beside what the rule bears."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .along import Along, Sharpness
from .losses import Loss, Losses, OfModel, Until
from .trail import Trail

TOLERANCE, MOST = 1e-3, 200


class Top(NamedTuple):
    """The largest eigenvalue with its vector, how far from one it may be, and the products that it took."""

    value: float
    vector: Tensor
    error: float
    products: int


def top_eigenvalue(
    product: Callable[[Tensor], Tensor], start: Tensor, tolerance: float = TOLERANCE, most: int = MOST
) -> Top:
    """The largest eigenvalue of a symmetric matrix that is known by its products, by Lanczos' method.

    In float64, every vector made orthogonal to all before it. It ends where the residual |A·x − λ·x|, within which
    there is an eigenvalue, is below `tolerance`·|λ|. That it is the largest is not proved: `start` must not be
    orthogonal to its vector, which a vector with random parts is not.

    Args:
        start: (n,), not all 0. most: products at most; the error then says how far it came.
    """
    basis: list[Tensor] = []
    diagonal: list[float] = []
    beside: list[float] = []
    v = start.double() / start.double().norm()
    value, error, weights = 0.0, np.inf, np.ones(1)
    for k in range(min(most, len(start))):
        basis.append(v)
        w = product(v)
        diagonal.append(float(w @ v))
        if not np.isfinite(diagonal[-1]):
            return Top(np.nan, start, np.nan, k + 1)
        for _ in range(2):  # once leaves as much of the others as rounding has brought in
            for u in basis:
                w = w - (w @ u) * u
        values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
        length = float(w.norm())
        value, weights = float(values[-1]), vectors[:, -1]
        error = abs(length * weights[-1])
        if error <= tolerance * abs(value) or length <= 1e-12 * np.abs(values).max(initial=1e-300):
            break
        beside.append(length)
        v = w / length
    vector = sum((float(c) * u for c, u in zip(weights, basis, strict=False)), torch.zeros_like(v))
    return Top(value, vector, error, len(basis))


def sharpness(
    model: nn.Module,
    loss_fn: Loss,
    data: Iterable[tuple[Any, Any]],
    trails: Mapping[str, Trail | Sequence[Tensor]],
    *,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> Sharpness:
    """The largest eigenvalue of the Hessian of the mean loss, in evaluation mode, at every point of some trainings.

    Of a rule that scales its coordinates (Adam, RMSprop) it is that of the Hessian scaled likewise.

    Args:
        loss_fn, data: as of `around`. The edge of stability is one of full batches: give all that was trained on.
        trails: name -> `Trail`, or points `flat(model)` alone, of which no limit is known.
        tolerance: the residual of an eigenvalue, relative to it. seed: of the first vector of the search.
    Raises:
        ValueError: no points, or of another length than the model's parameters.
    """
    with OfModel(model, loss_fn, data) as loss:
        return sharpness_of(
            loss, {k: t if isinstance(t, Trail) else bare(t) for k, t in trails.items()}, tolerance, seed
        )


def bare(points: Sequence[Tensor]) -> Trail:
    n = len(points)
    return Trail(list(points), list(range(n)), [np.nan] * n, [None] * n)


def sharpness_of(
    loss: Losses, trails: Mapping[str, Trail], tolerance: float = TOLERANCE, seed: int = 0, until: Until | None = None
) -> Sharpness:
    """The same of any losses; raises as `sharpness`. Where time is up, the points that are done, of all in turn."""
    if not trails or not all(map(len, trails.values())):
        raise ValueError("trails must name at least one, with at least one point")
    if {len(point) for trail in trails.values() for point in trail.points} != {loss.size}:
        raise ValueError("trails must be lists of flat(model), of this model")
    until = until or Until()
    # The top vector moves little from point to point, so each search begins there; a random part lets it turn.
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(loss.size, generator=generator, dtype=torch.float64)
    drawn /= drawn.norm()
    vectors = {name: drawn for name in trails}
    found: dict[str, list[tuple[int, Top]]] = {name: [] for name in trails}
    order = sorted(
        (k, name)
        for name, trail in trails.items()
        for k in range(len(trail))
        if trail.scales[k] is not None or all(scale is None for scale in trail.scales)
    )  # before the first step a rule that scales has no scale yet
    products = 0
    for n, (k, name) in enumerate(order):
        if until.over(n, len(order)):
            break
        trail = trails[name]
        product, scale = loss.curved(trail.points[k]), trail.scales[k]
        if scale is not None:
            product = _scaled(product, scale)
        top = top_eigenvalue(product, vectors[name] + 0.1 * drawn, tolerance)
        products += top.products
        if np.isfinite(top.value):
            vectors[name] = top.vector
        found[name].append((k, top))
    paths = []
    for name, trail in trails.items():
        at = [k for k, _ in found[name]]
        steps, limits = (np.array([of[k] for k in at]) for of in (trail.steps, trail.limits))
        values, errors = (np.array([getattr(top, word) for _, top in found[name]]) for word in ("value", "error"))
        paths.append(Along(name, steps, values, errors, limits, trail.formula))
    return Sharpness(paths, tolerance, products)


def _scaled(product: Callable[[Tensor], Tensor], scale: Tensor) -> Callable[[Tensor], Tensor]:
    root = scale.double().rsqrt()
    return lambda v: root * product(root * v)
