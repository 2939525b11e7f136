"""Where a surface is as high as a level: closed rings around all that lies above, by marching squares."""

import numpy as np

# Corners of a cell that are above, as bits (1 left low, 2 right low, 4 right high, 8 left high) -> the sides from and
# to which the ring runs: 0 below, 1 right, 2 above, 3 left. What is above lies at its left hand. Of two corners across,
# each is cut off by itself.
SIDES = {
    1: ((0, 3),), 2: ((1, 0),), 3: ((1, 3),), 4: ((2, 1),), 5: ((0, 3), (2, 1)), 6: ((2, 0),), 7: ((2, 3),),
    8: ((3, 2),), 9: ((0, 2),), 10: ((1, 0), (3, 2)), 11: ((1, 2),), 12: ((3, 1),), 13: ((0, 1),), 14: ((3, 0),),
}  # fmt: skip


def rings(x: np.ndarray, y: np.ndarray, z: np.ndarray, level: float) -> list[np.ndarray]:
    """Closed rings around the places where z is above the level, along the frame where they meet it.

    Args:
        x, y: ascending, (n,) and (m,). z: (m, n), finite.
    Returns:
        Arrays of points (k, 2), the first also the last. Filled by the even-odd rule they are what lies above.
    """
    x, y = (np.concatenate([axis[:1], axis, axis[-1:]]) for axis in (x, y))
    z = np.pad(z, 1, constant_values=min(z.min(), level) - 1.0)  # below all around, at no distance: rings close
    above = z > level
    corners = above[:-1, :-1] + 2 * above[:-1, 1:] + 4 * above[1:, 1:] + 8 * above[1:, :-1]
    wide = corners.shape[1]
    follows: dict[int, int] = {}
    for kind, pairs in SIDES.items():
        row, column = np.nonzero(corners == kind)
        # Sides that run along x have even numbers, those along y odd ones; a cell shares each with its neighbour.
        flat = 2 * (row * (wide + 1) + column)
        sides = (flat, flat + 3, flat + 2 * (wide + 1), flat + 1)
        for start, end in pairs:
            follows.update(zip(sides[start].tolist(), sides[end].tolist(), strict=True))

    def points(ids: list[int]) -> np.ndarray:
        at, along_y = np.divmod(np.array(ids), 2)
        row, column = np.divmod(at, wide + 1)
        row2, column2 = row + along_y, column + 1 - along_y
        share = (level - z[row, column]) / (z[row2, column2] - z[row, column])
        return np.stack([x[column] + share * (x[column2] - x[column]), y[row] + share * (y[row2] - y[row])], 1)

    found = []
    while follows:
        first, at = follows.popitem()
        ids = [first]
        while at != first:
            ids.append(at)
            at = follows.pop(at)
        found.append(points([*ids, first]))
    return found
