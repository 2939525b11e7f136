"""Paths as bytes for the page: a JSON head, then float32 numbers, so that a drag costs no parsing of text.

Layout: uint32 length of the head (little-endian), the head padded with spaces to a multiple of 4, the numbers.
"""

import json
from typing import Any

import numpy as np

from ..surface import picture
from ..surface.paths import Path
from ..surface.state import moments
from ..surface.surface import Surface

ROOM = 3.0  # frames around the frame: what is farther away is drawn there
LARGEST = 1e30


def packed(head: dict[str, Any], arrays: list[np.ndarray]) -> bytes:
    text = json.dumps(head, ensure_ascii=False, allow_nan=False).encode("utf-8")
    text += b" " * (-len(text) % 4)
    body = [np.ascontiguousarray(array, "<f4").tobytes() for array in arrays]
    return b"".join((np.uint32(len(text)).tobytes(), text, *body))


def _bounded(array: np.ndarray) -> np.ndarray:
    """What float32 can hold; NaN is as far as that."""
    return np.clip(np.nan_to_num(array, nan=LARGEST, posinf=LARGEST, neginf=-LARGEST), -LARGEST, LARGEST)


def of_path(path: Path, surface: Surface) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What the page is told of a path, and its numbers in this order: points, heights above the lowest point, slopes,
    effective rates, and where there are such, m and v."""
    low, high = np.array(surface.frame).T
    room = ROOM * (high - low)
    first, second, sign = moments(path)
    edge = None
    if path.left is not None:
        near = np.clip(np.nan_to_num(path.points, nan=LARGEST), low - room, high + room)
        ends = (
            picture.exit_at(near[path.left - 1], near[path.left], low, high) if path.left else near[0].clip(low, high)
        )
        edge = [float(x) for x in ends]
    head = {
        "rule": path.rule, "lr": path.lr, "steps": path.steps, "reached": path.reached, "diverged": path.diverged,
        "left": path.left, "exit": edge, "on_edge": path.on_edge, "stepped_as": path.stepped_as,
        "m": first, "v": second, "sign": sign,
    }  # fmt: skip
    arrays = [
        np.clip(np.nan_to_num(path.points, nan=LARGEST), low - room, high + room),
        np.clip(_bounded(path.heights) - surface.lowest, 0.0, LARGEST),
        _bounded(path.slopes),
        _bounded(np.nan_to_num(path.rates)),
    ]
    arrays += [_bounded(path.state[name]) for name in (first, second) if name]
    return head, arrays


def of_paths(made: list[tuple[dict[str, Any], list[np.ndarray]]]) -> bytes:
    return packed({"paths": [head for head, _ in made]}, [array for _, arrays in made for array in arrays])
