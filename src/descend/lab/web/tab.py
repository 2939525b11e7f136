"""What a tab is, and what all of them share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..surface.catalogue import SURFACES
from ..surface.surface import Surface
from ..tasks.source import Source
from .fields import Fields
from .jobs import Jobs


@dataclass
class Lab:
    """What the page can reach: what the command line named and the store, and nothing else of the disk.

    Attributes:
        tasks: label -> a task of the user's, that races can be run on. surfaces: name -> surface, the user's included.
    """

    tasks: dict[str, Source] = field(default_factory=dict)
    surfaces: dict[str, Surface] = field(default_factory=lambda: dict(SURFACES))
    jobs: Jobs = field(default_factory=Jobs)
    closing: bool = False


@dataclass(frozen=True)
class Endpoint:
    """One question. `examples`: bodies that are admitted, for tests and the fuzzer."""

    path: str
    answer: Callable[[Lab, Fields], Any]
    examples: tuple[dict[str, Any], ...] = ({},)


@dataclass(frozen=True)
class Tab:
    """One subject of the page.

    Attributes:
        about: a sentence that stands under the title.
        stills: HTML that shows something of it without a script.
        baked: question -> answer, for a file without a server; without, `needs` says in half a sentence why not.
    """

    name: str
    title: str
    about: str
    endpoints: tuple[Endpoint, ...] = ()
    stills: Callable[[Lab], str] | None = None
    baked: Callable[[Lab], dict[str, Any]] | None = None
    needs: str = ""
