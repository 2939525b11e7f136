"""Data that lie inside an installed package: found without importing it, checked against a hash."""

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .task import TaskError


def path_in(package: str, *parts: str) -> Path:
    """A file inside an installed package.

    Raises:
        FileNotFoundError: the package is not installed, or has no such file.
    """
    found = importlib.util.find_spec(package)
    places = list(found.submodule_search_locations or []) if found else []
    for place in places:
        if (path := Path(place, *parts)).exists():
            return path
    raise FileNotFoundError(f"no {'/'.join(parts)} in the package {package}")


def contents(paths: Sequence[Path], sha256: str) -> list[bytes]:
    """What stands in the files, if all of it together has the hash that the task's card promises.

    Raises:
        TaskError: it has not: another version of the package brings other data.
    """
    found = [path.read_bytes() for path in paths]
    if hashlib.sha256(b"".join(found)).hexdigest() != sha256:
        raise TaskError(f"{paths[0]} is not the file this task was made for: its hash is another")
    return found


def halves(n: int, seed: int, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Rows for training and for validation, fixed for ever: shuffled once, then cut; each part ascending."""
    order = np.random.default_rng(seed).permutation(n)
    cut = n - round(share * n)
    return np.sort(order[:cut]), np.sort(order[cut:])
