"""The function of a search: NumPy, torch or JAX code alike, its derivatives, what was asked of it, and its mishaps."""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import differences
from .arrays import like
from .arrays.base import Undifferentiable
from .arrays.numpy import NumpyArrays
from .method import Best, Wanted, half_square

# A mistake in the text of the function is no property of the point; it is raised at once.
MISTAKES = (NameError, AttributeError, TypeError, ImportError, SyntaxError, NotImplementedError)
SCHEMES = ("2-point", "3-point")
_RAISED = object()


class Problem:
    """Answers what methods want from one function, counts it, and keeps what is not finite apart.

    Args:
        f: takes an array like x0 and returns one number; with ``jac=True`` (number, gradient); with ``vectorized`` it
            takes (n, *shape of x0) and returns (n,).
        x0: where to start. bounds: (lower, upper), each (D,): finite differences stay inside.
        jac: a function to an array of x0's shape; True; "2-point" or "3-point" for finite differences; None for what
            the library of x0 can do, finite differences otherwise.
        hess: a function to a (D, D) array. hessp: a function of (x, v) to the product, of x0's shape.

    Attributes:
        nfev, njev, nhev, nbad: how many values, gradients, Hessians or products with one, and non-finite answers.
        first_bad: what was the matter the first time, a sentence.
        limit: values that finite differences may take at most beyond what they need, to measure how exact f is.
        best: the best point of all evaluations, also of those that a method does not see: of finite differences, and
            where the gradient is not finite. lower: after how many values each new best one was seen, and it.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        x0: Any,
        bounds: tuple[np.ndarray, np.ndarray],
        *,
        jac: Any = None,
        hess: Any = None,
        hessp: Any = None,
        vectorized: bool = False,
    ) -> None:
        if not callable(f):
            raise TypeError(f"f must be a function of one array, got {f!r}")
        if not (jac is None or jac is True or callable(jac) or jac in SCHEMES):
            raise ValueError(f"jac must be a function, True, {', '.join(map(repr, SCHEMES))} or None; got {jac!r}")
        for name, given in (("hess", hess), ("hessp", hessp)):
            if given is not None and not callable(given):
                raise ValueError(f"{name} must be a function or None, got {given!r}")
        if vectorized and jac is True:
            raise ValueError("jac=True and vectorized=True exclude each other: give the gradient as its own function")
        self.f, self.jac, self.hess, self.hessp, self.vectorized = f, jac, hess, hessp, vectorized
        self.arrays = like(x0)
        self.low, self.high = bounds
        self.nfev = self.njev = self.nhev = self.nbad = 0
        self.first_bad = ""
        self.best = Best(self.arrays.start, np.inf)
        self.lower: list[tuple[int, float]] = []
        self.limit = np.inf
        able = jac is None and not vectorized and not isinstance(self.arrays, NumpyArrays)
        self._by_library = able  # until it turns out that it cannot
        self._last: tuple[bytes, float] = b"", np.inf
        self._last_residuals: tuple[bytes, np.ndarray] = b"", np.zeros(0)
        self._last_hessian: tuple[bytes, np.ndarray] = b"", np.zeros(0)
        scheme = jac if isinstance(jac, str) else None
        self._slopes = differences.Differences(self.values, *bounds, self.eps, scheme, self._rounded)
        self._unsure: tuple[float, np.ndarray, np.ndarray] | None = None  # of a gradient by differences

    @property
    def eps(self) -> float:
        return self.arrays.eps

    @property
    def differentiable(self) -> bool:
        """Whether a gradient costs about as much as a value: it is given, or the library may take it."""
        return self.jac is True or callable(self.jac) or self._by_library

    def cost(self, wanted: Wanted) -> int:
        """How many values the answer may take."""
        n = wanted.points.shape[1]
        one = 1 if self.differentiable else 1 + n * (2 if self._slopes.central else 1)
        match wanted.what:
            case "values":
                return len(wanted.points)
            case "gradient":
                return one
            case "residuals":
                return 1
            case "jacobian":
                return 0 if self.differentiable else n * (2 if self.jac == "3-point" else 1)
            case "product":
                return 0 if self.hess or self.hessp or self._by_library else 2 * one
        return 0 if self.hess or self.hessp or self._by_library else 2 * n * one

    def answer(self, wanted: Wanted) -> Any:
        """What the table of ``Wanted`` says.

        Raises:
            Undifferentiable: the library cannot, once; asked again, finite differences can, which cost more.
        """
        point = wanted.points[0]
        match wanted.what:
            case "values":
                return self.values(wanted.points)
            case "gradient":
                found = self.gradient(point)
                return found if self._unsure is None else (*found, self._unsure)
            case "product":
                return self.product(point, wanted.along)
            case "residuals":
                return self.residuals(point)
            case "jacobian":
                return self.jacobian(point)
        return self.hessian(point)

    def values(self, points: np.ndarray) -> np.ndarray:
        """(n, D) -> (n,); inf where f raised or was not finite."""
        if self.vectorized:
            self.nfev += len(points)
            found = self._guarded(lambda: self._several(points), np.full(len(points), np.inf))
        else:
            found = np.array([self._value(point) for point in points])
        bad = ~np.isfinite(found)
        if bad.any():
            self._bad(int(bad.sum()), f"f is {found[bad][0]}")
            found = np.where(bad, np.inf, found)
        i = int(found.argmin())
        self._seen(points[i], float(found[i]))
        if len(points) == 1:
            self._last = points[0].tobytes(), float(found[0])
        return found

    def gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient (D,); inf and zeros where f raised, or either is not finite."""
        self._unsure = None
        before = self.nbad  # finite differences count the values they take
        value, gradient = self._guarded(lambda: self._gradient(x), (np.inf, np.zeros_like(x)), "f or its gradient")
        if np.isfinite(value) and np.isfinite(gradient).all():
            return value, gradient
        if self.nbad == before:
            self._bad(1, "the gradient is not finite" if np.isfinite(value) else f"f is {value}")
        return np.inf, np.zeros_like(x)

    def product(self, x: np.ndarray, along: np.ndarray) -> np.ndarray:
        """The Hessian at x times ``along``, (D,); NaN where it could not be had."""
        return self._curvature(lambda: self._product(x, along), np.full_like(x, np.nan))

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """(m,) what f returns, for a sum of squares; [inf] where it raised or one is not finite."""
        self.nfev += 1
        found = self._guarded(lambda: self._real(self.f(self.arrays.array(x))).ravel(), np.array([np.nan]))
        value = half_square(found)
        if not np.isfinite(value):
            self._bad(1, "a residual or the sum of their squares is not finite")
            return np.array([np.inf])
        self._seen(x, value)
        self._last_residuals = x.tobytes(), found
        return found

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """(m, D), of the residuals; NaN where it could not be had."""
        return self._curvature(lambda: self._jacobian(x), np.full((1, len(x)), np.nan), "the Jacobian")

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """(D, D); NaN where it could not be had."""
        return self._curvature(lambda: self._hessian(x), np.full((len(x), len(x)), np.nan))

    def _curvature(
        self, evaluate: Callable[[], np.ndarray], otherwise: np.ndarray, what: str = "the Hessian"
    ) -> np.ndarray:
        before = self.nbad
        found = self._guarded(evaluate, otherwise, what)
        if self.nbad == before and not np.isfinite(found).all():
            self._bad(1, f"{what} is not finite")
        return found

    # ------------------------------------------------------------ one evaluation

    def _value(self, x: np.ndarray) -> float:
        if self._last[0] == x.tobytes():  # a value, and now the gradient at the same point
            self._last, value = (b"", np.inf), self._last[1]  # once: what asks for one point for ever, spends
            return value
        self.nfev += 1
        returned = self._guarded(lambda: self.f(self.arrays.array(x)), _RAISED)
        if returned is _RAISED:
            return np.inf
        value = self._number(self._pair(returned)[0] if self.jac is True else returned)
        self._seen(x, value)  # now, for an interruption may come before the others of a population
        return value

    def _seen(self, x: np.ndarray, value: float) -> None:
        if -np.inf < value < self.best.f:
            self.best = Best(x.copy(), value)
            self.lower.append((self.nfev, value))

    def _pair(self, returned: Any) -> tuple[Any, Any]:
        """What f returned with jac=True."""
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            raise TypeError(f"jac=True: f must return (value, gradient), got {returned!r}")
        return returned[0], returned[1]

    def _number(self, value: Any) -> float:
        found = self._real(value)
        if found.size != 1:
            raise TypeError(f"f must return one number, got an array of shape {found.shape}")
        return float(found.reshape(()))

    def _several(self, points: np.ndarray) -> np.ndarray:
        found = self._real(self.f(self.arrays.many(points)))
        if found.shape != (len(points),):
            raise TypeError(
                f"vectorized=True: f was given {len(points)} points and must return the shape ({len(points)},); "
                f"got {found.shape}"
            )
        return found

    def _real(self, value: Any) -> np.ndarray:
        if isinstance(value, complex) or "complex" in str(getattr(value, "dtype", "")):
            raise TypeError(f"f must return a real number, got {value!r}")
        try:
            if value is np.ma.masked:
                return np.array(np.nan)
            if not (value is None or isinstance(value, str | bytes)):  # which NumPy takes for NaN, or reads
                return self.arrays.numbers(value)
        except OverflowError:  # an int above all floats
            return np.array(np.inf)
        except (TypeError, ValueError):
            pass
        raise TypeError(f"f must return one number, got {value!r}")

    def _slope(self, x: np.ndarray) -> np.ndarray:
        """The gradient for a difference of gradients; by differences itself, with as few values as it can be had."""
        return self._gradient(x, lean=True)[1]

    @property
    def _exact(self) -> float:
        """How exact gradients are, relative to what they change by."""
        return self.eps if self.differentiable else self._slopes.exact

    def _rounded(self, points: np.ndarray) -> np.ndarray:
        """Points (D,) or (n, D) as f is given them."""
        if self.eps == np.finfo(float).eps:
            return points
        return self.arrays.numbers(self.arrays.many(np.atleast_2d(points))).reshape(points.shape)

    def _gradient(self, x: np.ndarray, lean: bool = False) -> tuple[float, np.ndarray]:
        if self.jac is True:
            self.nfev += 1
            self.njev += 1
            returned, gradient = self._pair(self.f(self.arrays.array(x)))
            value = self._number(returned)
            self._seen(x, value)
            return value, self._shaped(gradient, "the gradient", x.shape)
        if callable(self.jac):
            value = float(self.values(x[None])[0])
            if not np.isfinite(value):
                return np.inf, np.zeros_like(x)
            self.njev += 1
            return value, self._shaped(self.jac(self.arrays.array(x)), "jac", x.shape)
        if self._by_library:
            self.nfev += 1  # also where it raises, or turns out to be none of the library's
            found = self.arrays.gradient(self._scalar, x)
            self.njev += 1
            self._seen(x, found[0])
            return found
        value = float(self.values(x[None])[0])
        if not np.isfinite(value):
            return np.inf, np.zeros_like(x)
        found = self._slopes.gradient(x, value, 0 if lean else self.limit - self.nfev)
        self._unsure = found.noise, found.error, found.hidden
        return value, found.g

    def _product(self, x: np.ndarray, along: np.ndarray) -> np.ndarray:
        if self.hessp is not None:
            self.nhev += 1
            product = self.hessp(self.arrays.array(x), self.arrays.array(along))
            return self._shaped(product, "hessp", x.shape)
        if self.hess is not None:
            return self._hessian(x) @ along
        if self._by_library:
            found = self.arrays.product(self._scalar, x, along)
            self.nhev += 1
            return found
        return differences.product(self._slope, x, along, self._exact)

    def _hessian(self, x: np.ndarray) -> np.ndarray:
        if self.hess is not None:
            if self._last_hessian[0] != x.tobytes():  # products of one step are all at one point
                self.nhev += 1
                found = self._shaped(self.hess(self.arrays.array(x)), "hess", (len(x), len(x)))
                self._last_hessian = x.tobytes(), found
            return self._last_hessian[1]
        if self.hessp is not None:
            return np.stack([self._product(x, unit) for unit in np.eye(len(x))])
        if self._by_library:
            found = self.arrays.hessian(self._scalar, x)
            self.nhev += 1
            return found
        return differences.hessian(self._slope, x, self._exact)

    def _jacobian(self, x: np.ndarray) -> np.ndarray:
        if callable(self.jac):
            self.njev += 1
            return self.arrays.numbers(self.jac(self.arrays.array(x))).reshape(-1, len(x))
        if self._by_library:
            found = self.arrays.jacobian(self.f, x)
            self.njev += 1
            return found
        key, here = self._last_residuals
        here = here if key == x.tobytes() else self.residuals(x)
        central = self.jac == "3-point"
        return differences.jacobian(self.residuals, x, here, self.eps, central)

    def _scalar(self, x: Any) -> Any:
        """f as a library differentiates it."""
        value = self.f(x)
        shape = getattr(value, "shape", ())
        if np.prod(shape) != 1:
            raise TypeError(f"f must return one number, got an array of shape {tuple(shape)}")
        return value.reshape(()) if shape else value

    def _shaped(self, value: Any, what: str, shape: tuple[int, ...]) -> np.ndarray:
        found = self.arrays.numbers(value)
        if found.size != np.prod(shape):
            raise TypeError(f"{what} must have the shape of {shape}, got {found.shape}")
        return found.reshape(shape)

    # ------------------------------------------------------------ mishaps

    def _guarded(self, evaluate: Callable[[], Any], otherwise: Any, what: str = "f") -> Any:
        """What it returns; ``otherwise`` where it raised what a point may be the reason for."""
        try:
            with np.errstate(all="ignore"):  # what is not finite is counted, and said in the message
                return evaluate()
        except Undifferentiable:
            self._by_library = False
            raise
        except MISTAKES:
            raise
        except Exception as error:
            self.first_bad = self.first_bad or f"{what} raised {type(error).__name__}: {error}"
            return otherwise

    def _bad(self, count: int, what: str) -> None:
        self.nbad += count
        self.first_bad = self.first_bad or what
