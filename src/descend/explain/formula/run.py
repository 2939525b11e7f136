"""Computes with a formula, on numbers or on whatever the vocabulary knows.

The result is that of the rule itself, up to rounding; the values on the way are those of the lines shown.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from ...core import ops
from .tree import Formula, Helper, Line, Loop, Name, Number, Raw, Tree


def run(formula: Formula, values: Mapping[str, Any]) -> list[tuple[Line, tuple[Any, ...]]]:
    """Compute the lines in order; each line with the values it assigned."""
    log: list[tuple[Line, tuple[Any, ...]]] = []
    _run(formula.lines, dict(values), formula.scope, log)
    return log


def _run(lines: tuple[Line | Loop, ...], env: dict[str, Any], scope: Mapping[str, Any], log: list[Any]) -> None:
    for line in lines:
        if isinstance(line, Loop):
            for item in evaluate(line.iterable, env, scope):
                env["_item"] = item
                exec(f"{line.variables} = _item", dict(scope), env)
                _run(line.lines, env, scope, log)
        elif not line.targets and isinstance(line.value, Raw):
            exec(line.value.text, {**scope, **env}, env)
        elif not line.given:
            value = evaluate(line.value, env, scope)
            values = tuple(value) if len(line.targets) > 1 else (value,)
            env.update(zip((target.name for target in line.targets), values, strict=True))
            log.append((line, values))


def evaluate(x: Tree, env: Mapping[str, Any], scope: Mapping[str, Any]) -> Any:
    """The value of a tree where names have the values of ``env``, and functions are found in ``scope``."""
    if isinstance(x, Number):
        return x.value
    if isinstance(x, Name):
        return env[x.name] if x.name in env else scope[x.name]
    if isinstance(x, Raw):
        return eval(x.text, {**scope, **env})
    if x.word == "when":
        *pairs, last = x.args
        branches = zip(pairs[::2], pairs[1::2], strict=True)
        chosen = next((value for condition, value in branches if evaluate(condition, env, scope)), last)
        return evaluate(chosen, env, scope)
    args = [evaluate(a, env, scope) for a in x.args]
    if x.kind == "call":
        function = scope.get(x.word) or getattr(ops, x.word)
        if isinstance(function, Helper):
            inner = dict(zip((name.name for name in function.parameters), args, strict=True))
            _run(function.lines, inner, function.scope, [])
            return evaluate(function.result, inner, function.scope)
        return function(*args, **{k: evaluate(v, env, scope) for k, v in x.options})
    return OPERATIONS[x.word if x.kind == "compare" else x.kind](*args)


def _fold(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def folded(first: Any, *rest: Any) -> Any:
        for x in rest:
            first = function(first, x)
        return first

    return folded


def _cases(*args: Any) -> Any:
    result = args[-1]
    for i in range(len(args) - 3, -1, -2):
        result = ops.where(args[i], args[i + 1], result)
    return result


def _plain(numbers: Callable[[Any, Any], Any], arrays: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: (numbers if isinstance(a, int | float) and isinstance(b, int | float) else arrays)(a, b)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "sum": _fold(operator.add),
    "product": _fold(operator.mul),
    "matmul": _fold(lambda a, b: ops.matmul(a, b)),
    "neg": operator.neg,
    "frac": _plain(ops.divide, operator.truediv),
    "power": _plain(ops.power, operator.pow),
    "mod": operator.mod,
    "transpose": ops.transpose,
    "cases": _cases,
    "tuple": lambda *args: args,
    "and": _fold(operator.and_),
    "or": _fold(operator.or_),
    "not": lambda x: not x if isinstance(x, bool) else ~x,
    **{"<": operator.lt, "≤": operator.le, ">": operator.gt, "≥": operator.ge, "=": operator.eq, "≠": operator.ne},
}
