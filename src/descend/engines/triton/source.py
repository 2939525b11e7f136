"""The text of the Triton kernels of a program, and what makes functions out of it.

Three kinds of kernel run in turn. The *host* kernel computes the numbers of a step in float64, one
line per set of numbers, with the arithmetic that other engines do on the host: so nothing waits for the
device, and a CUDA graph replays it. The *element* kernel is one pass over all chunks of all tensors. The
*join* kernel adds the chunks' partial sums, always in the same order.
"""

import functools
import hashlib
import inspect
import linecache
from collections.abc import Callable
from typing import Any

import triton.language as tl
from triton.runtime.interpreter import InterpretedFunction
from triton.runtime.jit import JITFunction

from ...core.program import Program
from ...core.trace import Extent
from ..base import streams
from ..formats import WIDTH, working
from . import words as words

# What tl.sum adds with. tl.sum itself is one more function of Triton's, compiled or interpreted as the environment
# said when Triton was imported; the interpreter knows this one and leaves it to NumPy.
PLUS = tl.standard._sum_combine
JOIN = """
def join(partials, bounds, columns, places, out, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64)
    k = tl.program_id(1)
    column = tl.load(columns + k)
    first = tl.load(bounds + i)
    last = tl.load(bounds + i + 1)
    lane = tl.arange(0, BLOCK).to(tl.int64)
    total = tl.full([BLOCK], 0.0, tl.float64)
    for q in range(first, last, BLOCK):
        c = q + lane
        total += tl.load(partials + c * WIDTH + column, c < last, other=0.0)
    tl.store(out + tl.load(places + k) + i, tl.reduce(total, 0, plus))
"""


def by_tensor(program: Program) -> bool:
    """Whether the numbers of a step differ from tensor to tensor, or must be kept for each."""
    return bool(program.tensor_slots) or any(node.extent is Extent.TENSOR for node in program.tape.nodes)


def sums_over(program: Program, extent: Extent) -> list[int]:
    return [i for i in program.sums if program.tape.nodes[i].extent is extent]


def element(program: Program, k: int, dtype: str, capturable: bool = False) -> str:
    """The text of pass ``k`` over the elements; one program of the grid does one chunk.

    A chunk of 4 n elements that lies on 16-byte boundaries is moved 4 elements at a time, others one by one.
    """
    kernel, number, all_streams = program.kernels[k], working(dtype), streams(program.rule)
    touched, inverted = [n for n in all_streams if n in kernel.loads or n in dict(kernel.stores)], program.divisors(k)
    kinds = {n: dtype if n in ("p", "g") else number for n in touched}
    text = ["def kernel(addresses, chunks, lines, scalars, partials, blocked, BLOCK: tl.constexpr):"]
    text += [" c = tl.program_id(0).to(tl.int64)", " i = tl.load(chunks + 3 * c)"]
    text += [" begin = tl.load(chunks + 3 * c + 1)", " n = tl.load(chunks + 3 * c + 2)"]
    text += [" line = tl.load(lines + i)"]
    if capturable and kernel.stores:
        text += [" n = tl.where(tl.load(blocked) == 0, n, 0)"]
    for n in touched:
        where = f"addresses + {len(all_streams)} * i + {all_streams.index(n)}"
        text += [f" a_{n} = tl.load({where}) + begin * {WIDTH[kinds[n]]}"]
    for position, index in enumerate(kernel.scalars):
        value = f"tl.load(scalars + {len(kernel.scalars)} * line + {position})"
        # a truth is made a block first: the interpreter mixes no single truth with a block of them
        truth = f"tl.full([BLOCK], 0.0, tl.{number}) + {value} != 0"
        text += [f" s{index} = {truth if program.tape.is_condition(index) else value}"]
    for vectors in (True, False):
        unaligned = f"(({' | '.join(f'a_{n}' for n in touched)}) & 15) | (n & 3)"
        text += [f" if ({unaligned}) == 0:" if vectors else " else:", "  j = tl.arange(0, BLOCK)"]
        text += ["  inside = j < tl.multiple_of(n & -4, 4)" if vectors else "  inside = j < n"]
        for n in touched:
            pointer = f"a_{n}.to(tl.pointer_type({words.pointed(kinds[n])}))"
            text += [f"  at_{n} = tl.multiple_of({pointer}, 16)" if vectors else f"  at_{n} = {pointer}"]
        names = {index: f"s{index}" for index in kernel.scalars}
        names |= {i: f"in_{program.tape.nodes[i].value}" for i in kernel.body if program.tape.nodes[i].op == "input"}
        text += [f"  in_{n} = " + words.load(f"at_{n}", kinds[n]) for n in kernel.loads]
        text += ["  " + line for line in program.lines(kernel.body, words.ELEMENT[number], names, inverted)]
        text += ["  " + words.store(f"at_{n}", names[i], kinds[n]) for n, i in kernel.stores]
        for position, index in enumerate(kernel.sums):
            value = names[program.tape.nodes[index].args[0]]
            total = f"tl.reduce(tl.where(inside, {value}, 0.0), 0, plus).to(tl.float64)"
            text += [f"  tl.store(partials + {len(kernel.sums)} * c + {position}, {total})"]
    return "\n".join(text)


