"""What every method is: a loop written as in its paper, which asks for what it wants to know and is answered.

class Mine(Method):
    def iterate(self):
        points = self.x0 + self.rng.standard_normal((10, self.n))
        values = yield Wanted("values", points)  # (10,), inf where the function is not finite
        ...
        return Stop("the spread is below tol") if spread < self.tol else None  # None: another iteration

Public attributes are the state of a method, by which it resumes to the bit; an array among them is replaced, never
written into. A checkpoint is the state at the start of an iteration, and the answers since, which are given again.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

DOING = {  # what can be wanted -> how it is called in a sentence
    "values": "values",
    "gradient": "a value and a gradient",
    "product": "a product with the Hessian",
    "hessian": "a Hessian",
    "residuals": "the residuals of a sum of squares",
    "jacobian": "the Jacobian of the residuals",
    "squares": "the squared gradients of the samples",
}


EPS = float(np.finfo(float).eps)
VALUES = frozenset({"values"})
CERTAIN = 0.0, None, None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a method wants to know next, and what the answer is.

    ========== ================ =========== ====================================================
    what       points           along       answer
    ========== ================ =========== ====================================================
    values     (n, D)                       (n,) float64, inf where f is not finite
    gradient   (1, D)                       (value, (D,)); value inf where either is not finite. A third entry may
                                            tell how far off they may be: (the value, each entry (D,), and which
                                            entries (D,) promise no more than the value is off)
    product    (1, D)           (D,)        (D,): the Hessian at the point times ``along``
    hessian    (1, D)                       (D, D)
    residuals  (1, D)                       (m,), whose half square is minimized; inf where one is not finite
    jacobian   (1, D)                       (m, D), of the residuals
    squares    (1, D)           a seed      (D,): the sum over samples of their squared gradients, or an estimate
    ========== ================ =========== ====================================================
    """

    what: str
    points: Any
    along: Any = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a method ends by itself: converged (``success``), or unable to go on."""

    message: str
    success: bool = True


def half_square(residuals: Any) -> float:
    """½‖r‖²; inf where a residual is not finite."""
    with np.errstate(over="ignore"):
        value = float(residuals @ residuals) / 2
    return value if np.isfinite(value) else np.inf


class Best(NamedTuple):
    """The best point ever seen: x (D,), and its value; inf before there is one."""

    x: Any
    f: float


Iteration = Generator[Wanted, Any, Stop | None]


class Method:
    """The contract of a method. A subclass writes ``iterate``, and ``begin`` where the first iteration needs something.

    Args:
        x0: (D,) float64, where to start; inside the bounds.
        bounds: (lower, upper), two arrays (D,) with ±inf where there is none; None: no bounds.
        seed: an int, a ``numpy.random.Generator`` (taken over) or None for entropy of the system.
        eps: the rounding of the numbers that f computes with.

    A subclass adds its options as keyword-only arguments, and hands ``**base`` on to this one.

    Attributes:
        n: D, the number of coordinates. lower, upper: (D,). rng: the only source of chance.
        nit: iterations done. stop: why it ended, or None.
        unsure: how far off the last value and gradient may be besides ``eps``, as ``Wanted`` has it; None: not told.
        bounded: whether the method keeps bounds; one that does not refuses them.
        uses: what it may want, of the table of ``Wanted``; None: not told.
        parts: classes of the methods that this one may hold in its state, such as the one it restarts.
    """

    bounded = True
    uses: frozenset[str] | None = None
    parts: tuple[type[Method], ...] = ()
    _built: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *given: Any, **options: Any) -> Method:
        self = super().__new__(cls)
        self._built = given, {name: value for name, value in options.items() if name != "seed"}
        return self

    def __init__(self, x0: Any, bounds: tuple[Any, Any] | None = None, *, seed: Any = None, eps: float = EPS) -> None:
        self.x0 = x0
        self.eps = eps
        self.n = len(x0)
        lower, upper = bounds if bounds is not None else (-np.inf, np.inf)
        self.lower = np.broadcast_to(np.asarray(lower, float), (self.n,))
        self.upper = np.broadcast_to(np.asarray(upper, float), (self.n,))
        try:
            self.rng = np.random.default_rng(seed)
        except (TypeError, ValueError):
            raise ValueError(
                f"seed must be a whole number of at least 0, a numpy.random.Generator or None; got {seed!r}"
            ) from None
        self.nit = 0
        self.unsure: tuple[float, Any, Any] = CERTAIN
        self.stop: Stop | None = None
        self.begun = False
        self.best_x, self.best_f = x0, np.inf
        self._running: Iteration | None = None
        self._wanted: Wanted | None = None
        self._saved: dict[str, Any] | None = None  # the state when the running iteration began
        self._answers: list[Any] = []  # and what it has been told since
        self._partial: Partial | None = None
        self._last_told: Any = x0[None][:0]  # points (n, D)

    # ------------------------------------------------------------ what a method writes

    def begin(self) -> Iteration:
        """What comes once, before the first iteration; counted as none."""
        yield from ()
        return None

    def iterate(self) -> Iteration:
        """One iteration: yields what is wanted, goes on with the answer; returns a Stop to end."""
        raise NotImplementedError

    def said(self) -> str:
        """What the message of a result adds on how the method went, such as a switch to another; "" for nothing."""
        return ""

    # ------------------------------------------------------------ what drives it

    @property
    def best(self) -> Best:
        return Best(self.best_x, self.best_f)

    @property
    def wanted(self) -> Wanted | None:
        """What is wanted now; None once the method has stopped."""
        if self._wanted is None and self.stop is None:
            self._go(None)
        return self._wanted

    def answer(self, answer: Any) -> None:
        """Answer the whole of what is wanted."""
        wanted = self.wanted
        if wanted is None:
            raise ValueError(f"answer: the method has stopped: {self.stop.message if self.stop else ''}")
        if wanted.what == "values":
            self.see(wanted.points, answer)
        elif wanted.what == "gradient":
            if answer[0] < self.best_f:
                self.best_x, self.best_f = wanted.points[0], float(answer[0])
            self.unsure = tuple(answer[2]) if len(answer) > 2 else CERTAIN
        elif wanted.what == "residuals":
            self.see(wanted.points, np.array([half_square(answer)]))
        self._answers.append(answer)
        self._partial = None
        self._go(answer[:2] if wanted.what == "gradient" else answer)

    def _go(self, answer: Any) -> None:
        """Run on until something is wanted or the method stops."""
        self._wanted = None
        while self.stop is None:
            try:
                if self._running is None:
                    self._saved, self._answers = self._state(), []
                    self._running = self.iterate() if self.begun else self.begin()
                    answer = None  # a generator begins with it
                with np.errstate(all="ignore"):  # huge values overflow; what is not finite is met where it matters
                    self._wanted = self._running.send(answer)
                return
            except StopIteration as end:
                self._running = None
                self.nit += self.begun
                self.begun = True
                self.stop = end.value

    def see(self, points: Any, values: Any) -> None:
        """Keep the best of these points (n, D), if it is the best so far."""
        i = int(values.argmin())
        if values[i] < self.best_f:
            self.best_x, self.best_f = np.array(points[i]), float(values[i])

    # ------------------------------------------------------------ ask and tell

    def ask(self) -> np.ndarray:
        """The points (n, D) whose values are wanted and not told yet; none, (0, D), once the method has stopped."""
        if self.wanted is None:
            return np.empty((0, self.n))
        rest = self._partial.untold if self._partial else slice(None)
        return np.array(self.wanted.points[rest])

    def tell(self, points: Any, values: Any, gradients: Any = None) -> None:
        """Tell values of points that were asked for: in any order, some now and some later.

        What is told again is left at what was told first. A value that is not finite counts as inf.

        Args:
            points: (n, D) as ``ask`` gave them, or one (D,). values: (n,) or a number.
            gradients: (n, D), for a method that wants a gradient (``wanted.what``).

        Raises:
            ValueError: points that were not asked for, shapes that differ, or the method wants something else than
                values; ``answer`` gives it that. Nothing is taken then.
        """
        if self._tell_all(points, values):
            return
        points = np.atleast_2d(np.asarray(points, float)) + 0.0  # the bytes of -0.0 are not those of 0.0
        values = np.atleast_1d(np.asarray(values, float))
        if points.ndim != 2 or points.shape[1] != self.n:
            raise ValueError(f"tell: points must have the shape (n, {self.n}), got {points.shape}")
        if values.shape != points.shape[:1]:
            raise ValueError(
                f"tell: {len(points)} points, so values must have the shape ({len(points)},); got {values.shape}"
            )
        values = np.where(np.isfinite(values), values, np.inf)
        wanted = self.wanted
        if wanted is not None and wanted.what == "gradient":
            self._tell_gradient(wanted, points, values, gradients)
            return
        if wanted is not None and wanted.what != "values":
            raise ValueError(f"tell: the method wants {DOING[wanted.what]} now: answer(...) takes it")
        partial = self._partial or Partial(wanted.points if wanted else np.empty((0, self.n)))
        rows = partial.find(points, self._earlier)
        for i, row in enumerate(rows):
            if row is not None:
                partial.values[row] = values[i]
                partial.told[row] = True
        self._partial = partial
        if wanted is not None and any(row is not None for row in rows):
            self.see(wanted.points, partial.values)
            if partial.told.all():
                self._last_told = wanted.points
                self.answer(partial.values)

    def _tell_all(self, points: Any, values: Any) -> bool:
        """Take the whole of what is wanted, told in its order, without looking at each point; False if it is not."""
        wanted = self._wanted
        if wanted is None or wanted.what != "values" or self._partial is not None or type(points) is not np.ndarray:
            return False
        values = np.asarray(values, float)
        if points.dtype != float or points.shape != wanted.points.shape or values.shape != points.shape[:1]:
            return False
        if points.tobytes() != wanted.points.tobytes():
            return False
        if not math.isfinite(values.sum()):
            values = np.where(np.isfinite(values), values, np.inf)
        self._last_told = wanted.points
        self.answer(values)
        return True

    @property
    def _earlier(self) -> frozenset[bytes]:
        """The bytes of the points that were told before what is wanted now."""
        return frozenset(row.tobytes() for row in np.asarray(self._last_told, float) + 0.0)

    def _tell_gradient(self, wanted: Wanted, points: Any, values: Any, gradients: Any) -> None:
        if gradients is None:
            raise ValueError("tell: the method wants a gradient too: tell(points, values, gradients)")
        gradients = np.atleast_2d(np.asarray(gradients, float))
        if gradients.shape != points.shape:
            raise ValueError(f"tell: gradients must have the shape {points.shape}, got {gradients.shape}")
        keys = [row.tobytes() for row in points]
        current = (np.asarray(wanted.points[0], float) + 0.0).tobytes()
        for i, key in enumerate(keys):
            if key != current and key not in self._earlier:
                raise ValueError(f"tell: points[{i}] was not asked for; hand the rows of ask() back unchanged")
        if current in keys:
            i = keys.index(current)
            self.see(wanted.points, values[i : i + 1])  # the value counts also where the gradient is not finite
            whole = bool(np.isfinite(gradients[i]).all())
            self._last_told = wanted.points[:1]
            self.answer((float(values[i]) if whole else np.inf, gradients[i] if whole else np.zeros(self.n)))

    # ------------------------------------------------------------ checkpoints

    def _state(self) -> dict[str, Any]:
        state = vars(self).items()
        return {name: one if type(one) in PLAIN else frozen(one) for name, one in state if name[0] != "_"}

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on to the bit: numbers, strings, arrays, lists and dicts of them."""
        told = self._partial
        saved = {
            "method": type(self).__name__,
            "given": list(self._built[0]),
            "options": {name: one for name, one in self._built[1].items() if not callable(one)},
            "began": self._state() if self._saved is None else self._saved,
            "answers": self._answers,
            "told": None if told is None else {"values": told.values, "told": told.told},
            "last_told": self._last_told,
        }
        return copy.deepcopy(saved)

    def kept(self) -> tuple[Any, ...]:
        """Where it stands, for ``back``: no copy, for nobody writes into the arrays of a state."""
        return self._state(), self._saved, list(self._answers)

    def back(self, kept: tuple[Any, ...]) -> None:
        """Stand to the bit where ``kept`` was taken; what was asked and answered since is forgotten."""
        state, saved, answers = kept
        stopped = state["stop"] is not None
        began = state if stopped or saved is None else saved
        vars(self).update({name: thawed(value, self.parts) for name, value in began.items()})
        self._running = self._wanted = self._partial = None
        self._saved, self._answers = (saved, answers) if stopped else (None, [])
        for answer in answers if not stopped else ():
            self.answer(answer)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and pickled as its state, for an iteration that waits for an answer cannot be."""
        return _resumed, (type(self), self._functions(), self.state_dict())

    def _functions(self) -> dict[str, Any]:
        """The options that no state has."""
        return {name: one for name, one in self._built[1].items() if callable(one)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where the method that ``state`` is of stood, with its start, bounds and options.

        Only options that are functions stay those of this method, for a state has none.

        Raises:
            ValueError: the state of another method, of other coordinates, or not one at all. Nothing is changed then.
        """
        if not isinstance(state, dict) or not {"method", "given", "options", "began", "answers"} <= set(state):
            raise ValueError("load_state_dict: this is not a state_dict() of a method")
        if state["method"] != type(self).__name__:
            raise ValueError(f"load_state_dict: the state of {state['method']} does not fit {type(self).__name__}")
        if state["began"]["n"] != self.n:
            raise ValueError(f"load_state_dict: the state has {state['began']['n']} coordinates, this method {self.n}")
        state = copy.deepcopy(state)
        built = type(self)(*state["given"], **self._functions() | state["options"])
        began = {name: thawed(value, self.parts) for name, value in state["began"].items()}
        vars(self).clear()
        vars(self).update(vars(built) | began)
        for answer in state["answers"]:
            self.answer(answer)
        self._last_told = state.get("last_told", self._last_told)
        if told := state.get("told"):
            wanted = self.wanted
            assert wanted is not None  # something was told of it
            self._partial = Partial(wanted.points)
            self._partial.values, self._partial.told = told["values"], told["told"]
            self.see(wanted.points, told["values"])


