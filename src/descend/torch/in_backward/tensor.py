"""One tensor's step, taken when its gradient arrives: what a plan is for all tensors, this is for one."""

import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ...engines.base import Engine, NoFactors, Step, Work
from ...signals import commit
from ..step import tensors
from ..step.batch import Batch
from ..step.leaf import Leaf
from ..step.plan import Plan, begin, fits, named, publish, take
from .norm import SCALE, factor, refuse_totals, scaled

Machine = tuple[Work, Step]


class Settled(Plan):
    """The rule and the numbers of every group in this step, and what its tensors share.

    Attributes:
        version: goes up whenever the numbers change. machines: (rule, dtype, elements) -> what steps such tensors.
        limits: ``clip_norm`` of every group, if any has one. measured: whether all gradients must be seen first.
    """

    def __init__(self, optimizer: Any) -> None:
        self.optimizer: Any = weakref.proxy(optimizer)  # no cycle: what is dropped frees its state at once
        self.members = [list(group["params"]) for group in optimizer.param_groups]
        self.guard = optimizer._options["nonfinite"] != "propagate"
        self.version = 0
        self.batches = []  # each tensor has its own, in ``Single``
        self.machines: dict[Any, Machine] = {}
        self._settle()
        self.engine: Engine = self.choose_engine(self.optimizer, self.rules)
        for rule in {id(rule): rule for rule in self.rules}.values():
            refuse_totals(rule)
        tensors.overlaps([
            Leaf(i, p, p, optimizer._name(i, k))
            for i, members in enumerate(self.members)
            for k, p in enumerate(members)
            if p.requires_grad
        ])  # fmt: skip

    def _settle(self) -> None:
        super()._settle()
        self.whole = self.rules  # as the ordinary form has them, which orders the parts of the norm
        self.limits = [numbers["clip_norm"] for numbers in self.numbers] if self._clips() else []
        self.measured = bool(self.limits) or self.guard
        if self.limits:
            self.rules = [scaled(self.optimizer.spec.rule(group, False)) for group in self._filled()]
            self.numbers = [{**numbers, SCALE: 1.0} for numbers in self.numbers]
        self.version += 1

    def _clips(self) -> bool:
        return any(group["clip_norm"] is not None for group in self._filled())

    def follows(self) -> bool:
        """Bring the numbers up to date for another step; False if all must be made anew."""
        optimizer = self.optimizer
        if optimizer._state.changed or len(self.members) != len(optimizer.param_groups) or not self._holds_the_same():
            return False
        return self._resettle() if self.volatile or self._read() != self.values else True

    def clip_by(self, norm: float) -> None:
        """Clip in this step, where all gradients have this norm."""
        for numbers, limit in zip(self.numbers, self.limits, strict=False):
            numbers[SCALE] = factor(norm, limit)
        self.version += 1

    def machine(self, work: Work, keep: bool) -> Machine:
        """What steps tensors of this rule, type and size: compiled and laid out once for all of them."""
        key = (work.rule.fn, work.dtype, *work.sizes)
        made = self.machines.get(key)
        if made is None:
            # its own, for every tensor of the key lends it what it works on
            work = replace(work, addresses=None if work.addresses is None else work.addresses.copy())
            made = work, self.engine.prepare([work])
            if keep:
                self.machines[key] = made
        return made


class Single:
    """A parameter and its batch of one."""

    def __init__(self, group: int, p: torch.Tensor, name: str) -> None:
        self.group, self.p, self.name = group, p, name
        self.batch: Batch | None = None

    def step(self, settled: Settled) -> None:
        """Update the parameter with the gradient that stands, and free the gradient.

        Raises:
            ValueError, RuntimeError: a gradient or a state that does not fit, by name; nothing has been changed.
        """
        g = self.p.grad
        assert g is not None
        if not self._fits(g, settled):
            with torch.inference_mode(False), torch.no_grad():
                self._build(g, settled)
        elif self.version != settled.version:
            self.batch.numbers = settled.numbers  # type: ignore[union-attr]
            self.batch.set_rows()  # type: ignore[union-attr]
            self.version = settled.version
        done = False
        try:
            done = commit(lambda: self._commit(g, settled))
        finally:
            if not done or self.sparse:  # rows serve one step; a first state may hold a gradient that did not count
                self.batch = None

    def _fits(self, g: torch.Tensor, settled: Settled) -> bool:
        batch = self.batch
        if batch is None or self.settled is not settled or not fits(g, self.p, self.stride):
            return False
        exposed = settled.optimizer._state.exposed
        if batch.moved(exposed) or (exposed and not batch.counted_alike()):
            return False
        if batch.on_memory:
            take(batch, np.array([g.data_ptr()]))
        return True

    def _build(self, g: torch.Tensor, settled: Settled) -> None:
        optimizer, p = settled.optimizer, self.p
        leaf = Leaf(self.group, p, g, self.name, optimizer._begun(p))
        rule = settled.rules[self.group]
        tensors.gradient(leaf, optimizer.spec, rule)
        self.sparse = leaf.rows is not None
        self.values = leaf.grad if self.sparse else None
        batch = Batch(settled.engine, rule.of(tuple(p.shape)), [leaf], [0], settled.numbers)
        batch.set_rows()
        if batch.on_memory:
            take(batch, np.array([leaf.grad.data_ptr()]))
        self.work, self.run = settled.machine(batch.work, not self.sparse)
        self.stride = g.stride() if not self.sparse else ()
        begin(leaf, optimizer)
        self.settled, self.version, self.batch = settled, settled.version, batch

    def _commit(self, g: torch.Tensor, settled: Settled) -> bool:
        batch, work = self.batch, self.work
        assert batch is not None
        mine = batch.work
        try:
            batch.read([self.values if self.values is not None else g])
            work.rows, work.arrays, work.numbers = mine.rows, mine.arrays, mine.numbers
            if work.addresses is not None:
                work.addresses[:] = mine.addresses  # in place: kernels may be bound to the table
            self.run(torch.get_num_threads())
        except NoFactors as failed:
            raise named(failed, self.name) from failed
        finally:
            mine.arrays.pop("g", None)
            self.values = None
        publish(batch, settled.optimizer)
        torch.autograd.graph.increment_version([self.p])
        self.p.grad = None
        return True
