"""Mutation: break a rule one edit at a time, and demand that its reference trace notices every edit.

python -m descend.checks.mutate [RULE ...]        prints a line per rule and the survivors
"""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .. import rules
from ..core.rule import Rule, _parse
from .references import REFERENCES
from .traces import STANDS_FOR, Reference, changing, distances, settings_of

_SWAPPED: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Mod: ast.Mult,
}  # fmt: skip
_NOT_COMMUTATIVE = (ast.Sub, ast.Div, ast.Pow)
_CALLS = {
    "sqrt": None,
    "sign": None,
    "absolute": None,
    "exp": None,
    "log": None,
    "maximum": "minimum",
    "minimum": "maximum",
}
_NAMES = {"beta1": "beta2", "beta2": "beta1", "m": "v", "v": "m"}
_COMPARED: dict[type, type] = {
    ast.Gt: ast.Lt,
    ast.Lt: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.GtE: ast.Lt,
    ast.LtE: ast.Gt,
}


def _edits(node: ast.AST, names: set[str], squared: bool) -> Iterator[tuple[str, ast.AST]]:
    """Every one-edit replacement of one node, with a description.

    ``squared``: the node stands under ``** 2``, ``norm`` or ``absolute``, where a - b and b - a are the same.
    """
    shown = ast.unparse(node) if isinstance(node, ast.expr) else ""
    if isinstance(node, ast.BinOp):
        other = copy.copy(node)
        other.op = _SWAPPED[type(node.op)]()
        yield f"{shown} → {ast.unparse(other)}", other
        yield f"{shown} → {ast.unparse(node.left)}", node.left
        yield f"{shown} → {ast.unparse(node.right)}", node.right
        if isinstance(node.op, _NOT_COMMUTATIVE) and not squared:
            other = copy.copy(node)
            other.left, other.right = node.right, node.left
            yield f"{shown} → {ast.unparse(other)}", other
    elif isinstance(node, ast.UnaryOp):
        yield f"{shown} → {ast.unparse(node.operand)}", node.operand
    elif isinstance(node, ast.Compare):
        other = copy.copy(node)
        other.ops = [_COMPARED[type(node.ops[0])]()]
        yield f"{shown} → {ast.unparse(other)}", other
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield from _calls(node, node.func.id, shown)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and _NAMES.get(node.id) in names:
        yield f"{node.id} → {_NAMES[node.id]}", ast.Name(_NAMES[node.id], ast.Load())
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield f"{node.value} → {node.value + 1}", ast.Constant(node.value + 1)


def _calls(node: ast.Call, name: str, shown: str) -> Iterator[tuple[str, ast.AST]]:
    if name == "where":
        other = copy.copy(node)
        other.args = [node.args[0], node.args[2], node.args[1]]
        yield f"{shown} → {ast.unparse(other)}", other
    elif name in _CALLS and _CALLS[name] is None:
        yield f"{shown} → {ast.unparse(node.args[0])}", node.args[0]
    elif name in _CALLS:
        other = copy.copy(node)
        other.func = ast.Name(_CALLS[name], ast.Load())
        yield f"{shown} → {ast.unparse(other)}", other


def mutants(rule: Rule) -> Iterator[tuple[str, Rule]]:
    """Every mutant of a rule: one expression edited, or two neighbouring lines swapped."""
    tree = ast.parse(rule.source)
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.decorator_list = []
    names = {slot.name for slot in rule.slots} | set(rule.settings)
    body = function.body[1:] if ast.get_docstring(function) else function.body
    first = len(function.body) - len(body)
    for statement in body:
        for path, node in _expressions(statement):
            if isinstance(statement, ast.Return) and isinstance(node, ast.Name) and len(path) <= 2:
                continue  # the list of what is returned, which no edit of one name leaves in order
            for what, replacement in _edits(node, names, _squared(statement, path)):
                _put(statement, path, replacement)
                mutant = _compiled(rule, tree)
                _put(statement, path, node)
                yield what, mutant
    for line in range(first, len(function.body) - 2):
        one, other = function.body[line : line + 2]
        if _depends(one, other):
            function.body[line : line + 2] = other, one
            mutant = _compiled(rule, tree)
            function.body[line : line + 2] = one, other
            yield f"lines swapped: {ast.unparse(one)} ⇄ {ast.unparse(other)}", mutant


def _depends(one: ast.stmt, other: ast.stmt) -> bool:
    """Whether swapping two assignments can matter: one assigns what the other reads or assigns."""

    def assigned(s: ast.stmt) -> set[str]:
        return {n.id for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}

    def read(s: ast.stmt) -> set[str]:
        return {n.id for n in ast.walk(s) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}

    return bool(assigned(one) & (read(other) | assigned(other)) or assigned(other) & read(one))


def _expressions(statement: ast.stmt) -> Iterator[tuple[list[tuple[str, int | None]], ast.AST]]:
    """Every expression of a statement, with the path of fields that leads to it."""

    def walk(
        node: ast.AST, path: list[tuple[str, int | None]]
    ) -> Iterator[tuple[list[tuple[str, int | None]], ast.AST]]:
        for name, value in ast.iter_fields(node):
            if name in ("targets", "func", "ctx", "keywords"):
                continue
            children = value if isinstance(value, list) else [value]
            for i, child in enumerate(children):
                if isinstance(child, ast.expr):
                    here = [*path, (name, i if isinstance(value, list) else None)]
                    yield here, child
                    yield from walk(child, here)

    return walk(statement, [])


def _squared(node: Any, path: list[tuple[str, int | None]]) -> bool:
    for name, i in path[:-1]:
        node = getattr(node, name) if i is None else getattr(node, name)[i]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("norm", "absolute"):
        return True
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Pow) or path[-1][0] != "left":
        return False
    return isinstance(node.right, ast.Constant) and node.right.value == 2


def _put(node: Any, path: list[tuple[str, int | None]], replacement: ast.AST) -> None:
    for name, i in path[:-1]:
        node = getattr(node, name) if i is None else getattr(node, name)[i]
    name, i = path[-1]
    if i is None:
        setattr(node, name, replacement)
    else:
        getattr(node, name)[i] = replacement


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
