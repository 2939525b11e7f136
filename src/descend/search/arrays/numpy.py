"""Functions of a NumPy array, which has no derivatives."""

from typing import Any

import numpy as np

from .base import Undifferentiable


class NumpyArrays:
    """Arrays of the shape of x0; float32 stays, everything else is float64."""

    def __init__(self, x0: Any) -> None:
        try:
            x0 = np.asarray(x0)
        except ValueError as error:  # lists of different lengths
            raise ValueError(f"x0 must be an array of numbers, got {x0!r}") from error
        if x0.dtype.kind not in "fiub":
            raise ValueError(f"x0 must be of real numbers, got dtype {x0.dtype}")
        self.shape = x0.shape
        self.dtype = x0.dtype if x0.dtype in (np.float32, np.float64) else np.dtype(np.float64)
        self.eps = float(np.finfo(self.dtype).eps)
        self.start = np.asarray(x0, np.float64).ravel()

    def array(self, vector: np.ndarray) -> np.ndarray:
        return vector.reshape(self.shape).astype(self.dtype)

    def many(self, points: np.ndarray) -> np.ndarray:
        return points.reshape(-1, *self.shape).astype(self.dtype)

    def numbers(self, values: Any) -> np.ndarray:
        return np.asarray(values, np.float64)

    def gradient(self, f: Any, x: np.ndarray) -> tuple[float, np.ndarray]:
        raise Undifferentiable

    def product(self, f: Any, x: np.ndarray, along: np.ndarray) -> np.ndarray:
        raise Undifferentiable

    def hessian(self, f: Any, x: np.ndarray) -> np.ndarray:
        raise Undifferentiable

    def jacobian(self, f: Any, x: np.ndarray) -> np.ndarray:
        raise Undifferentiable
