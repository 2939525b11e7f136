"""A result that is also a picture: on axes, in a file, in a notebook; described once, by its chart."""

import json
from pathlib import Path
from typing import Any, ClassVar

from ..core.shown import Shown
from . import axes
from .chart import Chart
from .svg import svg


class Pictured(Shown):
    """What has a ``chart()``, and a ``draw()`` for where no picture can be shown.

    Attributes:
        endings: of the files that ``save`` writes; ``.html`` needs ``to_html()`` and ``.json`` ``to_json()``.
        size: of the picture in a notebook, in pixels.
    """

    endings: ClassVar[tuple[str, ...]] = axes.ENDINGS
    size: ClassVar[tuple[int, int]] = (720, 480)

    def chart(self) -> Chart:
        """The picture as data."""
        raise NotImplementedError

    def as_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and None only, of what can be had as JSON."""
        raise NotImplementedError

    def to_json(self) -> str:
        """``as_dict()`` as text."""
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False)

    def draw(self) -> str:
        """What the terminal shows instead."""
        return str(self)

    def plot(self, ax: Any = None) -> Any:
        """The picture on ``ax`` (or new axes), which are returned; printed, and None, where matplotlib is missing."""
        return axes.plot(self.chart(), self.draw, ax)

    def save(self, file: str | Path) -> Path:
        """Write one of ``endings``; returns the path.

        Raises:
            ValueError: another ending. ModuleNotFoundError: what it needs is not installed.
        """
        file = Path(file)
        ending = file.suffix.lower()
        if ending not in self.endings:
            raise ValueError(f"{file.name}: {axes.refusal(file, self.endings)}")
        if ending in axes.MOVING:
            from . import animation

            animation.save(file, self.chart())
        elif ending in (".html", ".json"):
            made: Any = getattr(self, f"to_{ending[1:]}")
            file.write_text(made().rstrip("\n") + "\n", encoding="utf-8")
        else:
            axes.save(file, [self.chart()])
        return file

    def _picture(self) -> str:
        return svg(self.chart(), *self.size)
