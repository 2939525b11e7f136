"""Mutation: break a rule one edit at a time, and demand that its reference trace notices every edit.

python -m descend.checks.mutate [RULE ...]        prints a line per rule and the survivors
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import replace

from .. import rules
from ..core.rule import Rule, _parse
from .references import REFERENCES
from .traces import STANDS_FOR, Reference, changing, distances, settings_of

_SWAPPED: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Mod: ast.Mult,
}  # fmt: skip
_NOT_COMMUTATIVE = (ast.Sub, ast.Div, ast.Pow)
_LEFT_OUT = ("sqrt", "sign", "absolute", "exp", "log")
_CALLS = {"maximum": "minimum", "minimum": "maximum"}
_NAMES = {"beta1": "beta2", "beta2": "beta1", "m": "v", "v": "m"}
_COMPARED: dict[type, type] = {
    ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.Eq: ast.NotEq, ast.GtE: ast.Lt, ast.LtE: ast.Gt,
}  # fmt: skip


def _edits(node: ast.AST, names: set[str], squared: bool) -> Iterator[ast.expr]:
    """Every one-edit replacement of one node.

    ``squared``: the node stands under ``** 2``, ``norm`` or ``absolute``, where a - b and b - a are the same.
    """
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            yield ast.BinOp(left, _SWAPPED[type(op)](), right)
            yield left
            yield right
            if isinstance(op, _NOT_COMMUTATIVE) and not squared:
                yield ast.BinOp(right, op, left)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Compare(left=left, ops=[sign], comparators=others):
            yield ast.Compare(left, [_COMPARED[type(sign)]()], others)
        case ast.Call(func=ast.Name(id="where") as function, args=[condition, a, b], keywords=more):
            yield ast.Call(function, [condition, b, a], more)
        case ast.Call(func=ast.Name(id=name), args=[first, *_]) if name in _LEFT_OUT:
            yield first
        case ast.Call(func=ast.Name(id=name), args=args, keywords=more) if name in _CALLS:
            yield ast.Call(ast.Name(_CALLS[name], ast.Load()), args, more)
        case ast.Name(id=name, ctx=ast.Load()) if _NAMES.get(name) in names:
            yield ast.Name(_NAMES[name], ast.Load())
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)


def mutants(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Every mutant of a rule: one expression edited, or two neighbouring lines swapped."""
    tree = ast.parse(rule.source)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.decorator_list = []
    names = {slot.name for slot in rule.slots} | set(rule.settings)
    first = int(ast.get_docstring(function) is not None)
    for statement in function.body[first:]:
        for holder, field, place, node in _expressions(statement):
            if (
                isinstance(statement, ast.Return)
                and isinstance(node, ast.Name)
                and holder in (statement, statement.value)
            ):
                continue  # the list of what is returned, which no edit of one name leaves in order
            for replacement in _edits(node, names, _squared(holder, field)):
                _put(holder, field, place, replacement)
                mutant = _compiled(rule, tree)
                _put(holder, field, place, node)
                yield f"{ast.unparse(node)} → {ast.unparse(replacement)}", mutant
    for line in range(first, len(function.body) - 2):
        one, other = function.body[line : line + 2]
        if _depends(one, other):
            function.body[line : line + 2] = other, one
            mutant = _compiled(rule, tree)
            function.body[line : line + 2] = one, other
            yield f"lines swapped: {ast.unparse(one)} ⇄ {ast.unparse(other)}", mutant


def _depends(one: ast.stmt, other: ast.stmt) -> bool:
    """Whether swapping two assignments can matter: one assigns what the other reads or assigns."""

    def names(s: ast.stmt, kind: type) -> set[str]:
        return {n.id for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}

    assigned, then = names(one, ast.Store), names(other, ast.Store)
    return bool(assigned & (names(other, ast.Load) | then) or then & names(one, ast.Load))


