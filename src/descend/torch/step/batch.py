"""A batch: the parameters that one kernel steps together, with their state and their pointers."""

from typing import Any

import numpy as np
import torch

from ...core.rule import Rule
from ...engines.base import Engine, Row, Work
from ..optim.state import State
from . import tensors
from .leaf import Leaf

POINTER = torch.Tensor.data_ptr
FEW = 8  # tensors of which Python counts the steps faster than NumPy


class Batch:
    """A Work and what is read from torch before a step, and written to torch after it.

    Args:
        engine: that will step it.
        rule: of all leaves.
        leaves: of one dtype and device; their ``state`` is what the optimizer has, and is completed here.
        index: where each leaf stands among the gradients of the plan.
        numbers: group -> the settings of this step.
    Raises:
        ValueError: a state that does not fit its parameter.
    """

    def __init__(
        self, engine: Engine, rule: Rule, leaves: list[Leaf], index: list[int], numbers: list[dict[str, float]]
    ) -> None:
        self.leaves, self.index, self.numbers = leaves, index, numbers
        self.on_memory = engine.on_memory
        self.on_numpy = engine.on_numpy
        dtype = tensors.dtype_name(leaves[0].p)
        self.work = Work(rule, dtype, [leaf.grad.numel() for leaf in leaves], [], np.zeros(0, np.int64))
        self.steps = torch.zeros(
            len(leaves), dtype=torch.float64, device="cpu"
        )  # the states' "step" entries are views of it
        self.counted = self.steps.numpy()
        self.few: Any = (self.counted if len(leaves) <= FEW else np.zeros(0)).data  # the same memory
        self.shared: dict[int, torch.Tensor] = {}  # steps that other processes count, too
        self.strided: list[tuple[torch.Tensor, torch.Tensor]] = []  # parameters with gaps: dense copy, parameter
        self.scattered: list[
            tuple[torch.Tensor, tuple[torch.Tensor, ...], torch.Tensor]
        ] = []  # whole, which rows, those rows
        self.fresh: list[Leaf] = []  # whose state is published after the commit
        self.dense: list[torch.Tensor] = [self._dense(leaf) for leaf in leaves]
        for leaf, dense in zip(leaves, self.dense, strict=True):
            if leaf.rows is not None:
                self.scattered.append((leaf.p.detach(), leaf.rows, dense))
        self.states = self._states()
        self.scratch = self._scratch()
        self.work.arrays |= {"p": self._given(self.dense)} | {n: self._given(a) for n, a in self.states.items()}
        if self.on_memory:
            columns = [self.dense, [leaf.grad for leaf in leaves], *self.states.values()]
            self.work.addresses = np.array([list(map(POINTER, column)) for column in columns], np.int64)
            self.work.addresses = self.work.addresses.reshape(len(columns), len(leaves))
        self.params = [leaf.p for leaf in leaves]
        self.forms = self._forms()
        self.state_pointers = self._state_pointers()

    def _given(self, arrays: list[torch.Tensor]) -> list[Any]:
        return [a.numpy() for a in arrays] if self.on_numpy else arrays

    def _dense(self, leaf: Leaf) -> torch.Tensor:
        p = leaf.p.detach()
        if leaf.rows is not None:
            return p[leaf.rows]
        if not self.on_memory or tensors.is_dense(p):
            return p
        self.strided.append((torch.empty(p.shape, dtype=p.dtype, device=p.device), p))
        return self.strided[-1][0]

    def _rows(self, whole: torch.Tensor, rows: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Some rows of a state tensor, copied out for the step and back after it."""
        taken = whole[rows]
        self.scattered.append((whole, rows, taken))
        return taken

    def _states(self) -> dict[str, list[torch.Tensor]]:
        """The state of every leaf, completed, by slot; per-tensor slots go to ``work.numbers``."""
        rule = self.work.rule
        arrays: dict[str, list[torch.Tensor]] = {s.name: [] for s in rule.slots if not s.init.is_number}
        numbers = {s.name: torch.zeros_like(self.steps) for s in rule.slots if s.init.is_number}
        self.work.numbers = {name: tensor.numpy() for name, tensor in numbers.items()}
        keeps_step = any(not slot.init.passing for slot in rule.slots) or any(
            stage.uses_t for stage in rule.stages or (rule,)
        )
        # the views of all leaves together: one by one they would take five times as long
        steps, parts = self.steps.unbind(), {name: tensor.unbind() for name, tensor in numbers.items()}
        slots = [(slot, slot.saved_as, slot.init) for slot in rule.slots]
        wanted = tensors.wanted(rule)
        for k, leaf in enumerate(self.leaves):
            state, settings = leaf.state, self.numbers[leaf.group]
            before = set(state)
            tensors.complete(leaf, wanted)
            if keeps_step:
                there = state.get("step", 0)
                self.counted[k] = float(there)
                if isinstance(there, torch.Tensor) and there.device.type == "cpu" and there.is_shared():
                    self.shared[k] = there
                else:
                    state["step"] = steps[k]
            like = self.dense[k] if leaf.rows is None else leaf.p.detach()
            for slot, saved_as, init in slots:
                if slot.name in arrays:
                    made = tensors.state_array(leaf, slot, like, settings)
                    arrays[slot.name].append(made if leaf.rows is None else self._rows(made, leaf.rows))
                else:
                    self.work.numbers[slot.name][k] = float(state.get(saved_as, init.first(settings)))
                    made = parts[slot.name][k]
                if not init.passing:
                    state[saved_as] = leaf.kept(made) if init.shape == "element" else made
            if state.keys() != before:
                self.fresh.append(leaf)
        self.held = [self.steps, *numbers.values()]
        self.places = list(map(POINTER, self.held))
        return arrays

    def _scratch(self) -> dict[int, torch.Tensor]:
        """Dense copies for gradients that are laid out otherwise than their parameter; filled at each commit."""
        if not self.on_memory:
            return {}
        pairs = zip((leaf.grad for leaf in self.leaves), self.dense, strict=True)
        return {
            k: torch.empty_like(p)
            for k, (g, p) in enumerate(pairs)
            if g.is_neg() or g.is_conj() or not tensors.same_layout(g, p)
        }

    def _forms(self) -> list[tuple[Any, ...]]:
        """Where each parameter lies, and how its memory is read."""
        return [(p.data_ptr(), p.shape, p.stride(), p.is_neg(), p.is_conj()) for p in self.params]

    def _state_pointers(self) -> list[list[int]]:
        return [list(map(POINTER, arrays)) for arrays in self.states.values()]

    def moved(self, states: bool) -> bool:
        """Whether a parameter (or, if ``states``, a state tensor) lies elsewhere than the kernels would write."""
        return self._forms() != self.forms or (states and self._state_pointers() != self.state_pointers)

    def set_rows(self) -> None:
        """One row per distinct (group, step count); a tensor's row is where its numbers stand."""
        rows: dict[tuple[int, float], int] = {}
        keys = [(leaf.group, float(t)) for leaf, t in zip(self.leaves, self.counted, strict=True)]
        self.work.row_of = np.array([rows.setdefault(key, len(rows)) for key in keys], np.int64)
        wanted = self.work.rule.settings
        self.work.rows = [Row(int(t) + 1, {n: self.numbers[group][n] for n in wanted}) for group, t in rows]
        self.row_groups = [group for group, _ in rows]

    def set_rates(self) -> None:
        """The same rows, with other learning rates."""
        for group, row in zip(self.row_groups, self.work.rows, strict=True):
            if "lr" in row.settings:
                row.settings["lr"] = self.numbers[group]["lr"]

    def counted_alike(self) -> bool:
        """Whether every state's step is what its row says; False where somebody wrote to one, or moved them."""
        if list(map(POINTER, self.held)) != self.places:  # share_memory_() does, also sending to another process
            return False
        for k, step in self.shared.items():
            self.counted[k] = float(step)
        return bool((self.counted == np.array([row.t - 1 for row in self.work.rows])[self.work.row_of]).all())

    def read(self, grads: list[torch.Tensor]) -> None:
        """Copy what the kernels cannot reach in place; hand arrays to an engine that works on arrays."""
        with torch.no_grad():
            for k, dense in self.scratch.items():
                dense.copy_(grads[self.index[k]])
            for dense, p in self.strided:
                dense.copy_(p)
        if not self.on_memory:
            self.work.arrays["g"] = self._given([tensors.plain(grads[i]) for i in self.index])

    @torch.no_grad()
    def copy_back(self) -> None:
        for dense, p in self.strided:
            p.copy_(dense)
        for whole, rows, taken in self.scattered:
            whole.index_put_(rows, taken)


def join(batches: list[Batch], state: State, without: list[torch.Tensor]) -> None:
    """Give the numbers that all parameters share to those that come later, and to those that have no gradient now."""
    places: dict[str, list[torch.Tensor]] = {}
    known: dict[str, tuple[float, float]] = {}
    for batch in batches:
        for slot in batch.work.rule.slots:
            if slot.init.shape == "all":
                places.setdefault(slot.saved_as, []).append(torch.from_numpy(batch.work.numbers[slot.name]))
    if not places:
        return
    old = [leaf.state for batch in batches for leaf in batch.leaves if leaf not in batch.fresh]
    others = [p for p in without if p in state]
    for entries in (*old, *(state[p] for p in others)):
        for name in places:
            step = float(entries.get("step", 0))
            if name in entries and (name not in known or step > known[name][0]):
                known[name] = step, float(entries[name])
    for name, numbers in places.items():
        value = known[name][1] if name in known else float(numbers[0][0])
        for shared in numbers:
            shared.fill_(value)
        for p in others:
            if name in state[p]:  # it sees what becomes of the number
                state.keep(p, {name: numbers[0][0]})
