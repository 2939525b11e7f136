"""The plan of a step on parts or on a share: local parts go to the kernels, and what all must know is exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...optimizer import CLIP
from ..in_backward.norm import SCALE, factor, measured_clip
from ..step.leaf import Leaf
from ..step.plan import Plan
from . import parts, refusals
from .agreement import Agreed, Agreement
from .measure import Squares

if TYPE_CHECKING:
    from ..step.owner import Owner
    from ..step.reading import Reader

_SQUARED = ("gradient_norm", "update_norm", "weight_norm")


class SharedPlan(Plan):
    """A Plan in which a parameter may be a DTensor, or other processes step other parameters (ZeRO).

    Attributes:
        agreement: with whom the step is agreed; None where nothing has to be.
        measured: id of a parameter -> what telemetry found of all of it.
    """

    clipping = measured_clip

    def __init__(self, optimizer: Owner, arrived: dict[int, torch.Tensor] | None) -> None:
        self.agreement: Agreement | None = None
        self.measured: dict[int, dict[str, float]] = {}
        self.squares: Squares | None = None
        self.last_update: dict[int, float] = {}
        self.local: list[torch.Tensor] = []
        self.zero = optimizer._zero is not None
        self.flat = any(map(parts.flattened, parts.members(optimizer)))
        self.parted = any(map(parts.is_part, parts.members(optimizer)))
        options, groups = optimizer._options, optimizer.param_groups
        clip = any(group.get("clip_norm") is not None for group in groups)
        if self.flat and torch.distributed.get_world_size() > 1:
            refusals.refuse_flat(optimizer, clip)
        self.watchful = options["nonfinite"] != "propagate"
        self.share = refusals.share(optimizer)
        if (self.parted or self.zero) and (clip or self.watchful or options["telemetry"]):
            self.agreement = Agreement(optimizer)
        if self.zero and optimizer._state.changed:
            _go_on(optimizer)
        try:
            self.arrived = arrived or _arrived(optimizer)
            super().__init__(optimizer)
        except Exception:
            self._refuse()
            raise
        self.local = [self.arrived[id(p)] for p in self.having]
        self.arrived = {}
        self._agree()

    # ---------------------------------------------------------------- making it

    def _settle(self) -> None:
        super()._settle()
        spec, step = self.optimizer.spec, self.optimizer.steps
        self.guard = False  # the engine would see the part that stands here
        self.limits = [spec.numbers(group, CLIP, step)["clip_norm"] for group in self._filled()]
        self.clips = any(group["clip_norm"] is not None for group in self._filled())
        if self.agreement is None and self.clips and (self.parted or self.zero):
            self.agreement = Agreement(self.optimizer)

    def _leaf(self, i: int, p: torch.Tensor, name: str) -> Leaf:
        # what FSDP1 has flattened is a vector now: whether it was a matrix, nobody says
        rule = self.rules[i] if parts.flattened(p) else self.rules[i].of(tuple(p.shape))
        refusals.refuse(self.optimizer.spec.name, rule, name, parts.is_split(p), self.share)
        whole = p if parts.is_part(p) else None
        return Leaf(i, parts.part(p), self.arrived[id(p)], name, self.optimizer._begun(p), whole=whole)

    # ---------------------------------------------------------------- using it again

    def refresh(self) -> bool:
        try:
            self.arrived = _arrived(self.optimizer)
            kept = super().refresh()
        except Exception:
            self._refuse()
            raise
        if kept:
            self.local = [self.arrived[id(p)] for p in self.having]
            self.arrived = {}
            self._agree()
        return kept

    def _reader(self) -> Reader | None:
        return None if self.parted else super()._reader()

    def _refresh_gradients(self) -> bool:
        if not self.parted:
            return super()._refresh_gradients()
        for leaf in self.leaves:
            if leaf.whole is not None and not _same(parts.part(leaf.whole), leaf.p):
                return False
        grads: list[torch.Tensor] = [self.arrived.get(id(p)) for p in self.having]  # type: ignore[misc]
        return self._point_to(grads, [leaf.p for leaf in self.leaves])

    # ---------------------------------------------------------------- the agreement

    def _refuse(self) -> None:
        """Say to the others, who wait, that this process refuses the step."""
        if self.agreement is not None:
            self.agreement.exchange({}, False, refused=True)

    def _agree(self) -> None:
        """Learn what all must know, and clip by it.

        Raises:
            RuntimeError: another process refuses the step.
        """
        self.finite, self.idle = True, not self.works
        if self.agreement is None or not (self.clips or self.watchful or self.watch):
            return
        squares, finite = [], True
        if self.clips or self.watchful:
            if self.squares is None:
                self.squares = Squares(self.engine, self.batches)
            squares, finite = self.squares.found(self.local, self.scale) if self.having else ([], True)
        told = dict(zip(map(id, self.having), squares or [0.0] * len(self.having), strict=True))
        agreed = self.agreement.exchange(told, not finite)
        if agreed.refused:
            name = self.optimizer.spec.name
            raise RuntimeError(f"{name}: another process refuses this step, see its error; nothing was changed")
        self.finite, self.idle = agreed.finite or not self.watchful, not agreed.having.any()
        if self.clips:
            self._clip(agreed)

    def _clip(self, agreed: Agreed) -> None:
        assert self.agreement is not None
        kinds = [
            (self.rules[i], self.rules[i].vectors is not None and p.dim() < 2, p.dtype, p.device)
            for i, p in zip(self.agreement.groups, self.agreement.params, strict=True)
        ]
        norm = self.agreement.norm(agreed, kinds, self.engine.on_memory)
        for numbers, limit in zip(self.numbers, self.limits, strict=True):
            numbers[SCALE] = factor(norm, limit)
        for batch in self.batches:
            batch.set_rows()

    # ---------------------------------------------------------------- the commit

    def commit(self) -> bool:
        if not self.finite:
            self.local = []
            return False
        try:
            done = super().commit()
        finally:
            self.local = []  # a plan that held gradients would keep their memory through the next forward pass
        if self.watch:
            self._measure()
        return done

    def _standing(self) -> list[torch.Tensor]:
        return self.local

    def _measure(self) -> None:
        """Telemetry of whole tensors, which every process has then without asking the others."""
        columns: dict[int, dict[str, float]] = {id(leaf.owner): found for leaf, _, found in super().telemetry()}
        if self.agreement is None or self.zero:
            self.measured = columns
            return
        sums: dict[int, np.ndarray] = {}
        for key, found in columns.items():
            squares = [found[name] ** 2 for name in _SQUARED]
            turned, before = found.get("cosine", 0.0), self.last_update.get(key, 0.0)
            dot = 0.0 if turned != turned else turned * found["update_norm"] * before
            sums[key] = np.array([*squares, found["nonfinite"], dot, before**2])
            self.last_update[key] = found["update_norm"]
        self.measured = {}
        for key, (*squares, bad, dot, before) in self.agreement.added(sums, 6).items():
            if key not in columns:
                continue
            whole = dict(zip(_SQUARED, np.sqrt(squares).tolist(), strict=True)) | {"nonfinite": bad}
            if "cosine" in columns[key]:
                lengths = whole["update_norm"] * before**0.5
                whole["cosine"] = dot / lengths if lengths else float("nan")
            self.measured[key] = whole

    def telemetry(self) -> Iterator[tuple[Leaf, int, dict[str, float]]]:
        for leaf in self.leaves:
            if id(leaf.owner) in self.measured:
                yield leaf, leaf.owner.numel(), self.measured[id(leaf.owner)]


def planned(optimizer: Owner, before: Plan | None) -> Plan:
    """The plan of the next step.

    Args:
        before: the plan that could not be used again in this step, if there was one.
    Raises:
        ValueError, TypeError, RuntimeError: what cannot be stepped, by name.
    """
    shared = optimizer._zero is not None or any(map(parts.shared, parts.members(optimizer)))
    if not shared:
        return Plan(optimizer)
    return SharedPlan(optimizer, before.arrived if isinstance(before, SharedPlan) else None)


def _arrived(optimizer: Owner) -> dict[int, torch.Tensor]:
    """What stands here of every gradient: taken once in a step, before anything is refused, for others may wait."""
    names = parts.names(optimizer)
    return {id(p): parts.gradient(p, names[id(p)]) for p in parts.members(optimizer) if p.grad is not None}


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a is b or (a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride())


def _go_on(optimizer: Owner) -> None:
    """Schedules go on where loaded state was: ZeroRedundancyOptimizer puts state in, and never says the step."""
    taken = [int(entry["step"]) for entry in optimizer._state.values() if isinstance(entry, dict) and "step" in entry]
    optimizer.steps = max(taken, default=optimizer.steps)
    optimizer._follow()
