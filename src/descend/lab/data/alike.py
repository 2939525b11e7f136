"""Which pictures are the same, or nearly: perceptual hashes compared, all with all.

Two hashes are compared by the bits in which they differ, of 64; so are a hash and that of the mirrored picture.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

SAME = 6  # bits: the same picture, compressed, scaled or retouched
ALIKE = 12  # bits: taken in one burst, or cropped: two pictures, but not for two sides of a split
BLOCK = 2**23  # distances that are looked at together: 32 MB


def signs(hashes: Sequence[str]) -> NDArray[np.float32]:
    """Hexadecimal hashes of 64 bits as rows of ±1, `(n, 64)`: half of 64 less their product is the bits that differ."""
    packed = np.array([int(text, 16) for text in hashes], dtype=">u8").view(np.uint8).reshape(-1, 8)
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1


def pairs(hashes: Sequence[str], mirrored: Sequence[str], most: int = ALIKE) -> Iterator[tuple[int, int, int]]:
    """`(i, j, bits)`, i < j in ascending order, of all pairs that differ in at most so many bits, mirrored or not."""
    plain, turned = signs(hashes), signs(mirrored)
    rows = max(1, BLOCK // max(len(plain), 1))
    for first in range(0, len(plain), rows):
        nearest = np.maximum(plain[first : first + rows] @ plain.T, turned[first : first + rows] @ plain.T)
        for i, j in np.argwhere(nearest >= 64 - 2 * most):
            if first + i < j:
                yield int(first + i), int(j), int(64 - nearest[i, j]) // 2


def groups(count: int, joined: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The numbers 0 … count-1 in groups: those joined, by whatever chain, are together; each group ascending."""
    parent = list(range(count))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = k = parent[parent[k]]
        return k

    for i, j in joined:
        a, b = sorted((root(i), root(j)))
        parent[b] = a
    found: dict[int, list[int]] = {}
    for k in range(count):
        found.setdefault(root(k), []).append(k)
    return list(found.values())
