"""What a rule costs: bytes of state, bytes moved in a step, and which engines run it."""

from collections import Counter
from dataclasses import dataclass
from math import prod

from .. import rules
from ..core.program import program
from ..core.rule import Rule, chain
from ..core.settings import shared
from ..engines import ENGINES

FLOAT32 = 4  # bytes
TRACED = ("llvm", "triton")  # engines that run what the tracer takes; the others run the function itself


# State that is not like the parameters: what is said of one such slot, and of several.
SIZE = {
    "tensor": ("one number per tensor", "{} numbers per tensor"),
    "all": ("one number for all parameters", "{} numbers for all parameters"),
}
# State that only a matrix has: what a slot is, and how many numbers it has.
OF_MATRICES = {
    "row": ("one number per row", "rows"),
    "column": ("one number per column", "columns"),
    "left": ("a square matrix, rows by rows", "rows²"),
    "right": ("a square matrix, columns by columns", "columns²"),
}
SIDE = 1024  # rows and columns of the matrix that such state is counted for


def needs_matrix(rule: Rule) -> bool:
    """Whether rows and columns mean something to the rule."""
    return rule.vectors is not None or any(slot.init.shape in OF_MATRICES for slot in rule.slots)


@dataclass(frozen=True)
class Cost:
    """What a step costs: bytes per parameter, where parameters, gradients and state are float32.

    ``held`` is that of a matrix of 1024×1024, rounded, where state counts rows and columns.
    """

    held: float
    reads: int | None  # arrays; None where the tracer does not take the rule
    writes: int | None
    passes: int | None

    @property
    def moved(self) -> int | None:
        return None if self.reads is None or self.writes is None else (self.reads + self.writes) * FLOAT32


def host(modifier: Rule) -> Rule:
    """The first rule that a modifier fits: it has the settings that the modifier takes over."""
    taken_over = [name for name, value in modifier.settings.items() if value is shared]
    return next(rule for rule in rules.all().values() if all(name in rule.settings for name in taken_over))


def cost(rule: Rule) -> Cost:
    """The cost of a rule or chain; of a modifier, what it adds to the first rule it fits."""
    numbers = sum(prod(slot.init.shape_for((SIDE, SIDE))) for slot in rule.slots if slot.init.shape not in SIZE)
    held = round(FLOAT32 * numbers / SIDE**2, 2)
    held = held if held % 1 else int(held)
    try:
        if rule.kind == "rule":
            return Cost(held, *_traffic(rule))
        bare = host(rule)
        both = chain(rule, bare) if rule.kind == "before" else chain(bare, rule)
        return Cost(held, *(b - a for a, b in zip(_traffic(bare), _traffic(both), strict=True)))
    except (TypeError, ValueError, KeyError, AttributeError, NotImplementedError):  # the tracer refuses it
        return Cost(held, None, None, None)


def _traffic(rule: Rule) -> tuple[int, int, int]:
    made = program(rule, late=True)
    return *made.moved, len(made.kernels)


def engines(cost: Cost) -> list[str]:
    """The engines that run the rule."""
    return [name for name in (*ENGINES, "jax") if cost.passes is not None or name not in TRACED]


def held_line(rule: Rule) -> str:
    """The state of a rule in words: bytes per parameter, per row and column, numbers per tensor."""
    shapes = Counter(slot.init.shape for slot in rule.slots)
    counted: dict[int, list[str]] = {}  # numbers of slots -> what each of them counts
    for shape, (_, counts) in OF_MATRICES.items():
        counted.setdefault(shapes.pop(shape, 0), []).append(counts)
    sums = {n: " + ".join(counts) for n, counts in counted.items() if n}
    terms = " + ".join(f"{FLOAT32 * n}·{f'({x})' if '+' in x else x}" for n, x in sums.items())
    own = shapes.pop("element", 0) * FLOAT32
    said = f"{own} bytes of state per parameter" if own or not terms else f"{terms} bytes of state"
    if terms:
        said += f"{f' and {terms}' * bool(own)}: {cost(rule).held:g} bytes per parameter of a {SIDE}×{SIDE} matrix"
    few = [SIZE[shape][n > 1].format(n) for shape, n in shapes.items()]
    return ", ".join([said, *few]) if rule.slots else "no state"
