"""How a result shows itself: ``print`` has its text, a notebook the same text, under its picture where there is one."""

import textwrap
from collections.abc import Callable
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
