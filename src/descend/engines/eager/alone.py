"""The oracle's arithmetic on one array: the rule's own function, step after step, and nothing around it.

`Optimizer` checks, converts and commits in every step, which costs more than the arithmetic where the array has two
numbers. Here nothing is checked twice and nothing is written: each step makes new arrays. The bits are those of the
engine ``"numpy"``; a test compares every rule of the catalogue.
"""

from typing import Any

import numpy as np

from ...core.rule import Rule
from ...core.settings import all_given, check_setting, taken_by
from ..arrays import first


class Alone:
    """A rule on one float64 array.

    Args:
        p: where it begins; it is not written to. settings: of the rule, numbers.
    Attributes:
        p: the parameters now. state: slot -> array, or a number.
    Raises:
        TypeError, ValueError: a setting that is unknown or not admitted.
    """

    def __init__(self, rule: Rule, p: np.ndarray, **settings: Any) -> None:
        bound = rule.bind(**settings).of(p.shape)
        all_given(bound.settings, bound.name)
        self.rule, self.p = bound, np.array(p, np.float64)
        plain = {name: check_setting(name, value, bound.name) for name, value in bound.settings.items()}
        self.settings = {name: np.float64(value) for name, value in plain.items()}
        self.steps = 0
        self.state: dict[str, Any] = {}
        for slot in bound.slots:
            number = slot.init.is_number
            self.state[slot.name] = np.float64(slot.init.first(plain)) if number else first(slot.init, self.p, plain)
        self._begins = [slot.name for slot in bound.slots if slot.init.fill == "g"]
        self._slots = [slot.name for slot in bound.slots]
        points = {"gradient": bound.gradient_point, "shipped": bound.shipped_point}
        self._points = {k: (f, taken_by(f, self.settings)) for k, f in points.items() if f is not None}

    def step(self, g: np.ndarray) -> None:
        """One update; within `np.errstate(all="ignore")`, for infinity and NaN are values here."""
        g = g.copy()  # a rule may keep it
        self.steps += 1
        for name in self._begins if self.steps == 1 else ():
            self.state[name] = g.copy()
        # what its function returns is looked at once: the same function returns as many values in every step
        run = self.rule if self.steps > 1 and self._slots else self.rule.apply
        self.p, *new = run(self.p, g, *self.state.values(), t=np.float64(self.steps), **self.settings)
        self.state = dict(zip(self._slots, new, strict=True))

    def gradient_point(self) -> np.ndarray:
        """Where the gradient must be taken."""
        return self._at("gradient")

    def shipped_point(self) -> np.ndarray:
        """What to evaluate."""
        return self._at("shipped")

    def _at(self, which: str) -> np.ndarray:
        if which not in self._points:
            return self.p
        point, settings = self._points[which]
        return point(self.p, *self.state.values(), **settings)
