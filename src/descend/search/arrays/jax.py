"""Functions of a JAX array: derivatives by ``jax.grad``, compiled where the function admits it."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from .base import Undifferentiable

# A function that branches on values, or leaves JAX, cannot be compiled; one that leaves JAX cannot be differentiated.
UNTRACEABLE = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError, TypeError)


class JaxArrays:
    """Arrays of the shape and dtype of x0."""

    def __init__(self, x0: Any) -> None:
        if jax.numpy.issubdtype(x0.dtype, jax.numpy.complexfloating):
            raise ValueError(f"x0 must be of real numbers, got {x0.dtype}")
        self.shape = x0.shape
        floating = jax.numpy.issubdtype(x0.dtype, jax.numpy.floating)
        self.dtype = x0.dtype if floating else jax.numpy.asarray(0.0).dtype
        self.eps = float(jax.numpy.finfo(self.dtype).eps)
        self.start = np.asarray(x0, np.float64).ravel()
        self._made: dict[Any, Callable[..., Any]] = {}

    def array(self, vector: np.ndarray) -> Any:
        return jax.numpy.asarray(vector.reshape(self.shape), self.dtype)

    def many(self, points: np.ndarray) -> Any:
        return jax.numpy.asarray(points.reshape(-1, *self.shape), self.dtype)

    def numbers(self, values: Any) -> np.ndarray:
        return np.asarray(values, np.float64)

    def gradient(self, f: Callable[[Any], Any], x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self._call("gradient", jax.value_and_grad(f), self.array(x))
        return float(value), self.numbers(gradient).ravel()

    def product(self, f: Callable[[Any], Any], x: np.ndarray, along: np.ndarray) -> np.ndarray:
        def directional(x: Any, along: Any) -> Any:
            return jax.jvp(jax.grad(f), (x,), (along,))[1]

        return self.numbers(self._call("product", directional, self.array(x), self.array(along))).ravel()

    def hessian(self, f: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
        return self.numbers(self._call("hessian", jax.hessian(f), self.array(x))).reshape(x.size, x.size)

    def jacobian(self, f: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
        return self.numbers(self._call("jacobian", jax.jacrev(f), self.array(x))).reshape(-1, x.size)

    def _call(self, what: str, fn: Callable[..., Any], *arrays: Any) -> Any:
        """Compiled at the first call, and from then on."""
        try:
            if what not in self._made:
                compiled = jax.jit(fn)
                try:
                    found = compiled(*arrays)
                except UNTRACEABLE:
                    found, compiled = fn(*arrays), fn
                self._made[what] = compiled
                return found
            return self._made[what](*arrays)
        except UNTRACEABLE as error:
            raise Undifferentiable from error
