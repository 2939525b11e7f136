"""The text of the CPU engine's kernels: counted loops over chunks, what is done to an element, and its sums."""

from ...core.program import Program
from ...core.trace import Extent
from ..base import streams
from . import words as words

_AHEAD = 8  # chunks: their first bytes are called for while this one is worked on
_LANES = 4096  # elements summed in the working type before they join a float64 sum


def source(of: Program, k: int) -> str:
    """The text of kernel ``k``: what is compiled, and what ``explain`` may show."""
    kernel = of.kernels[k]
    touched = tuple(n for n in streams(of.rule) if n in kernel.loads or n in dict(kernel.stores))
    rare = _rare(of, k)
    often = tuple(i for i in kernel.sums if i not in rare)
    text = ["def kernel(addresses, chunks, scalars, partials, lo, hi):"]
    text += [*(f" all{i} = 0.0" for i in dict.fromkeys(rare.values())), " for c in range(lo, hi):"]
    text += [f"  i = chunks[0, min(c + {_AHEAD}, hi - 1)]; b = chunks[1, min(c + {_AHEAD}, hi - 1)]"]
    text += [f"  fetch({_address(of, n)})" for n in touched]
    text += [*_chunk(of, touched, kernel.scalars), *_elements(of, k, often, kernel.stores)]
    text += [f"  partials[{kernel.sums.index(i)}, c] = {f'sum{i}' if i in often else 0.0}" for i in kernel.sums]
    text += [f"  all{i} += sum{i}" for i in dict.fromkeys(rare.values())]
    for i, square in rare.items():
        inputs = tuple(str(of.tape.nodes[a].value) for a in _needed(of, k, [of.tape.nodes[i].args[0]], "input"))
        text += [f" for c in range(select(all{square} <= largest, hi, lo), hi):"]
        text += [*_chunk(of, inputs, kernel.scalars), *_elements(of, k, (i,), ())]
        text += [f"  partials[{kernel.sums.index(i)}, c] = sum{i}"]
    return "\n".join(text)


def _address(of: Program, stream: str) -> str:
    """Where element ``b`` of tensor ``i`` begins."""
    return f"addresses[{streams(of.rule).index(stream)}, i] + b * width_{stream}"


def _chunk(of: Program, touched: tuple[str, ...], scalars: tuple[int, ...]) -> list[str]:
    """What is the same for all elements of chunk ``c``: where they lie, how many they are, the numbers of the host."""
    text = ["i = chunks[0, c]; b = chunks[1, c]; n = chunks[2, c]; r = chunks[3, c]"]
    text += [f"at_{n} = {_address(of, n)}" for n in touched]
    text += [f"s{index} = scalars[r, {position}]" for position, index in enumerate(scalars)]
    return ["  " + line for line in text]


def _elements(of: Program, k: int, sums: tuple[int, ...], stores: tuple[tuple[str, int], ...]) -> list[str]:
    """The loop over the elements of a chunk: all are stored, and added to the sums."""
    body = _element(of, k, sums, stores)
    if not sums:
        return ["  for j in range(n):", *("   " + line for line in body)]
    text = [f"  sum{i} = 0.0" for i in sums] + [f"  for q in range(0, n, {_LANES}):"]
    text += [f"   part{i} = zero" for i in sums] + [f"   for j in range(q, min(q + {_LANES}, n)):"]
    return [*text, *("    " + line for line in body), *(f"   sum{i} += float64(part{i})" for i in sums)]


def _needed(of: Program, k: int, roots: list[int], op: str = "") -> list[int]:
    """What of the kernel's body the values need; of one operation only."""
    known = of.tape.ancestors(roots, through=lambda node: node.extent is Extent.ELEMENT)
    return [i for i in of.kernels[k].body if i in known and op in ("", of.tape.nodes[i].op)]


def _element(of: Program, k: int, sums: tuple[int, ...], stores: tuple[tuple[str, int], ...]) -> list[str]:
    """What is done to element ``j``: loaded, computed, stored, and added to the sums."""
    nodes, terms = of.tape.nodes, {}
    for i in sums:
        term = nodes[nodes[i].args[0]]
        fused = term.op == "mul" and all(nodes[a].extent is Extent.ELEMENT for a in term.args)
        terms[i] = term.args if fused else nodes[i].args
    body = _needed(of, k, [i for _, i in stores] + [a for args in terms.values() for a in args])
    inputs = {i: str(nodes[i].value) for i in body if nodes[i].op == "input"}
    names = {i: f"s{i}" for i in of.kernels[k].scalars} | {i: f"e_{n}" for i, n in inputs.items()}  # a slot may be j
    text = [f"e_{n} = load_{n}(at_{n}, j)" for n in inputs.values()]
    text += of.lines(body, words.SPELLING, names, of.divisors(k))
    text += [f"store_{n}(at_{n}, j, {names[i]})" for n, i in stores]
    for i, values in terms.items():
        word = "add_product_any_order" if len(values) == 2 else "add_any_order"
        text += [f"part{i} = {word}(part{i}, {', '.join(names[a] for a in values)})"]
    return text


def _rare(of: Program, k: int) -> dict[int, int]:
    """Sums that are zero where another is finite: the latter's index for each.

    So is a count of values that are not finite, where the squares of the same values are added up. It costs as much
    as all other measuring of a step, and is made only where something is wrong.
    """
    nodes, kernel, found = of.tape.nodes, of.kernels[k], {}
    terms = {i: nodes[nodes[i].args[0]] for i in kernel.sums}
    squares = {term.args[0]: i for i, term in terms.items() if term.op == "mul" and term.args[0] == term.args[1]}
    for i, term in terms.items():
        if term.op == "where" and [nodes[a].value for a in term.args[1:]] == [0.0, 1.0]:
            test = nodes[term.args[0]]
            inputs = {nodes[a].value for a in _needed(of, k, list(test.args), "input")}
            # what this kernel stores cannot be read a second time
            if test.op == "isfinite" and test.args[0] in squares and not inputs & dict(kernel.stores).keys():
                found[i] = squares[test.args[0]]
    return found
