"""What an exported file holds of the surfaces, small enough to be carried: whole numbers, and of these differences.

A place is a share of the map, from ROOM maps before it to ROOM behind, in PLACES steps, a third of a pixel of a large
map; a height is its logarithm in hundredths; a ring of the ground lies on a grid of RING steps. Of each row of numbers
its differences are kept, or the differences of these: low bytes of all rows, then high bytes. gzip makes of that a
quarter of what it makes of the numbers themselves.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...rules.names import find_rule
from ..surface import picture
from ..surface.paths import Path, walk
from ..surface.surface import Surface
from .packed import LARGEST, of_path
from .stories import STORIES

ROOM = 1.0
PLACES, RING = 8191, 2047
RATES = tuple(10 ** (k / 3) for k in range(-5, 6))  # times the story's own
LOWEST, HIGHEST = 1e-16, 1e30  # of a height
A_DECADE = 100
LEFT_OUT = ("m", "v", "sign")
GRID, FINER = 65, {"rastrigin": 121}  # places along an axis; dimples need more


def rows(head: dict[str, Any], numbers: Sequence[np.ndarray]) -> bytes:
    """Rows of whole numbers from 0 to 65,535, as `offline/net.js` reads them: a head in JSON, then bytes.

    Layout: uint32 length of the head (little-endian), the head, the low bytes of all rows, the high bytes.
    """
    kept, orders = [], ""
    for row in numbers:
        once = np.diff(row.astype(np.int64), prepend=0)
        ways = [_unsigned(found) for found in (once, np.diff(once, prepend=0))]
        best = min((0, 1), key=lambda k: float(np.log2(ways[k] + 2).sum()))
        kept.append(ways[best])
        orders += str(best + 1)
    flat = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    head = {**head, "orders": orders, "lengths": [len(row) for row in kept]}
    text = json.dumps(head, ensure_ascii=False, allow_nan=False).encode("utf-8")
    low, high = (flat & 255).astype(np.uint8), (flat >> 8).astype(np.uint8)
    return np.uint32(len(text)).tobytes() + text + low.tobytes() + high.tobytes()


def _unsigned(differences: np.ndarray) -> np.ndarray:
    """Modulo 65,536, small ones of either sign as small numbers."""
    signed = (differences + 32768) % 65536 - 32768
    return np.where(signed < 0, -2 * signed - 1, 2 * signed)


def places_and_heights(path: Path, surface: Surface) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What is told of a path, and x, y and heights as whole numbers."""
    head, (points, heights, *_) = of_path(path, surface)
    low, high = np.array(surface.frame).T
    shares = (np.clip((points - low) / (high - low), -ROOM, 1 + ROOM) + ROOM) / (1 + 2 * ROOM)
    places = np.rint(shares * PLACES).astype(np.int64)
    logs = np.log10(np.clip(heights, LOWEST, min(LARGEST, HIGHEST)) / LOWEST)
    head = {name: value for name, value in head.items() if name not in LEFT_OUT}
    return head, [places[:, 0], places[:, 1], np.rint(A_DECADE * logs).astype(np.int64)]


def stories(surfaces: dict[str, Surface]) -> bytes:
    """All paths of all stories; `keys` are the questions of the page: story, number of the rule, number of the rate."""
    keys, made = [], []
    for story in STORIES.values():
        surface = surfaces[story.surface]
        for k, (rule, lr) in enumerate(story.rules):
            for j, times in enumerate(RATES):
                path = walk(find_rule(rule), surface, story.start, lr * times, story.steps, engine="alone")
                keys.append(f"surfaces/paths {story.name} {k} {j}")
                made.append(places_and_heights(path, surface))
    head = {"keys": keys, "heads": [head for head, _ in made], "places": PLACES, "room": ROOM}
    head |= {"decade": A_DECADE, "lowest": LOWEST}
    return rows(head, [numbers[what] for what in range(3) for _, numbers in made])


def grounds(surfaces: dict[str, Surface]) -> bytes:
    """The maps: of each its frame, how many rings each band has, and the rings."""
    keys, frames, bands, made = [], [], [], []
    for surface in surfaces.values():
        low, high = np.array(surface.frame).T
        shapes = picture.bands(*surface.heights(FINER.get(surface.name, GRID)))
        found = [band.rings for band in shapes]  # pyright: ignore[reportAttributeAccessIssue]
        keys.append(f"surfaces/ground {surface.name}")
        frames.append(surface.frame)
        bands.append([[len(ring) for ring in rings] for rings in found])
        made += [np.rint((np.asarray(ring) - low) / (high - low) * RING) for rings in found for ring in rings]
    head = {"keys": keys, "frames": frames, "bands": bands, "steps": RING}
    return rows(head, [ring[:, k] for k in range(2) for ring in made])