def _resumed(kind: type[Method], functions: dict[str, Any], state: dict[str, Any]) -> Method:
    method = kind(*state["given"], **functions | state["options"])
    method.load_state_dict(state)
    return method


class Partial:
    """What has been told so far of the points that are wanted."""

    def __init__(self, points: Any) -> None:
        self.keys = [row.tobytes() for row in np.asarray(points, float) + 0.0]
        self.values = np.full(len(points), np.inf)
        self.told = np.zeros(len(points), bool)

    @property
    def untold(self) -> np.ndarray:
        return ~self.told

    def find(self, points: np.ndarray, earlier: frozenset[bytes]) -> list[int | None]:
        """The row of each point; None for one that is told again. Equal rows are told one after the other."""
        free: dict[bytes, list[int]] = {}
        for row in np.flatnonzero(self.untold)[::-1]:
            free.setdefault(self.keys[row], []).append(int(row))
        known = earlier.union(self.keys)
        found: list[int | None] = []
        for i, key in enumerate(row.tobytes() for row in points):
            if key not in known:
                raise ValueError(f"tell: points[{i}] was not asked for; hand the rows of ask() back unchanged")
            found.append(free[key].pop() if free.get(key) else None)
        return found


PLAIN = frozenset((np.ndarray, float, int, bool, str, tuple, type(None)))  # kept as it is: nearly all of a state


