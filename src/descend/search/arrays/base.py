"""What a library of arrays does for a search: its arrays from vectors and back, and the derivatives it can take.

A method computes with float64 vectors of NumPy; the function is handed what x0 is, of its shape and dtype.
"""

from typing import Any, Protocol

import numpy as np


class Undifferentiable(Exception):
    """The library cannot differentiate this function; finite differences can."""


class Arrays(Protocol):
    """What a library must do for a search. ``f`` takes one array of x0's shape and returns one number."""

    start: np.ndarray  # x0, (D,) float64
    eps: float  # the rounding of the numbers that f computes with

    def array(self, vector: np.ndarray) -> Any: ...  # (D,) -> x0's shape
    def many(self, points: np.ndarray) -> Any: ...  # (n, D) -> (n, *shape)
    def numbers(self, values: Any) -> np.ndarray: ...  # any array of the library -> float64, of its shape
    def gradient(self, f: Any, x: np.ndarray) -> tuple[float, np.ndarray]: ...
    def product(self, f: Any, x: np.ndarray, along: np.ndarray) -> np.ndarray: ...
    def hessian(self, f: Any, x: np.ndarray) -> np.ndarray: ...
    def jacobian(self, f: Any, x: np.ndarray) -> np.ndarray: ...  # of an f to any array: (m, D)
