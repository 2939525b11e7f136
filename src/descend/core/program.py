"""The emitter: cuts a tape into the fewest passes over memory and prints each as source text.

A reduction must have seen every element before its result can be used, so the tape is cut there.
Passes before the last only read: they recompute what they share with the last from the same old
values, so that everything written is written in one final pass (a step that fails before it has
changed nothing). A reduction that only the next step asks for, through state that is a number, is taken
along by the last pass. Everything that is no array is computed on the host in float64, once per step.
"""

import functools
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property

from .rule import Declared, Rule
from .trace import Extent, Tape, trace

_SIGNS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "mod": "%",
    "and": "&",
    "or": "|",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "eq": "==",
    "ne": "!=",
}
OPERATORS = {op: f"{{0}} {sign} {{1}}" for op, sign in _SIGNS.items()} | {"neg": "-{0}"}
"""How operations are spelled in whatever language a program is printed in; a language has its own for the rest."""
# How plain Python, with the words of core.ops, spells each operation.
HOST = {
    **OPERATORS,
    "div": "divide({0}, {1})",
    "pow": "power({0}, {1})",
    "not": "invert({0})",
    **{op: f"{op}({{0}})" for op in ("sqrt", "exp", "log", "tanh", "sign", "isfinite")},
    "abs": "absolute({0})",
    "maximum": "maximum({0}, {1})",
    "minimum": "minimum({0}, {1})",
    "where": "where({0}, {1}, {2})",
}  # fmt: skip


@dataclass(frozen=True)
class Kernel:
    """One pass over the elements of every tensor. Numbers are indices on the tape."""

    loads: tuple[str, ...]  # arrays read
    stores: tuple[tuple[str, int], ...]  # arrays written, with the value; the last kernel alone has any
    sums: tuple[int, ...]  # reductions whose partial sums this pass makes
    scalars: tuple[int, ...]  # numbers from the host, in the order of the scalar table
    body: tuple[int, ...]  # element values to compute, in order


@dataclass(frozen=True, eq=False)  # one per rule, so that engines may remember what they made of it
class Program:
    """A rule, ready for an engine: kernels, and between them a little arithmetic on the host."""

    rule: Rule
    tape: Tape
    kernels: tuple[Kernel, ...]

    @cached_property
    def sums(self) -> tuple[int, ...]:
        """All reductions, in the order the rule asks for them."""
        return tuple(sorted(i for kernel in self.kernels for i in kernel.sums))

    @cached_property
    def tensor_slots(self) -> tuple[str, ...]:
        return tuple(slot.name for slot in self.rule.slots if slot.init.is_number)

    @cached_property
    def moved(self) -> tuple[int, int]:
        """Arrays read and arrays written per step, over all passes."""
        reads = sum(len(kernel.loads) for kernel in self.kernels)
        return reads, sum(len(kernel.stores) for kernel in self.kernels)

    def lines(
        self,
        body: tuple[int, ...] | list[int],
        spelling: Mapping[str, str],
        names: dict[int, str],
        inverted: Container[int] = (),
    ) -> list[str]:
        """One assignment per value; ``names`` has the inputs' spelling and receives the new names.

        ``inverted``: the divisors whose names stand for their reciprocals.
        """
        text = []
        for index in body:
            if index not in names:
                node = self.tape.nodes[index]
                op, args = node.op, node.args
                if "axpy" in spelling and (fused := self._fused(index)):
                    op, args = fused
                elif op == "div" and args[1] in inverted:
                    op = "mul"
                text.append(f"x{index} = " + spelling[op].format(*(names[a] for a in args)))
                names[index] = f"x{index}"
        return text

    def _fused(self, index: int) -> tuple[str, tuple[int, ...]] | None:
        """``x ± s * y`` with a number ``s`` and an ``x`` that is no product: one rounding instead of two.

        This is what torch's ``add_(y, alpha=s)`` and ``lerp_`` round; nothing else is ever contracted, so
        the bits do not depend on what a compiler finds worth fusing.
        """
        nodes = self.tape.nodes
        node = nodes[index]
        if node.op in ("add", "sub"):
            x, product = node.args
            if nodes[product].op == "mul" and nodes[x].extent is Extent.ELEMENT and nodes[x].op not in ("mul", "neg"):
                s, y = nodes[product].args
                if nodes[s].extent is not Extent.ELEMENT and nodes[y].extent is Extent.ELEMENT:
                    return ("axpy" if node.op == "add" else "axmy"), (s, y, x)
        return None

    def known(self, k: int) -> list[int]:
        """The reductions whose results are there before kernel ``k``."""
        return sorted(i for kernel in self.kernels[:k] for i in kernel.sums)

    def differs(self, k: int) -> bool:
        """Whether what ``host(k)`` returns differs from tensor to tensor."""
        return any(self.tape.nodes[i].extent is Extent.TENSOR for i in self._results(k))

    def differs_by_state(self, k: int) -> bool:
        """Whether, if so, it is for nothing but the tensors' own numbers: not for sums over a tensor, nor its size."""
        nodes = self.tape.nodes
        needed = self.tape.ancestors(self._results(k), through=lambda node: node.op != "total")
        return all(nodes[i].extent is not Extent.TENSOR for i in needed if nodes[i].op in ("total", "count"))

    def _results(self, k: int) -> list[int]:
        """What ``host(k)`` returns."""
        behind = k == len(self.kernels)
        return [self.tape.outputs[slot] for slot in self.tensor_slots] if behind else list(self.kernels[k].scalars)

    def host_arguments(self) -> list[str]:
        return ["t", *self.rule.settings, *self.tensor_slots, "count_tensor", "count_all"]

    def divisors(self, k: int) -> frozenset[int]:
        """The scalars of kernel ``k`` by which elements are divided, and that serve nothing else.

        Their reciprocals, rounded once, serve as well: a division takes five times as long as a product, and AdamW's
        two by its bias corrections took more than memory does on processors whose divider is narrow. Not those that
        come from sums of elements, which may be too small to have a reciprocal.
        """
        if k == len(self.kernels):
            return frozenset()
        nodes, kernel = self.tape.nodes, self.kernels[k]
        uses: dict[int, set[tuple[str, int]]] = {i: set() for i in kernel.scalars}
        for i in kernel.body:
            for place, a in enumerate(nodes[i].args):
                uses.get(a, set()).add((nodes[i].op, place))
        written = {i for _, i in kernel.stores} | {a for i in kernel.sums for a in nodes[i].args}
        found = (i for i, places in uses.items() if places == {("div", 1)} and i not in written)
        return frozenset(i for i in found if all(nodes[a].op != "total" for a in self.tape.ancestors([i])))

    def host(self, k: int, inverted: Container[int] = ()) -> str:
        """Source of ``host(t, *settings, *tensor slots, *counts, *sums so far)``.

        Returns the scalars of kernel ``k``, of those ``inverted`` the reciprocals; behind the last kernel the new
        per-tensor state.
        """
        nodes, results, known = self.tape.nodes, self._results(k), self.known(k)
        needed = self.tape.ancestors(results, through=lambda node: node.op != "total")
        names = {i: f"r{i}" for i in known}
        for i in needed:
            if nodes[i].op == "input":
                names[i] = str(nodes[i].value)
            elif nodes[i].op == "const":
                names[i] = repr(nodes[i].value).replace("inf", "float('inf')").replace("nan", "float('nan')")
            elif nodes[i].op == "count":
                names[i] = f"count_{nodes[i].value}"
        text = self.lines(needed, HOST, names)
        header = f"def host({', '.join([*self.host_arguments(), *(f'r{i}' for i in known)])}):"
        said = [f"reciprocal({names[i]})" if i in inverted else names[i] for i in results]
        return "\n    ".join([header, *text, f"return ({''.join(x + ', ' for x in said)})"])


