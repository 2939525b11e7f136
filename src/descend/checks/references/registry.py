"""Where the references are collected, and the lift from one tensor to a list of tensors."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Gradients = Iterable[Array]
Trace = Iterator[tuple[Array, dict[str, Any]]]
ListTrace = Iterator[tuple[list[Array], dict[str, list[Array]]]]
Reference = Callable[..., ListTrace]
StepModifier = TypeVar("StepModifier", bound=Callable[..., Any])

REFERENCES: dict[str, Reference] = {}
MODIFIERS: dict[str, Callable[..., list[Array]]] = {}
AFTER: dict[str, Callable[..., Any]] = {}


def whole(reference: Reference) -> Reference:
    """Register a reference that sees all tensors of a step at once."""
    REFERENCES[reference.__name__] = reference
    return reference


def per_tensor(textbook: Callable[..., Trace]) -> Reference:
    """Register a reference written for one tensor; the lifted form runs one copy of it per tensor.

    `gradients` may be a list that grows while the trace is read: a step looks at it only when asked for.
    """

    @wraps(textbook)
    def lifted(x: Sequence[Array], gradients: Sequence[Sequence[Array]], **settings: Any) -> ListTrace:
        def of_tensor(i: int) -> Iterator[Array]:
            return (step[i] for step in gradients)

        copies = [textbook(tensor, of_tensor(i), **settings) for i, tensor in enumerate(x)]
        for _ in gradients:
            results = [next(copy) for copy in copies]
            names = results[0][1] if results else {}
            # 0-d arrays turn into scalars under arithmetic
            yield (
                [np.asarray(new_x, dtype=np.float64) for new_x, _ in results],
                {name: [np.asarray(s[name], dtype=np.float64) for _, s in results] for name in names},
            )

    return whole(lifted)


def modifier(function: Callable[..., list[Array]]) -> Callable[..., list[Array]]:
    """Register a change of the gradients: (x list, g list, settings) -> new g list."""
    MODIFIERS[function.__name__] = function
    return function


def after(function: StepModifier) -> StepModifier:
    """Register a change of a rule's step: (p list, q list, g list, settings) -> new q list.

    One that keeps a state takes its list as the fourth argument and returns (new q list, new state list).
    """
    AFTER[function.__name__] = function
    return function
