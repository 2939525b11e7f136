"""Paths of the stories at a grid of rates, small enough to be carried in a file: two bytes a number.

A place is a share of the map, from ROOM maps before it to ROOM behind, in 65,535 steps, a hundredth of a pixel; a
height is its logarithm as a half float, to three digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...rules.names import find_rule
from ..surface.paths import Path, walk
from ..surface.surface import Surface
from .packed import LARGEST, of_path, packed
from .stories import STORIES, Story

ROOM = 1.0
RATES = tuple(10 ** (k / 3) for k in range(-5, 6))  # times the story's own
LOWEST = 1e-16
LEFT_OUT = ("m", "v", "sign")


def key(story: Story, k: int, j: int) -> str:
    """Of the k-th rule of a story at the j-th of RATES, as the page asks for it."""
    return f"surfaces/paths {story.name} {k} {j}"


def small(path: Path, surface: Surface) -> bytes:
    """A path in the layout of `packed`, but with uint16 places and half floats of log10 heights."""
    head, (points, heights, *_) = of_path(path, surface)
    low, high = np.array(surface.frame).T
    shares = (np.clip((points - low) / (high - low), -ROOM, 1 + ROOM) + ROOM) / (1 + 2 * ROOM)
    logs = np.log10(np.clip(heights, LOWEST, LARGEST))
    places = np.rint(shares * 65535).astype("<u2")
    head = {name: value for name, value in head.items() if name not in LEFT_OUT}
    pad = np.zeros(-(2 * places.size + 2 * logs.size) % 4 // 2, "<u2")
    return packed(head, []) + places.tobytes() + logs.astype("<f2").tobytes() + pad.tobytes()


def stories(surfaces: dict[str, Surface]) -> dict[str, Any]:
    """Every answer that the tab of surfaces needs, by question."""
    found: dict[str, Any] = {}
    for story in STORIES.values():
        surface = surfaces[story.surface]
        for k, (rule, lr) in enumerate(story.rules):
            for j, times in enumerate(RATES):
                path = walk(find_rule(rule), surface, story.start, lr * times, story.steps, engine="alone")
                found[key(story, k, j)] = small(path, surface)
    return found
