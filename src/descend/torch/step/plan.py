"""The plan of a step: everything validated, allocated and pointed to before anything is written."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.rule import Rule
from ...core.trace import admit
from ...engines import FUSED, load
from ...engines.base import Engine, Meanwhile, NoFactors
from ...stepping import fall_back, pick
from ..optim.checkpoint import scheduled
from ..optim.group import given
from ..sharded import parts
from . import tensors
from .batch import POINTER, Batch, join
from .leaf import Leaf
from .telemetry import MEASURED

if TYPE_CHECKING:
    from .owner import Owner
    from .reading import Reader

GRAD = operator.attrgetter("grad")
_OFTEN = 2  # uses after which a plan is worth a Reader, which takes about 1 µs per tensor to make


class Plan:
    """Batches for the parameters that have gradients now; kept while nothing it relies on changes.

    Attributes:
        clipping: the stage that ``clip_norm`` asks for; True: the rule's own. idle: there is nothing to step.
        once: it serves one step: its gradients are of another kind than the next step's are likely to be.
    """

    clipping: bool | Rule = True
    once = False
    uses = 0
    reader: Reader | None = None

    def __init__(self, optimizer: Owner) -> None:
        self.optimizer = optimizer
        self.members = [list(group["params"]) for group in optimizer.param_groups]
        self.guard = optimizer._options["nonfinite"] != "propagate"
        self._settle()
        leaves = list(self._leaves())
        tensors.overlaps(leaves)
        self.leaves = leaves
        self.having = [leaf.owner for leaf in leaves]
        grads = [leaf.grad for leaf in leaves]
        self.strides = [g.stride() for g in grads]
        have = set(map(id, self.having))
        self.without = [p for members in self.members for p in members if id(p) not in have]
        self.engine = self.choose_engine(optimizer, self.rules)
        if self.engine.on_memory:
            self.engine = self._reaching(leaves)
        self.batches = self._batches(leaves)
        join(self.batches, optimizer._state, self.without)
        self.works = [batch.work for batch in self.batches]
        optimizer._state.exposed |= any(batch.shared for batch in self.batches)
        self.idle = not self.works
        self.once |= any(leaf.rows is not None for leaf in leaves)
        self.copying = not self.engine.on_memory or any(batch.scratch or batch.strided for batch in self.batches)
        self.capturable = self.engine.capturable and any(g.get("capturable") for g in optimizer.param_groups)
        self.run = self.engine.prepare(self.works, self.guard, self.capturable)
        # autograd refuses a backward pass through parameters that have changed since: it is told
        self.run.meanwhile = Meanwhile(functools.partial(torch.autograd.graph.increment_version, self.having))
        self.pointers: list[int] = []
        if self.engine.on_memory:
            self.pointers = list(map(POINTER, grads))
            self._take(self.pointers)
        self.grads = grads if self.once else []
        for leaf in leaves:
            begin(leaf, optimizer)
        optimizer._state.changed = False

    # ---------------------------------------------------------------- making it

    def _filled(self) -> list[dict[str, Any]]:
        """The groups as they were given: a rule is chosen by whether a setting moves, not by where it is now."""
        spec = self.optimizer.spec
        return [spec.lifted({**spec.arguments, **given(group)}) for group in self.optimizer.param_groups]

    def _settle(self) -> None:
        """The rule and the numbers of every group, from the values its keys hold now."""
        spec, groups = self.optimizer.spec, self._filled()
        now = [spec.lifted({**spec.arguments, **group}) for group in self.optimizer.param_groups]
        arguments = (*spec.arguments, "weight_decay")  # asked of classes that have none, too
        self.names = [name for name in arguments if any(name in group for group in groups)]
        self.held = operator.itemgetter(*self.names, self.names[-1])  # which of a single name gives no tuple
        alone = "lr" in self.names[:-1] and "lr" not in spec.limits and not spec.derive
        self.rate_at = self.names.index("lr") if alone else None  # where it stands, if nothing else follows from it
        self.values = self._read()
        self.volatile = any(_volatile(value) for values in self.values for value in values)
        if self.volatile and any(map(scheduled, sum(self.values, ()))):
            self.optimizer._scheduled = True  # a schedule has come into a plain group
        for i, group in enumerate(groups):
            # keys of others, put there since, are no affair of a step
            own = {name: group[name] for name in (*spec.arguments, "weight_decay") if name in group}
            spec.check(own, f" (parameter group {i})" if len(groups) > 1 else "")
        clip = any(group["clip_norm"] is not None for group in groups) and self.clipping
        scale = self.scale = self.optimizer.loss_scale()
        self.watch = self.optimizer._options["telemetry"]
        self.rules = [spec.rule(group, clip, scale is not None, self.watch) for group in groups]
        step = self.optimizer.steps
        self.numbers = [spec.numbers(g, rule, step, scale) for g, rule in zip(now, self.rules, strict=True)]

    def _read(self) -> list[tuple[Any, ...]]:
        """What each group holds now, and how many keys they have: a key that is missing may come."""
        groups = self.optimizer.param_groups
        try:
            return [*map(self.held, groups), tuple(map(len, groups))]
        except KeyError:  # one is gone, or not all groups have it
            return [*(tuple(map(group.get, self.names)) for group in groups), ()]

    def _leaves(self) -> Iterator[Leaf]:
        seen: set[int] = set()
        for i, group in enumerate(self.optimizer.param_groups):
            for k, p in enumerate(group["params"]):
                if id(p) in seen:
                    raise ValueError(f"parameter {k} of group {i} appears more than once in this optimizer")
                seen.add(id(p))
                if p.grad is None:
                    continue
                leaf = self._leaf(i, p, parts.named(group, i, k))
                tensors.gradient(leaf, self.optimizer.spec, self.rules[i])
                yield leaf

    def _leaf(self, i: int, p: torch.Tensor, name: str) -> Leaf:
        return Leaf(i, p, p.grad, name, self.optimizer._begun(p))  # type: ignore[arg-type]

    def _reaching(self, leaves: list[Leaf]) -> Engine:
        """The engine chosen, or eager torch where it cannot reach a gradient.

        Raises:
            RuntimeError: as ``choose_engine``.
        """
        lost = next((leaf for leaf in leaves if tensors.without_memory(leaf.grad)), None)
        if lost is None:
            return self.engine
        reason = f"the gradient of {lost.name}: it has no memory"
        if self.optimizer._options["engine"] != "auto" or any(g.get("fused") for g in self.optimizer.param_groups):
            raise RuntimeError(f"engine={self.engine.name!r} cannot reach {reason}")
        self.once = True
        return fall_back(self.rules[lost.group], reason)

    @staticmethod
    def choose_engine(optimizer: Owner, rules: list[Rule] | None = None) -> Engine:
        """The engine for all parameters: the fused one if it takes every tensor and rule, else eager torch.

        Raises:
            RuntimeError: ``fused=True`` or an engine was insisted on, and it cannot step a tensor.
        """
        asked, groups = optimizer._options["engine"], optimizer.param_groups
        stepping = rules is not None  # and then what has no gradient is left as it is
        rules = rules or [optimizer.spec.rule({**optimizer.spec.arguments, **given(g)}, False) for g in groups]
        engine = eager = load("torch")
        first = [rules.index(rule) for rule in rules]  # group -> the first of the same rule
        for i in set(first):
            admit(rules[i])
        if asked == "torch" or (asked == "auto" and any(group.get("foreach") for group in groups)):
            return eager
        fused = any(group.get("fused") for group in groups)
        try:
            wanted = load(FUSED if asked == "auto" else asked)
        except ImportError as error:
            if asked != "auto":
                raise
            return fall_back(rules[0], str(error))
        known: set[tuple[int, torch.dtype]] = set()  # asked once for each rule and type, not for each parameter
        for kind, rule, group in zip(first, rules, groups, strict=True):
            for p in (p for p in group["params"] if p.requires_grad or p.grad is not None):
                reason = tensors.out_of_reach(parts.part(p), wanted)
                if reason and (fused or asked != "auto") and (p.grad is not None or not stepping):
                    raise RuntimeError(f"{'fused=True' if fused else f'engine={asked!r}'} cannot step {reason}")
                if reason:
                    return fall_back(rule, reason)
                if (kind, p.dtype) in known:
                    continue
                known.add((kind, p.dtype))
                engine = pick(asked, rule, tensors.dtype_name(p))
                if engine is eager:
                    return eager
        return engine

    def _batches(self, leaves: list[Leaf]) -> list[Batch]:
        sorted_out: dict[Any, list[int]] = {}
        first = [self.rules.index(rule) for rule in self.rules]  # group -> the first of the same rule
        for i, leaf in enumerate(leaves):
            rule = self.rules[leaf.group]
            vector = rule.vectors is not None and leaf.p.dim() < 2
            sorted_out.setdefault((first[leaf.group], vector, leaf.p.dtype, leaf.p.device), []).append(i)
        batches = []
        for (group, *_), index in sorted_out.items():
            rule = self.rules[group].of(tuple(leaves[index[0]].p.shape))
            batches.append(Batch(self.engine, rule, [leaves[i] for i in index], index, self.numbers))
            batches[-1].set_rows()
        return batches

    # ---------------------------------------------------------------- using it again

    def refresh(self) -> bool:
        """Bring the plan up to date for another step; False if it must be made anew."""
        optimizer = self.optimizer
        if self.once or optimizer._state.changed or len(self.members) != len(optimizer.param_groups):
            return False
        if self.volatile or self.scale != optimizer.loss_scale():
            if not self._resettle():
                return False
        elif (now := self._read()) != self.values and not self._rates_alone(now) and not self._resettle():
            return False
        exposed = optimizer._state.exposed
        same = self._reread(self.reader, exposed) if self.reader else self._read_by_python(exposed)
        return same and (not exposed or all(batch.counted_alike() for batch in self.batches))

    def _holds_the_same(self) -> bool:
        """Whether the groups, as many as they were, hold the tensors they held."""
        now = [group["params"] for group in self.optimizer.param_groups]
        return all(len(a) == len(b) and all(map(operator.is_, a, b)) for a, b in zip(self.members, now, strict=True))

    def _rates_alone(self, now: list[tuple[Any, ...]]) -> bool:
        """Take what the groups hold now, if nothing but learning rates has changed: what every scheduler does.

        A rate is a setting of the rule like others, and no rule is chosen by one; to look at all settings would take
        ten times as long as the rest of a small step.
        """
        k, rates = self.rate_at, []
        if k is None or now[-1] != self.values[-1]:
            return False
        for old, new, numbers in zip(self.values[:-1], now[:-1], self.numbers, strict=True):
            before, rate = old[k], new[k]
            # what is no plain number above 0 is looked at more closely
            if (
                not type(before) is type(rate) is float
                or not (before > 0 and 0 < rate < math.inf)
                or "lr" not in numbers
            ):
                return False
            if (*old[:k], rate, *old[k + 1 :]) != new:
                return False
            rates.append(rate)
        self.values = now
        for numbers, rate in zip(self.numbers, rates, strict=True):
            numbers["lr"] = rate
        for batch in self.batches:
            batch.set_rates()
        return True

    def _resettle(self) -> bool:
        """New numbers for the same rules; False if a group now asks for another rule."""
        before = self.rules
        self._settle()
        if self.rules != before:
            return False
        for batch in self.batches:
            batch.numbers = self.numbers
            batch.set_rows()
        return True

    def _reread(self, reader: Reader, exposed: bool) -> bool:
        """As ``_read_by_python``."""
        changes = reader.changes(self.optimizer.param_groups, exposed)
        if changes == reader.MOVED:
            self._take(reader.gradients)
        return changes != reader.OTHER

    def _read_by_python(self, exposed: bool) -> bool:
        """Take the gradients of this step; False if a tensor, its place or its gradient is not as it was planned."""
        if not self._holds_the_same():
            return False
        if self.without and any(p.grad is not None for p in self.without):
            return False
        if any(batch.moved(exposed) for batch in self.batches) or not self._refresh_gradients():
            return False
        self.uses += 1
        if self.uses == _OFTEN and self.engine.on_memory:
            self.reader = self._reader()
            if self.reader:
                self.run.meanwhile = self.reader.written
        return True

    def _reader(self) -> Reader | None:
        try:
            from .reading import reader
        except ImportError:  # LLVM is not there
            return None
        states = [array for batch in self.batches for arrays in batch.states.values() for array in arrays]
        return reader(self.members, self.having, self.without, states)

    def _take(self, pointers: list[int] | np.ndarray) -> None:
        for batch in self.batches:
            take(batch, np.asarray(pointers, np.int64))

    def _refresh_gradients(self) -> bool:
        """Take the gradients of this step; False if one is missing or does not fit as the planned ones did."""
        return self._point_to(list(map(GRAD, self.having)), self.having)

    def _point_to(self, grads: list[torch.Tensor], held: list[torch.Tensor]) -> bool:
        """Take these gradients of what is held here; False if one does not fit."""
        if not all(map(fits, grads, held, self.strides)):
            return False
        if self.engine.on_memory and (pointers := list(map(POINTER, grads))) != self.pointers:
            if any(map(tensors.without_memory, grads)):
                return False
            self.pointers = pointers
            self._take(pointers)
        return True

    # ---------------------------------------------------------------- the commit

    def commit(self) -> bool:
        """Run the kernels and publish; False, with nothing changed, if non-finite gradients were guarded."""
        if self.copying:
            grads = self.grads if self.once else self._standing()
            for batch in self.batches:
                batch.read(grads)
        try:
            if not self.run(torch.get_num_threads()):
                return False
        except NoFactors as failed:
            self.optimizer._plan = None
            raise self._named(failed) from failed
        for batch in self.batches:
            publish(batch, self.optimizer)
        self.optimizer.steps += 1
        return True

    def _named(self, failed: NoFactors) -> Exception:
        batch = next(batch for batch in self.batches if batch.work is failed.work)
        return named(failed, batch.leaves[failed.tensor].name)

    def _standing(self) -> list[torch.Tensor]:
        """The gradients that stand."""
        return list(map(GRAD, self.having))

    def telemetry(self) -> Iterator[tuple[Leaf, int, dict[str, float]]]:
        """What the last step has measured: every tensor, its elements and its numbers by name."""
        self.run.measure()
        for batch in self.batches:
            numbers = batch.work.numbers
            column = {name: numbers[name] for name in MEASURED if name in numbers}
            for k, leaf in enumerate(batch.leaves):
                yield leaf, batch.work.sizes[k], {name: float(values[k]) for name, values in column.items()}

    def skips(self, found_inf: Any) -> bool:
        """Whether a GradScaler found infinities; a capturable step leaves that to the device."""
        if self.capturable:
            self.run.found_inf = found_inf
        return not self.capturable and bool(found_inf)

    def catch_up(self) -> None:
        """Learn the steps that replayed graphs have taken."""
        if not self.capturable or (torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()):
            return  # nobody can ask now
        ahead = []
        for batch, counter in zip(self.batches, self.run.counters(), strict=True):
            counts = counter.cpu().numpy()  # which waits for the device
            for count, row in zip(counts, batch.work.rows, strict=True):
                ahead.append(int(count) - row.t)
                row.t = int(count)
            batch.counted[:] = counts[batch.work.row_of] - 1
        self.optimizer.steps += max(ahead, default=0)

    @property
    def unpublished(self) -> bool:
        return any(batch.fresh for batch in self.batches)


def begin(leaf: Leaf, optimizer: Owner) -> None:
    """Let the optimizer have the state of a leaf that has begun: the same numbers, where the kernels will write."""
    del leaf.grad  # who held gradients would keep their memory through the next forward pass
    known = optimizer._state.get(leaf.owner)
    if leaf.state and known and leaf.owner not in optimizer._dry:
        optimizer._state.keep(leaf.owner, {k: v for k, v in leaf.state.items() if k in known})
    optimizer._state.changed = False


def take(batch: Batch, pointers: np.ndarray) -> None:
    """Let the kernels work on the gradients at these addresses, which are those of the whole plan."""
    addresses = batch.work.addresses
    if addresses is None:
        return
    addresses[1] = pointers if len(pointers) == len(batch.index) else pointers[batch.index]
    for k, dense in batch.scratch.items():
        addresses[1, k] = dense.data_ptr()


def publish(batch: Batch, optimizer: Owner) -> None:
    """After the kernels: what was copied out is copied back, the step is counted, and new state is the optimizer's."""
    if batch.strided or batch.scattered:
        batch.copy_back()
    for k in range(len(batch.few)):  # several times faster than NumPy
        batch.few[k] += 1.0
    if not batch.few:
        batch.counted += 1
    for step in batch.shared.values():
        step += 1
    for row in batch.work.rows:
        row.t += 1
    batch.work.arrays.pop("g", None)
    for leaf in batch.fresh:
        optimizer._state.keep(leaf.owner, leaf.state)
        optimizer._dry.discard(leaf.owner)
    batch.fresh = []
    optimizer._state.changed = False


def fits(g: Any, p: torch.Tensor, stride: tuple[int, ...]) -> bool:
    """Whether a gradient can be used as one with these strides was."""
    return (
        g is not None
        and g.dtype is p.dtype
        and g.shape == p.shape
        and g.layout is torch.strided
        and g.stride() == stride
        and g.device == p.device
        and not (g.is_neg() or g.is_conj())
    )


def named(failed: NoFactors, tensor: str) -> Exception:
    """The error of a step that found no factors, by the tensor's name."""
    return ArithmeticError(f"{tensor}: {failed.word} failed ({failed.reason}); nothing was changed")


def _volatile(value: Any) -> bool:
    """Whether the number may change while the value stays the same object."""
    if isinstance(value, tuple | list):
        return isinstance(value, list) or any(map(_volatile, value))
    return isinstance(value, torch.Tensor) or callable(value)
