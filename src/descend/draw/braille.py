"""A curve in the terminal: braille signs, eight dots each. The standard library only."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def braille(
    xs: Iterable[float],
    ys: Iterable[float],
    width: int = 72,
    height: int = 12,
    log_x: bool = False,
    log_y: bool = False,
    marks: Mapping[str, float] | None = None,
) -> str:
    """A line through the points, with the range of both axes.

    Args:
        xs, ys: equally many numbers. A point that is not finite (on a logarithmic axis: not positive) breaks the line.
        width, height: of the picture in characters; the labels come on top.
        log_x, log_y: logarithmic axes.
        marks: label -> x, drawn as a dotted vertical line with its label above.
    Returns:
        Lines of text without colour, joined by newlines, none with spaces at its end.
    Raises:
        ValueError: no point to draw, lists of different lengths, or a picture without room.
    """
    if width < 2 or height < 2:
        raise ValueError(f"a picture needs 2 by 2 characters or more, got {width} by {height}")
    to_x, to_y = _axis(log_x), _axis(log_y)
    points = [(to_x(float(x)), to_y(float(y))) for x, y in zip(xs, ys, strict=True)]
    finite = [p for p in points if math.isfinite(p[0]) and math.isfinite(p[1])]
    if not finite:
        raise ValueError("no finite point to draw")
    left, right = _range(x for x, _ in finite)
    low, high = _range(y for _, y in finite)
    cells = [[0] * width for _ in range(height)]

    def place(x: float, y: float) -> tuple[int, int]:
        return (
            round((x - left) / (right - left) * (2 * width - 1)),
            round((high - y) / (high - low) * (4 * height - 1)),
        )

    def dot(i: int, j: int) -> None:
        cells[j // 4][i // 2] |= _DOTS[i % 2][j % 4]

    before = None
    for x, y in points:
        here = place(x, y) if math.isfinite(x) and math.isfinite(y) else None
        if here is not None:
            for i, j in _line(before or here, here):
                dot(i, j)
        before = here
    columns = {}
    for label, x in (marks or {}).items():
        if left <= (at := to_x(float(x))) <= right:
            columns[label] = place(at, low)[0]
            for j in range(0, 4 * height, 3):
                dot(columns[label], j)
    names = [_label(high, log_y), *[""] * (height - 2), _label(low, log_y)]
    margin = max(map(len, names))
    lines = [f"{'':{margin}}  {line}" for line in _labels(columns, width)]
    for name, row in zip(names, cells, strict=True):
        lines.append(f"{name:>{margin}} ┤" + "".join(chr(0x2800 + cell) if cell else " " for cell in row))
    first, last = _label(left, log_x), _label(right, log_x)
    lines.append(f"{'':{margin}}  {first}{last:>{max(width - len(first), len(last) + 1)}}")
    return "\n".join(line.rstrip() for line in lines)


def _axis(log: bool) -> Callable[[float], float]:
    return (lambda v: math.log10(v) if 0 < v < math.inf else math.nan) if log else (lambda v: v)


def _range(values: Iterable[float]) -> tuple[float, float]:
    """Lowest and highest; around a single value, a range that is not empty."""
    found = list(values)
    low, high = min(found), max(found)
    if low < high:
        return low, high
    room = abs(low) / 2 or 0.5
    return low - room, high + room


def _label(value: float, log: bool) -> str:
    return f"{10**value if log else value:.4g}"


def _line(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    (i0, j0), (i1, j1) = start, end
    n = max(abs(i1 - i0), abs(j1 - j0), 1)
    for k in range(n + 1):
        yield round(i0 + (i1 - i0) * k / n), round(j0 + (j1 - j0) * k / n)


def _labels(columns: Mapping[str, int], width: int) -> list[str]:
    """The labels over their columns, in as few rows as keep them apart."""
    rows: list[str] = []
    for label, column in sorted(columns.items(), key=lambda item: item[1]):
        at = max(0, min(column // 2 - len(label) // 2, width - len(label)))
        for r, row in enumerate(rows):
            if len(row) < at:
                rows[r] = f"{row:<{at}}{label}"
                break
        else:
            rows.append(f"{'':<{at}}{label}")
    return rows[::-1]
