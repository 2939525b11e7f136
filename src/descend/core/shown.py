"""How a result shows itself: ``print`` has its text, a notebook the same text, under its picture where there is one."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable
from html import escape
from typing import Any

WIDTH = 100
_TEXT = "line-height:1.25;white-space:pre;overflow-x:auto;margin:0"

PICTURES: dict[type, Callable[[Any], str]] = {}
"""Type -> what draws it, where that stands above the type: the front door knows both."""


class Shown:
    """What has a ``str()`` to read. Notebooks ask for ``_repr_html_``; nothing of theirs is needed for it."""

    __slots__ = ()

    def _picture(self) -> str:
        """Markup to stand above the text; "" for none."""
        return PICTURES[type(self)](self) if type(self) in PICTURES else ""

    def _text(self) -> str:
        """What is shown line by line: ``str()``, its long sentences folded."""
        return "\n".join(line if len(line) <= WIDTH else textwrap.fill(line, WIDTH) for line in str(self).split("\n"))

    def _repr_html_(self) -> str:
        return f'<div>{self._picture()}<pre style="{_TEXT}">{escape(self._text())}</pre></div>'


def curve(xs: Iterable[float], ys: Iterable[float], label: str, log: bool = False) -> str:
    """A small picture of a line, as SVG in the colour of the text around it; "" where there is nothing to draw.

    Args:
        label: for those who do not see it. log: whether the values are drawn by their logarithms.
    """
    points = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
    shown = [(x, math.log10(y) if log else y) for x, y in points if math.isfinite(y) and (y > 0 or not log)]
    if len(shown) < 2:
        return ""
    (left, right), (low, high) = ((min(side), max(side)) for side in zip(*shown, strict=True))
    wide, tall = right - left or 1.0, high - low or 1.0
    line = " ".join(f"{70 + 320 * ((x - left) / wide):.1f},{110 - 96 * ((y - low) / tall):.1f}" for x, y in shown)
    values = [y for _, y in points if math.isfinite(y) and (y > 0 or not log)]
    texts = [(64, 18, "end", max(values)), (64, 114, "end", min(values)), (70, 130, "start", left)]
    texts.append((390, 130, "end", right))
    marks = "".join(f'<text x="{x}" y="{y}" text-anchor="{side}">{value:.4g}</text>' for x, y, side, value in texts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 136" width="400" height="136" role="img" '
        f'aria-label="{escape(label)}"><path d="M70 10V112H392" fill="none" stroke="currentColor" opacity=".35"/>'
        f'<polyline points="{line}" fill="none" stroke="#2a78d6" stroke-width="2"/>'
        f'<g fill="currentColor" font-family="sans-serif" font-size="11">{marks}</g></svg>'
    )
