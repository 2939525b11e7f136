"""``opt.telemetry``: what the last step measured of every tensor, without another pass over memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ...core.untraced import untraced
from ...draw.chart import Axis, Chart, Flag, Mark
from ...draw.pictured import Pictured
from ...draw.svg import svg
from ..optim.group import given
from .telemetry_words import HINT, columns_of, first_line

if TYPE_CHECKING:
    from .owner import Owner

ROWS = 40
"""So many tensors are printed."""
RATIO = 1e-3
"""Where the ratio of update to weights often lies in healthy training (Karpathy's rule of thumb): a hint, no law."""


def asked_for(value: Any) -> str:
    """``telemetry=`` as an optimizer keeps it: "" (off), "norms" or "cosine".

    Raises:
        ValueError: another value.
    """
    if value in (False, None, ""):
        return ""
    if value in (True, "norms", "cosine"):
        return "norms" if value is True else value
    raise ValueError(f'telemetry must be True, False or "cosine", got {value!r}')


@dataclass(frozen=True)
class Measured:
    """One tensor, or one group taken together, in the last step.

    Attributes:
        gradient_norm: of the gradient as it arrived, unscaled and unclipped; Euclidean, as all norms here.
        update_norm: of the change of the weights, decay included. weight_norm: of the weights after it. For float16
            and bfloat16 both are taken in float32, before the weights are rounded to their type.
        nonfinite: share of NaN and infinite gradient elements, 0 to 1.
        cosine: of the angle to the update before; None unless ``telemetry="cosine"``, NaN at the first step.

    Of a sparse gradient, only the rows it touches count. Sums of squares overflow as the type does: in float32, a
    tensor with elements above 1e19 may have an infinite norm, and one with all below 1e-23 a norm of zero.
    """

    name: str
    group: int
    elements: int
    gradient_norm: float
    update_norm: float
    weight_norm: float
    nonfinite: float
    cosine: float | None = None

    @property
    def ratio(self) -> float:
        """Update norm over weight norm; about 1e-3 in many healthy runs. NaN where both are zero."""
        if self.weight_norm == 0:
            return math.nan if self.update_norm == 0 else math.inf
        return self.update_norm / self.weight_norm


@untraced
class Telemetry(Pictured):
    """The measurements of the last step an optimizer has taken; a view that is read when it is asked.

    A skipped or refused step leaves them as they were: see ``skipped`` and ``nonfinite``. After a ``switch`` the view
    is of the optimizer that took over.
    """

    def __init__(self, optimizer: Owner, names: dict[int, str] | None = None) -> None:
        if not optimizer._options["telemetry"]:
            name = optimizer.spec.name
            raise ValueError(
                f"{name} measures nothing; make it with telemetry=True, as in {name}(params, telemetry=True)"
            )
        self._first, self._names = optimizer, names or {}

    @property
    def _optimizer(self) -> Owner:
        """The optimizer that steps now: after a switch, the one that took over."""
        optimizer = self._first
        while optimizer._successor is not None:
            optimizer = optimizer._successor
        return optimizer

    @property
    def measuring(self) -> bool:
        """Whether steps are measured still: a switch may have gone on with ``telemetry=False``."""
        return bool(self._optimizer._options["telemetry"])

    def named(self, names: torch.nn.Module | Iterable[tuple[str, torch.Tensor]]) -> Telemetry:
        """The same view with the names of a model, or of ``model.named_parameters()``."""
        pairs = names.named_parameters() if isinstance(names, torch.nn.Module) else names
        return Telemetry(self._optimizer, {id(p): name for name, p in pairs})

    @property
    def step(self) -> int:
        """Steps taken so far, those before a checkpoint included where the rule's state counts them.

        Skipped ones are not counted.
        """
        optimizer = self._optimizer
        if optimizer._plan is not None:
            optimizer._plan.catch_up()
            counts = [int(batch.steps.max()) for batch in optimizer._plan.batches if len(batch.steps)]
        else:
            counts = [int(s["step"]) for s in optimizer._state.values() if isinstance(s, dict) and "step" in s]
        return max([optimizer.steps, *counts])

    @property
    def lrs(self) -> list[float | None]:
        """The learning rate of each group in the last step; None where the rule has none."""
        return list(map(self._lr, self._optimizer.param_groups))

    def _lr(self, group: dict[str, Any]) -> float | None:
        lr: Any = given(group).get("lr")
        lr = lr(max(0, self._optimizer.steps - 1)) if callable(lr) else lr
        return None if lr is None else float(lr)

    @property
    def skipped(self) -> int:
        """Steps not taken because a gradient was not finite, by ``nonfinite="skip"``, ``"raise"`` or a GradScaler."""
        return self._optimizer.skipped

    @property
    def nonfinite(self) -> list[str]:
        """Which tensors have a NaN or an infinity in the gradient that stands now; reads all gradients.

        After a skipped step, and before ``zero_grad()``: who is to blame.
        """
        return [name for name, _ in self._nonfinite()]

    @property
    def tensors(self) -> list[Measured]:
        """Every tensor the last step moved, in the order of the groups; empty before the first step."""
        return [found for _, found in sorted(self._read(), key=lambda pair: pair[0])]

    @property
    def groups(self) -> list[Measured]:
        """Each group as one tensor; the cosine is that of its whole update only if it has one tensor, else None."""
        return by_group(self.tensors)

    @property
    def total(self) -> Measured | None:
        """All tensors as one; None before the first step."""
        return of_all(self.tensors)

    def chart(self) -> Chart:
        """Update over weight, a mark for each tensor, on a logarithmic axis."""
        found = [(m.name, m.ratio) for m in self.tensors if math.isfinite(m.ratio) and m.ratio > 0][:ROWS]
        if not found:
            return Chart(Axis(0, 1, marks={}), Axis(0, 1, marks={}), "update over weight: nothing measured")
        ratios = [ratio for _, ratio in found]
        across = Axis(min(*ratios, RATIO) / 3, max(*ratios, RATIO) * 3, log=True, label="update over weight")
        down = Axis(len(found), 0, marks={k + 0.5: name for k, (name, _) in enumerate(found)}, grid=False)
        drawn = Chart(across, down, f"update over weight of each tensor, step {self.step}", tall=len(found) / 8)
        drawn.add(Flag(RATIO, "often", "quiet"))
        drawn.add(*(Mark(x, k + 0.5, "circle", title=f"{name}: {x:.1e}") for k, (name, x) in enumerate(found)))
        return drawn

    def _picture(self) -> str:
        drawn = self.chart()
        return svg(drawn, 560, 30 + 20 * round(drawn.y.low))

    def __repr__(self) -> str:
        optimizer = self._optimizer
        count = sum(len(group["params"]) for group in optimizer.param_groups)
        return f"<telemetry of {optimizer.spec.name}: step {self.step}, {count} tensors>"

    def __str__(self) -> str:
        from ...draw import terminal  # which loads rich: not for every program that trains

        tensors, total = self.tensors, self.total
        first = first_line(self.step, self.skipped, self.lrs)
        if total is None:
            return f"{first} · nothing measured{' yet' if self.measuring else ': telemetry is off'}"
        shown = [total, *tensors[:ROWS]] if len(tensors) > 1 else tensors
        columns = columns_of(shown)
        names = ("tensor", *(name for name, _ in columns))
        rows = list(zip([m.name for m in shown], *(cells for _, cells in columns), strict=True))
        more = [f"… and {len(tensors) - ROWS} more in .tensors"] if len(tensors) > ROWS else []
        return terminal.text(first, terminal.Table(names, rows, right=names[1:]), *more, HINT)

    def _read(self) -> Iterator[tuple[tuple[int, int], Measured]]:
        plan = self._optimizer._plan
        if plan is None or not self._optimizer.steps or not self.measuring:
            return
        groups = self._optimizer.param_groups
        place = {id(p): (i, k) for i, group in enumerate(groups) for k, p in enumerate(group["params"])}
        for leaf, elements, values in plan.telemetry():
            p = leaf.owner
            if (at := place.get(id(p))) is None:
                continue
            i, nth = at
            share = values["nonfinite"] / (max(1, elements) * (2 if p.is_complex() else 1))  # real and imaginary parts
            yield at, Measured(self._name(i, nth, p), i, elements, **{**values, "nonfinite": share})

    def _nonfinite(self) -> Iterator[tuple[str, torch.Tensor]]:
        for i, group in enumerate(self._optimizer.param_groups):
            for k, p in enumerate(group["params"]):
                if _bad(p.grad):
                    yield self._name(i, k, p), p

    def _name(self, i: int, k: int, p: torch.Tensor) -> str:
        names = self._optimizer.param_groups[i].get("param_names")
        return self._names.get(id(p)) or (str(names[k]) if names else f"{i}.{k}")


MEASURED = ("gradient_norm", "update_norm", "weight_norm", "nonfinite", "cosine")


def stored(g: torch.Tensor) -> torch.Tensor:
    """The elements of a gradient that are kept: all, or those of the rows of a sparse one."""
    return g.detach().coalesce().values() if g.is_sparse else g.detach()


def _bad(g: torch.Tensor | None) -> bool:
    return g is not None and not bool(torch.isfinite(stored(g)).all())


def by_group(tensors: Iterable[Measured]) -> list[Measured]:
    """The tensors of each group taken together."""
    members: dict[int, list[Measured]] = {}
    for one in tensors:
        members.setdefault(one.group, []).append(one)
    return [_together(f"group {i}", i, of) for i, of in members.items()]


def of_all(tensors: list[Measured]) -> Measured | None:
    """All tensors taken together; None of none."""
    return _together("all", -1, tensors) if tensors else None


def _together(name: str, group: int, of: list[Measured]) -> Measured:
    def joined(key: str) -> float:
        return math.sqrt(sum(getattr(one, key) ** 2 for one in of))

    elements = sum(one.elements for one in of)
    nonfinite = sum(one.nonfinite * one.elements for one in of) / max(1, elements)
    cosine = of[0].cosine if len(of) == 1 else None
    gradient, update, weight = map(joined, MEASURED[:3])
    return Measured(name, group, elements, gradient, update, weight, nonfinite, cosine)
