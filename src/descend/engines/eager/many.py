"""Runs a rule's function on the tensors of a Work together: the two engines without a tracer use it.

``Many`` is a list of arrays, one per tensor, that adds, multiplies and takes square roots item by
item. A reduction over a tensor gives one number per tensor; one over all parameters is gathered (``Gather``).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np

from ...core import ops
from ...core.value import Value, give_operators
from ..base import Gather, NoFactors, Work


class Many(Value):
    """One value per tensor, or one for all, with arithmetic item by item: a rule's ``v += g`` makes a new one."""

    __slots__ = ("gather", "items")

    def __init__(self, items: list[Any], gather: Gather) -> None:
        self.items = items
        self.gather = gather


def _spread(x: Many, count: int) -> list[Any]:
    """The values of so many tensors."""
    return x.items * count if len(x.items) == 1 else x.items


def _mapped(function: Callable[..., Any]) -> Callable[..., Many]:
    def apply(*args: Any) -> Many:
        count, gather = 1, None
        for a in args:
            if isinstance(a, Many):
                gather = a.gather
                if len(a.items) not in (1, count):
                    assert count == 1, "one value per tensor, or one for all"
                    count = len(a.items)
        assert gather is not None
        if count == 1:  # one tensor alone needs no columns
            return Many([function(*[a.items[0] if isinstance(a, Many) else a for a in args])], gather)
        columns = [
            a.items
            if isinstance(a, Many) and len(a.items) == count
            else repeat(a.items[0] if isinstance(a, Many) else a)
            for a in args
        ]
        return Many(list(map(function, *columns)), gather)

    return apply


give_operators(Many, lambda _, f: _mapped(f))


def _total(x: Many, over: str) -> Any:
    if over != "all":
        return Many([ops.total(item, over) for item in x.items], x.gather)
    sums = [ops.total(item) for item in x.items]
    return Many([x.gather.all(sum(sums[1:], sums[0]) if sums else 0.0)], x.gather)


def _count(x: Many, over: str) -> Any:
    if over == "all":
        return x.gather.count
    return Many([ops.words_of(i)["count"](i, over) for i in x.items], x.gather)


def _when(condition: Many, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    chosen = [bool(c) for c in condition.items]
    if all(chosen) or not any(chosen):
        return then() if chosen[0] else otherwise()
    pick = _mapped(lambda c, a, b: a if c else b)
    flags, a, b = Many(chosen, condition.gather), then(), otherwise()
    return tuple(pick(flags, x, y) for x, y in zip(a, b, strict=True)) if isinstance(a, tuple) else pick(flags, a, b)


def _factors(word: str) -> Callable[[Many], list[Any]]:
    def apply(x: Many) -> list[Any]:
        made = []
        for i, item in enumerate(x.items):
            try:
                made.append(getattr(ops, word)(item))
            except (np.linalg.LinAlgError, RuntimeError) as reason:  # torch's is a RuntimeError
                raise NoFactors(word, i, reason) from reason
        return made

    return apply


def _eigh(x: Many) -> tuple[Many, Many]:
    pairs = _factors("eigh")(x)
    return Many([w for w, _ in pairs], x.gather), Many([v for _, v in pairs], x.gather)


_WORDS = ("sqrt", "exp", "log", "tanh", "sign", "isfinite", "maximum", "minimum", "where")
ops.register(
    Many,
    {
        **{w: _mapped(getattr(ops, w)) for w in (*_WORDS, *ops.MATRIX_WORDS)},
        **{"abs": _mapped(abs), "total": _total, "count": _count, "when": _when},
        **{"eigh": _eigh, "qr": lambda x: Many(_factors("qr")(x), x.gather)},
    },
    containing=True,
)


def at_point(point: Callable[..., Any], p: Any, slots: list[Any], settings: dict[str, float]) -> Any:
    """What a rule's point is for one tensor, with its state; whatever it does, it writes into none of them."""
    gather = Gather(math.prod(p.shape))
    made = point(*(Many([x], gather) for x in (p, *slots)), **settings)
    return made.items[0] if isinstance(made, Many) else made


def evaluate(
    works: list[Work], cast: Callable[[Work, Any], Any], number: Callable[[float], Any]
) -> list[dict[str, list[Any]]]:
    """The new value of ``p`` and of every slot of every tensor; nothing is written.

    ``cast(work, array)`` makes the array the rule computes with; ``number(x)`` makes a float64 scalar
    with IEEE arithmetic (Python's own floats raise on a division by zero).
    """
    gather = Gather(sum(sum(work.sizes) for work in works))

    def one(work: Work) -> dict[str, list[Any]]:
        def spread(values: list[Any]) -> Any:
            values = [number(x) for x in values]
            return Many(values if len(work.rows) == 1 else [values[r] for r in work.row_of], gather)

        slots = [
            Many([number(x) for x in work.numbers[s.name]], gather)
            if s.init.is_number
            else Many([cast(work, a) for a in work.arrays[s.name]], gather)
            for s in work.rule.slots
        ]
        p, g = (Many([cast(work, a) for a in work.arrays[name]], gather) for name in ("p", "g"))
        settings = {name: spread([row.settings[name] for row in work.rows]) for name in work.rule.settings}
        try:
            results = work.rule.apply(p, g, *slots, t=spread([row.t for row in work.rows]), **settings)
        except NoFactors as failed:
            failed.work = work
            raise
        names = ["p", *(slot.name for slot in work.rule.slots)]
        count = len(work.sizes)
        return {
            n: _spread(r, count) if isinstance(r, Many) else [r] * count for n, r in zip(names, results, strict=True)
        }

    return gather.run([lambda work=work: one(work) for work in works])
