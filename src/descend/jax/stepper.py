"""A step seen from the training loop: numbers from the host, one compiled function, donated buffers."""

from functools import partial
from typing import Any

import jax

from ..core.rule import Rule
from ..engines.jax.book import Book
from ..stepping import settle
from .transform import RuleState, advance, transform
from .trees import Tree


class Stepper:
    """Steps parameters with a rule or a chain; state is that of ``transform``, and the two may take turns.

    Before each step the host computes in float64 what depends on settings and the step alone, rounds it once and hands
    it over in one small array. So a schedule is any Python function of the step, and a setting changed on the way
    (``set``) compiles nothing anew. 16-bit parameters are rounded once, after the step is added in float32.

    Args:
        rule: a rule or a chain, or the name of one. settings: numbers or schedules (functions of the step, from 0).
        donate: whether the memory of the parameters and the state given to ``step`` is used for those it returns; the
            old ones cannot be read afterwards.
    Raises:
        TypeError: an unknown setting (the message lists the valid ones), a modifier alone.
        ValueError: a setting that is not admitted.
    """

    def __init__(self, rule: Rule | str, *, donate: bool = True, **settings: Any) -> None:
        self.rule = transform(rule, **settings).rule.bind(**settings)
        self._books: dict[Any, Book] = {}
        self._compiled = jax.jit(partial(_step, self.rule), static_argnums=0, donate_argnums=(1, 3) if donate else ())
        self._last: tuple[Any, int] = (None, 0)

    def __repr__(self) -> str:
        return f"Stepper({self.rule!r})"

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting: a number or a schedule."""
        return dict(self.rule.settings)

    def set(self, **settings: Any) -> None:
        """Other settings from the next step on; nothing is compiled anew.

        Raises:
            TypeError: an unknown setting. ValueError: a value that is not admitted.
        """
        self.rule = self.rule.bind(**settings)

    def init(self, params: Any) -> RuleState:
        """State before the first step."""
        state: Any = transform(self.rule, **settle(self.rule.settings, 0, self.rule.name)).init(params)
        return state

    def step(self, params: Any, grads: Any, state: RuleState) -> tuple[Any, RuleState]:
        """The parameters and the state after one step.

        Args:
            params: a pytree of floating-point arrays. grads: a pytree like it; None where nothing is stepped.
            state: of ``init``, or of the step before.
        Raises:
            ValueError: gradients or state that do not fit the parameters. TypeError: complex or whole numbers.
        """
        done = self._last[1] if state.count is self._last[0] else int(state.count)
        numbers = settle(self.rule.settings, done, self.rule.name)
        book = self._book(params, grads, state)
        params, state = self._compiled(book, params, grads, state, book.arguments({**numbers, "t": done + 1.0}))
        self._last = (state.count, done + 1)
        return params, state

    def _book(self, params: Any, grads: Any, state: RuleState) -> Book:
        """The arithmetic of the host for parameters of these shapes: found by tracing the step without arguments."""
        leaves, structure = jax.tree.flatten(params)
        key = (structure, jax.tree.structure(grads), tuple((x.shape, x.dtype) for x in leaves))
        if key not in self._books:
            book = Book()
            jax.eval_shape(partial(_step, self.rule, book), params, grads, state, None)
            self._books[key] = book
        return self._books[key]


def _step(rule: Rule, book: Book, params: Any, grads: Any, state: RuleState, given: Any) -> tuple[Any, RuleState]:
    tree = Tree(params, rule)
    book.given = given
    numbers = {name: book.input(name) for name in rule.settings}
    steps, new = advance(tree, grads, state, numbers, book.input("t"))
    book.given = None
    moved = [
        p if u is None else (p.astype(u.dtype) + u).astype(p.dtype) for p, u in zip(tree.leaves, steps, strict=True)
    ]
    return tree.filled(moved), new