def host(program: Program, k: int, dtype: str, capturable: bool = False) -> str:
    """The text that computes the scalar table of pass ``k``, and with the last the new per-tensor state."""
    kernel, nodes, rule = program.kernels[k], program.tape.nodes, program.rule
    last = k == len(program.kernels) - 1
    slots = program.tensor_slots
    results = [*kernel.scalars, *((program.tape.outputs[slot] for slot in slots) if last else ())]
    needed = program.tape.ancestors(results, through=lambda node: node.op != "total")
    inputs = list(rule.settings)
    per_all = sums_over(program, Extent.ALL)
    arguments = [
        "steps",
        "settings",
        "row_of",
        "counts",
        "sums",
        *(f"n_{slot}" for slot in slots),
        *(f"r_{i}" for i in per_all),
    ]
    text = [f"def host({', '.join(arguments)}, table, blocked, count, works, LINES: tl.constexpr):"]
    text += ["i = tl.program_id(0).to(tl.int64) * LINES + tl.arange(0, LINES)", "inside = i < count"]
    text += ["r = tl.load(row_of + i, inside, other=0)" if by_tensor(program) else "r = i"]
    names: dict[int, str] = {}
    for index in needed:
        node, name = nodes[index], f"in_{index}"
        if node.op == "input" and node.value in slots:
            value = f"tl.load(n_{node.value} + i, inside, other=0.0)"
        elif node.op == "input" and node.value == "t":
            value = "tl.load(steps + r, inside, other=1.0)"
        elif node.op == "input":
            value = f"tl.load(settings + {len(inputs)} * r + {inputs.index(node.value)}, inside, other=1.0)"
        elif node.op == "const":
            number = repr(node.value)
            number = f'float("{number}")' if number.strip("-") in ("inf", "nan") else number
            value = f"tl.full([LINES], {number}, tl.float64)"
        elif node.op == "count":
            value = "tl.load(counts + 1 + i, inside, other=1.0)" if node.value == "tensor" else "tl.load(counts)"
            value = f"tl.full([LINES], 0.0, tl.float64) + {value}"
        elif node.op == "total" and node.extent is Extent.TENSOR:
            row = sums_over(program, Extent.TENSOR).index(index)
            value = f"tl.load(sums + {row} * count + i, inside, other=0.0)"
        elif node.op == "total":
            text += [f"{name} = tl.full([LINES], 0.0, tl.float64)", "for w in range(works):"]
            text += [f"    {name} += tl.load(r_{index} + w)"]
            value = name
        else:
            continue
        text += [f"{name} = {value}"] if value != name else []
        names[index] = name
    text += program.lines(needed, words.DOUBLE, names)
    number, inverted = working(dtype), program.divisors(k)
    for position, index in enumerate(kernel.scalars):
        value = f"reciprocal({names[index]}, {words.LARGEST[number]!r})" if index in inverted else names[index]
        text += [f"tl.store(table + {len(kernel.scalars)} * i + {position}, {value}.to(tl.{number}), inside)"]
    if last and slots:
        free = "i < tl.where(tl.load(blocked) == 0, count, 0)" if capturable else "inside"
        text += [f"tl.store(n_{slot} + i, {names[program.tape.outputs[slot]]}, {free})" for slot in slots]
    return "\n    ".join(text)


@functools.cache
def functions(text: str, interpreted: bool) -> dict[str, Callable[..., Any]]:
    """The functions of a text with those that every text may call, compiled by Triton at their first launch.

    Triton reads the source of what it compiles: it finds this one in ``linecache``, so no file is written.
    """
    text = f"{words.FUNCTIONS}\n\n{text}\n"
    name = f"<descend {hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    scope: dict[str, Any] = {"__name__": "descend.engines.triton.source", "tl": tl, "plus": PLUS}
    exec(compile(text, name, "exec"), scope)
    made = {key: value for key, value in scope.items() if getattr(value, "__code__", None) is not None}
    if interpreted:
        # only what is launched: a helper is called from within, where the interpreter already is
        made |= {key: InterpretedFunction(made[key]) for key in ("kernel", "host", "join") if key in made}
    else:
        made = {key: JITFunction(value, do_not_specialize=_integers(value)) for key, value in made.items()}
    scope.update(made)
    return made


def _integers(function: Callable[..., Any]) -> list[str]:
    """Arguments whose value must not start another compilation."""
    return [name for name in ("count", "works") if name in inspect.signature(function).parameters]
