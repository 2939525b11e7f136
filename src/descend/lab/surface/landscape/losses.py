"""The mean loss at any parameters, laid end to end as one vector, and products with its Hessian."""

from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

Loss = Callable[[Any, Any], Tensor]


class Until:
    """Whether to go on: for so many seconds, and until somebody interrupts.

    Attributes:
        told: called with what is done of what there is, where somebody wants to know.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._begun, self._seconds = monotonic(), seconds
        self.told: Callable[[float, float], object] | None = None
        self.interrupted = False

    def interrupt(self) -> None:
        self.interrupted = True

    @property
    def gone(self) -> float:
        """Seconds since the beginning."""
        return monotonic() - self._begun

    def over(self, done: float | None = None, most: float = 1) -> bool:
        if self.told is not None and done is not None:
            self.told(done, most)
        return self.interrupted or (self._seconds is not None and self.gone > self._seconds)


class Losses:
    """What gives the terms of a mean loss at parameters of these shapes.

    Args:
        like: parameters, whose shapes, dtypes and devices the parts of a vector get.
        frozen: of each whether it is never trained; the Hessian is that of the others, and 0 elsewhere.
    """

    def __init__(self, like: Iterable[Tensor], frozen: Iterable[bool] = ()) -> None:
        self.like = [p.detach() for p in like]
        self.size = sum(p.numel() for p in self.like)
        self.frozen = list(frozen) or [False] * len(self.like)

    def terms(self, parts: list[Tensor]) -> Iterator[tuple[float, Tensor]]:
        """(weight, loss) of each batch, differentiable; the weights add up to 1."""
        raise NotImplementedError

    def parts(self, vector: Tensor) -> list[Tensor]:
        split = vector.split([p.numel() for p in self.like])
        return [one.reshape(p.shape).to(p) for one, p in zip(split, self.like, strict=True)]

    @torch.no_grad()
    def __call__(self, vector: Tensor) -> float:
        return sum(weight * float(loss) for weight, loss in self.terms(self.parts(vector)))

    def curved(self, vector: Tensor) -> Callable[[Tensor], Tensor]:
        """What multiplies a float64 vector with the Hessian at this point, by differentiating twice."""
        trained = [not frozen for frozen in self.frozen]

        def sloped() -> Iterator[tuple[float, list[Tensor], list[Tensor | None]]]:
            at = self.parts(vector.detach())
            moving = [p.requires_grad_() for p, moves in zip(at, trained, strict=True) if moves]
            terms = self.terms(at)
            while True:
                with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention can be differentiated once only
                    if (term := next(terms, None)) is None:
                        return
                grads = torch.autograd.grad(term[1], moving, create_graph=True, allow_unused=True)
                yield term[0], moving, list(grads)

        def product(along: Tensor) -> Tensor:
            found = [torch.zeros(p.shape, dtype=torch.float64) for p in self.like]
            wanted = [v for v, moves in zip(self.parts(along), trained, strict=True) if moves]
            into = [f for f, moves in zip(found, trained, strict=True) if moves]
            for weight, moving, grads in kept or sloped():
                pairs = [(g * v).sum() for g, v in zip(grads, wanted, strict=True) if g is not None and g.requires_grad]
                if not pairs:
                    continue  # a loss that is linear in all of them
                bent = torch.autograd.grad(torch.stack(pairs).sum(), moving, retain_graph=bool(kept), allow_unused=True)
                for to, part in zip(into, bent, strict=True):
                    if part is not None:
                        to += weight * part.detach().to("cpu", torch.float64)
            return torch.cat([f.reshape(-1) for f in found])

        # The graph of one batch is kept for all products; those of many would not fit into memory.
        first = next(rows := sloped(), None)
        kept = [first] if first is not None and next(rows, None) is None else []
        return product


class OfModel(Losses):
    """Of a model on batches, in evaluation mode; within its `with`, after which the model is as it was."""

    def __init__(self, model: nn.Module, loss_fn: Loss, data: Iterable[tuple[Any, Any]]) -> None:
        super().__init__(model.parameters(), (not p.requires_grad for p in model.parameters()))
        self.model, self.loss_fn, self.data = model, loss_fn, [(x, y) for x, y in data]
        if not self.data:
            raise ValueError("data must give at least one batch (input, target)")
        self.names = [name for name, _ in model.named_parameters()]
        self.modes = {module: module.training for module in model.modules()}

    def __enter__(self) -> Self:
        self.model.eval()
        return self

    def __exit__(self, *error: object) -> None:
        for module, training in self.modes.items():
            module.training = training

    def terms(self, parts: list[Tensor]) -> Iterator[tuple[float, Tensor]]:
        whole, named = sum(len(y) for _, y in self.data), dict(zip(self.names, parts, strict=True))
        for x, y in self.data:
            yield len(y) / whole, self.loss_fn(functional_call(self.model, named, (x,)), y)


def grid(
    loss: Callable[[Tensor], float], at: Tensor, along: Tensor, a: np.ndarray, b: np.ndarray, until: Until
) -> tuple[np.ndarray, int]:
    """The losses (len(b), len(a)) at `at` + a·along[0] + b·along[1], and how many of them were computed.

    From coarse to fine: where time is up, the rest is drawn between the places that are done.
    """
    found, many = np.full((len(b), len(a)), np.nan), len(a) * len(b)
    done = np.zeros(found.shape, bool)
    step = 1 << max(0, (max(len(a), len(b)) - 1).bit_length() - 2)
    coarse: tuple[list[int], list[int]] | None = None
    while step:
        rows, columns = (sorted({*range(0, n, step), n - 1}) for n in found.shape)
        for i in rows:
            for j in columns:
                if done[i, j]:
                    continue
                if until.over(int(done.sum()), many) and coarse is not None:
                    return np.where(done, found, _between(found, *coarse)), int(done.sum())
                found[i, j] = loss(at + float(a[j]) * along[0] + float(b[i]) * along[1])
                done[i, j] = True
        coarse, step = (rows, columns), step // 2
    return found, many


def _between(found: np.ndarray, rows: list[int], columns: list[int]) -> np.ndarray:
    """Every place by straight lines between those of a lattice."""
    m, n = found.shape
    wide = np.array([np.interp(range(n), columns, found[i, columns]) for i in rows])
    return np.array([np.interp(range(m), rows, wide[:, j]) for j in range(n)]).T