def frozen(value: Any) -> Any:
    """A value of the state as it is kept. Arrays are never written into, so they need no copy."""
    match value:
        case np.random.Generator():
            return {"rng": value.bit_generator.state}
        case Method():
            return {"part": type(value).__name__, "state": value.state_dict()}
        case list():
            return [frozen(one) for one in value]
        case dict():
            return {name: frozen(one) for name, one in value.items()}
    return value


def thawed(value: Any, parts: tuple[type[Method], ...] = ()) -> Any:
    """What ``frozen`` was given."""
    match value:
        case {"rng": state}:
            rng = np.random.Generator(getattr(np.random, _generator(state["bit_generator"]))())
            rng.bit_generator.state = state
            return rng
        case {"part": name, "state": state}:
            kind = next((part for part in parts if part.__name__ == name), None)
            if kind is None:
                raise ValueError(f"load_state_dict: {name!r} is no part of this method")
            part = kind(*state["given"], **state["options"])
            part.load_state_dict(state)
            return part
        case list():
            return [thawed(one, parts) for one in value]
        case dict():
            return {name: thawed(one, parts) for name, one in value.items()}
    return value


def _generator(name: str) -> str:
    if name not in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"):
        raise ValueError(f"load_state_dict: {name!r} is no bit generator of NumPy")
    return name