def _expressions(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.expr]]:
    """Every expression inside a node, behind what holds it, in which field, and at which place of a list."""
    for field, value in ast.iter_fields(node):
        if field in ("targets", "func", "ctx", "keywords"):
            continue
        several = isinstance(value, list)
        for place, child in enumerate(value if several else [value]):
            if isinstance(child, ast.expr):
                yield node, field, place if several else None, child
                yield from _expressions(child)


def _put(holder: ast.AST, field: str, place: int | None, child: ast.expr) -> None:
    if place is None:
        setattr(holder, field, child)
    else:
        getattr(holder, field)[place] = child


def _squared(holder: ast.AST, field: str) -> bool:
    match holder:
        case ast.Call(func=ast.Name(id="norm" | "absolute")):
            return True
        case ast.BinOp(op=ast.Pow(), right=ast.Constant(value=2)):
            return field == "left"
    return False


def _compiled(rule: Rule, tree: ast.Module) -> Rule:
    scope = dict(rule.fn.__globals__)
    exec(compile(ast.fix_missing_locations(tree), f"<mutant of {rule.name}>", "exec"), scope)
    made = _parse(scope[rule.fn.__name__], rule.kind)
    return replace(made, vectors=rule.vectors)


BAR = 1e-12

# Edits that change the text and not the rule, each with its reason.
_UNMOVED = "until the first step that moves, z and x are one point and their weights do not matter"
_NO_GRADIENT = "while this number is zero every gradient was zero, and what multiplies them does not matter"
EQUIVALENT = {
    ("schedule_free_sgd", "0.0 → 1.0"): _UNMOVED,
    ("schedule_free_adamw", "0.0 → 1.0"): _UNMOVED,
    ("schedule_free_radam", "0.0 → 1.0"): _UNMOVED,
    ("dadapt_sgd", "0.0 → 1.0"): _NO_GRADIENT,
    ("dowg", "0.0 → 1.0"): _NO_GRADIENT,
    ("normuon", "0.0 → 1.0"): "where the norm is zero so is the matrix that is multiplied",
    ("normuon", "0 → 1"): "rows divided by their root mean square have a norm above 1, or 0",
    ("soap", "t - 1 → 1 - t"): "a multiple of the frequency, forwards or backwards",
    ("shampoo", "lines swapped: g = matrix(g) ⇄ l = l + matmul(g, transpose(g))"): "references take matrices, which "
    "flattening leaves alone; tests/rules/test_identities.py has the convolutions",
}


def reference_of(rule: Rule) -> Reference:
    return REFERENCES[STANDS_FOR.get(rule.name, rule.name)]


def survives(rule: Rule, mutant: Rule, reference: Reference | None = None) -> bool:
    """Whether no trace tells the mutant from the reference. A mutant that cannot run does not survive."""
    reference = reference or reference_of(rule)
    for k, settings in enumerate([*settings_of(rule), *changing(rule)]):
        try:
            if not all(apart <= BAR for apart in distances(mutant, reference, settings, seed=k)):
                return False
        except Exception:
            return False
    return True


def judged(rule: Rule) -> list[tuple[str, Rule]]:
    """The mutants that must be noticed: all but the ones listed as equivalent."""
    return [(what, mutant) for what, mutant in mutants(rule) if (rule.name, what) not in EQUIVALENT]


def main(names: list[str]) -> int:
    """Print killed / made for each rule and every survivor; 1 if there is one."""
    alive = made = 0
    for name, rule in rules.all().items():
        if names and name not in names:
            continue
        if not survives(rule, rule):
            print(f"{name:28} differs from its reference unmutated")
            return 1
        all_of_it = judged(rule)
        left = [what for what, mutant in all_of_it if survives(rule, mutant)]
        made, alive = made + len(all_of_it), alive + len(left)
        print(f"{name:28} {len(all_of_it) - len(left):4} of {len(all_of_it):4} mutants noticed")
        for what in left:
            print(f"    survived: {what}")
    print(f"{made - alive} of {made} mutants noticed")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