def program(rule: Rule, guard: bool = False, late: bool = False) -> Program:
    """Trace ``rule`` and cut it into passes: once for all settings it may be bound to.

    Args:
        guard: the first pass also counts non-finite gradients.
        late: the engine can sum in the last pass, while it writes.
    Raises:
        Refused: no engine can run it. NotTraceable: an engine of kernels cannot.
    """
    return _program(rule.declared, guard, late)


@functools.lru_cache(maxsize=512)
def _program(of: Declared, guard: bool, late: bool) -> Program:
    rule = of.rule
    tape = trace(rule, guard)
    nodes = tape.nodes
    roots = {name: i for name, i in tape.outputs.items() if nodes[i].op != "input" or nodes[i].value != name}
    tensor = {slot.name for slot in rule.slots if slot.init.is_number}
    stores = tuple((name, i) for name, i in roots.items() if name not in tensor)
    wanted = list(roots.values()) + ([tape.guard] if tape.guard is not None else [])
    sums = _totals(tape, wanted)
    early = (
        _early(tape, [i for _, i in stores] + ([tape.guard] if tape.guard is not None else []), sums) if late else sums
    )
    depth = max((nodes[i].level for i in early), default=0)
    kernels = []
    for level in range(1, depth + 1):
        here = tuple(sorted(i for i in early if nodes[i].level == level))
        kernels.append(_kernel(tape, [nodes[i].args[0] for i in here], here, ()))
    last = tuple(sorted(sums - early))
    kernels.append(_kernel(tape, [i for _, i in stores] + [nodes[i].args[0] for i in last], last, stores))
    return Program(rule, tape, tuple(kernels))


def _totals(tape: Tape, roots: list[int]) -> set[int]:
    return {i for i in tape.ancestors(roots) if tape.nodes[i].op == "total"}


def _early(tape: Tape, written: list[int], sums: set[int]) -> set[int]:
    """The reductions that must be known before the last pass: for what it writes, or for what it sums itself."""
    early = _totals(tape, written)
    while inner := {j for i in sums - early for j in _totals(tape, list(tape.nodes[i].args))} - early:
        early |= inner
    return early


def _kernel(tape: Tape, roots: list[int], sums: tuple[int, ...], stores: tuple[tuple[str, int], ...]) -> Kernel:
    nodes = tape.nodes
    closure = tape.ancestors(roots, through=lambda node: node.extent is Extent.ELEMENT)
    element = [i for i in closure if nodes[i].extent is Extent.ELEMENT]
    loads = tuple(str(nodes[i].value) for i in element if nodes[i].op == "input")
    scalars = tuple(i for i in closure if nodes[i].extent is not Extent.ELEMENT)
    return Kernel(loads, stores, sums, scalars, tuple(element))
