"""The loss of a torch model on a plane through its parameters, and what was walked beside the plane.

Two planes: through the model, along two random directions as long as its filters (Li et al. 2018, section 4), and
through whole trajectories, along their first two principal components. A picture of such a plane shows a shadow: how
much of the movement it holds, and how far the loss on it is from that on the path, is computed and said with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .losses import Loss, Losses, OfModel, Until, grid
from .shadow import Landscape, Shadow, listed

BIASES = ("random", "own", "zero")


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
    return normalised([p.detach() for p in model.parameters()], direction, biases)


def normalised(params: Sequence[Tensor], direction: Sequence[Tensor], biases: str = "random") -> list[Tensor]:
    """The same of parameters; raises likewise."""
    if biases not in BIASES:
        raise ValueError(f"biases must be one of {', '.join(BIASES)}; got {biases!r}")
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
    with OfModel(model, loss_fn, data) as loss:
        drawn = directions([p.detach() for p in model.parameters()], seed, biases)
        along = torch.stack([torch.cat([d.reshape(-1).cpu() for d in one]) for one in drawn])
        return plane_at(loss, flat(model), along, span, n, f"filters as long as the model's, seed {seed}")


def directions(params: Sequence[Tensor], seed: int, biases: str = "random") -> list[list[Tensor]]:
    """Two random directions with filters as long as those of the parameters."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [[torch.randn(p.shape, generator=generator).to(p) for p in params] for _ in range(2)]
    return [normalised(params, one, biases) for one in drawn]


def plane_at(
    loss: Losses, at: Tensor, along: Tensor, span: float, n: int, said: str, until: Until | None = None
) -> Landscape:
    """The losses around a point, along two directions."""
    places = np.linspace(-span, span, n)
    losses, computed = grid(loss, at, along, places, places, until or Until())
    return Landscape(places, places, losses, f"two random directions, {said}", computed=computed)


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
    with OfModel(model, loss_fn, data) as loss:
        return plane_of(loss, trajectories, n, margin)


def plane_of(
    loss: Losses,
    trajectories: Mapping[str, Sequence[Tensor]],
    n: int,
    margin: float = 0.2,
    until: Until | None = None,
) -> Landscape:
    """The plane of trajectories, with what was walked; raises as `through`."""
    points = [point for walked in trajectories.values() for point in walked]
    if len(points) < 3:
        raise ValueError(f"trajectories must have at least three points in all to span a plane; got {len(points)}")
    if {len(point) for point in points} != {loss.size}:
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
    until, walked, at = until or Until(), [], 0
    for name, path in trajectories.items():
        mine = places[at : at + len(path)]
        at += len(path)
        true, seen = np.full((2, len(path)), np.nan)
        first = listed(len(path))
        for k in [*first, *(k for k in range(len(path)) if k not in first)]:
            if until.over() and k not in first:
                break
            true[k], seen[k] = loss(path[k]), loss(middle + torch.from_numpy(mine[k]) @ along)
        walked.append(Shadow(name, mine, true, seen, np.arange(len(path))))
    losses, computed = grid(loss, middle, along, a, b, until)
    said = "the first two principal components of all paths"
    return Landscape(a, b, losses, said, walked, explained, computed)
