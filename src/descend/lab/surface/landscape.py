"""The loss of a torch model on a plane through its parameters, and what was walked beside the plane.

Two planes: through the model, along two random directions as long as its filters (Li et al. 2018, section 4), and
through whole trajectories, along their first two principal components. A picture of such a plane shows a shadow: how
much of the movement it holds, and how far the loss on it is from that on the path, is computed and said with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from .shadow import Landscape, Shadow

BIASES = ("random", "own", "zero")
Loss = Callable[[Any, Any], Tensor]


def flat(model: nn.Module) -> Tensor:
    """(P,): a copy of all parameters, one behind the other; what a trajectory is a list of."""
    return torch.cat([p.detach().reshape(-1).cpu() for p in model.parameters()])


def filter_normalised(model: nn.Module, direction: Sequence[Tensor], biases: str = "random") -> list[Tensor]:
    """A direction with every filter as long as the model's (Li et al. 2018, section 4).

    A filter is what has one index of the first dimension. A tensor of one dimension (biases, norms) has none:
    "random" takes it as one filter; "own" is the parameter itself, "zero" nothing: the choices of the authors' code.

    Args:
        direction: a tensor of the shape of each parameter.
    Raises:
        ValueError: other shapes, or another word for `biases`.
    """
    if biases not in BIASES:
        raise ValueError(f"biases must be one of {', '.join(BIASES)}; got {biases!r}")
    params = [p.detach() for p in model.parameters()]
    if [p.shape for p in params] != [d.shape for d in direction]:
        raise ValueError("direction must have a tensor of the shape of each parameter")
    made = []
    for p, d in zip(params, direction, strict=True):
        if p.ndim > 1:
            rows, wanted = d.reshape(len(d), -1), p.reshape(len(p), -1).norm(dim=1, keepdim=True)
            made.append((rows * (wanted / (rows.norm(dim=1, keepdim=True) + 1e-10))).reshape(p.shape))
        elif biases == "random":
            made.append(d * (p.norm() / (d.norm() + 1e-10)))
        else:
            made.append(p.clone() if biases == "own" else torch.zeros_like(p))
    return made


class _Evaluated:
    """The mean loss of a model at any parameters, in evaluation mode; the model is left as it was."""

    def __init__(self, model: nn.Module, loss_fn: Loss, data: Iterable[tuple[Any, Any]]) -> None:
        self.model, self.loss_fn, self.data = model, loss_fn, [(x, y) for x, y in data]
        if not self.data:
            raise ValueError("data must give at least one batch (input, target)")
        self.named = {name: p.detach() for name, p in model.named_parameters()}
        self.modes = {module: module.training for module in model.modules()}

    def __enter__(self) -> _Evaluated:
        self.model.eval()
        return self

    def __exit__(self, *error: object) -> None:
        for module, training in self.modes.items():
            module.training = training

    @torch.no_grad()
    def __call__(self, vector: Tensor) -> float:
        parts, at = {}, 0
        for name, p in self.named.items():
            parts[name] = vector[at : at + p.numel()].reshape(p.shape).to(p)
            at += p.numel()
        total = weight = 0.0
        for x, y in self.data:
            total += len(y) * float(self.loss_fn(functional_call(self.model, parts, (x,)), y))
            weight += len(y)
        return total / weight

    def grid(self, at: Tensor, along: Tensor, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(len(b), len(a)): the losses at `at` + a·along[0] + b·along[1]."""
        return np.array([[self(at + float(u) * along[0] + float(v) * along[1]) for u in a] for v in b])


def around(
    model: nn.Module,
    loss_fn: Loss,
    data: Iterable[tuple[Any, Any]],
    *,
    span: float = 1.0,
    n: int = 51,
    seed: int = 0,
    biases: str = "random",
) -> Landscape:
    """The loss around a model, along two random directions with filters as long as its own.

    Args:
        loss_fn: (model(input), target) -> the mean loss of a batch. data: batches (input, target).
        span: from -span to span on both axes; at 1 a step is as long as the filters.
        n: places on an axis. seed: of the directions. biases: as of `filter_normalised`.
    """
    generator = torch.Generator().manual_seed(seed)
    shapes = [p.shape for p in model.parameters()]
    drawn = [[torch.randn(shape, generator=generator) for shape in shapes] for _ in range(2)]
    drawn = [[d.to(p) for d, p in zip(of, model.parameters(), strict=True)] for of in drawn]
    along = torch.stack([
        torch.cat([d.reshape(-1).cpu() for d in filter_normalised(model, of, biases)]) for of in drawn
    ])  # fmt: skip
    places = np.linspace(-span, span, n)
    with _Evaluated(model, loss_fn, data) as loss:
        losses = loss.grid(flat(model), along, places, places)
    return Landscape(places, places, losses, f"two random directions, filters as long as the model's, seed {seed}")


def through(
    model: nn.Module,
    loss_fn: Loss,
    data: Iterable[tuple[Any, Any]],
    trajectories: Mapping[str, Sequence[Tensor]],
    *,
    n: int = 51,
    margin: float = 0.2,
) -> Landscape:
    """The loss on the plane that holds most of whole trajectories: their mean and first two principal components.

    Args:
        trajectories: name -> what `flat(model)` gave along a training, three points or more in all.
        margin: of the frame around them, in parts of their extent. The rest as of `around`.
    Raises:
        ValueError: too few points, or of another length than the model's parameters.
    """
    points = [point for walked in trajectories.values() for point in walked]
    if len(points) < 3:
        raise ValueError(f"trajectories must have at least three points in all to span a plane; got {len(points)}")
    if {len(point) for point in points} != {sum(p.numel() for p in model.parameters())}:
        raise ValueError("trajectories must be lists of flat(model), of this model")
    stacked = torch.stack(points).double()
    middle = stacked.mean(0)
    away = stacked - middle
    values, vectors = torch.linalg.eigh(away @ away.T)  # of points by points, which are fewer than parameters
    order = values.argsort(descending=True)[:2]
    along = (away.T @ vectors[:, order] / values[order].clamp_min(1e-300).sqrt()).T
    explained = (values[order] / values.sum()).tolist()
    places = (away @ along.T).numpy()
    low, high = places.min(0), places.max(0)
    room = np.maximum(high - low, 1e-9) * margin
    a, b = (np.linspace(low[k] - room[k], high[k] + room[k], n) for k in (0, 1))
    walked, at = [], 0
    with _Evaluated(model, loss_fn, data) as loss:
        losses = loss.grid(middle, along, a, b)
        for name, path in trajectories.items():
            mine = places[at : at + len(path)]
            at += len(path)
            true = np.array([loss(point) for point in path])
            seen = np.array([loss(middle + torch.from_numpy(place) @ along) for place in mine])
            walked.append(Shadow(name, mine, true, seen))
    return Landscape(a, b, losses, "the first two principal components of all paths", walked, explained)
