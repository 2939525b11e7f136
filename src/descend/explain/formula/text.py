"""Looks at the text of a function: its statements, and which names they read and write."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def statements_of(fn: Callable[..., Any]) -> list[ast.stmt]:
    """The statements of a function, without its docstring."""
    module = ast.parse(textwrap.dedent(inspect.getsource(fn)))
    found = next(node for node in module.body if isinstance(node, ast.FunctionDef))
    return found.body[ast.get_docstring(found) is not None :]


def returned(last: ast.stmt) -> list[ast.expr]:
    if not isinstance(last, ast.Return) or last.value is None:
        raise ValueError("a rule ends with the return of its new values")
    return last.value.elts if isinstance(last.value, ast.Tuple) else [last.value]


def stored(node: ast.AST) -> set[str]:
    """The names that a statement gives a value."""
    return {x.id for x in ast.walk(node) if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Store)}


def named(target: ast.expr) -> list[str]:
    """The names on the left of an assignment; none if something else stands there too."""
    nodes = target.elts if isinstance(target, ast.Tuple) else [target]
    names = [node.id for node in nodes if isinstance(node, ast.Name)]
    return names if len(names) == len(nodes) else []


def reads(node: ast.expr, name: str) -> bool:
    return any(isinstance(x, ast.Name) and x.id == name for x in ast.walk(node))


def is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
