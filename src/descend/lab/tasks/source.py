"""Where a task comes from: the catalogue, or what somebody brings; small enough to be sent to a worker."""

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .catalogue import MODULES
from .task import Task

if TYPE_CHECKING:
    from .problem import Problem


class TaskError(ValueError):
    """Data or a script that cannot be raced; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Source:
    """A task by name. `options` are (name, value) pairs for what is not in the catalogue."""

    name: str
    kind: str = "task"
    options: tuple[tuple[str, str], ...] = ()

    @property
    def _module(self):
        return importlib.import_module(f"{__package__}.{MODULES[self.name]}")

    def card(self) -> Task:
        """The task's card."""
        return self._module.TASK

    def problem(self) -> "Problem":
        """The task, its data loaded.

        Raises:
            TaskError: what it needs is not installed; the message says what to install.
        """
        if said := lacking(self.card()):
            raise TaskError(said)
        return self._module.problem()


def lacking(card: Task) -> str:
    """What to install for a task, as a sentence; empty if all is there."""
    missing = [package for module, package in card.needs if importlib.util.find_spec(module) is None]
    return f"the task {card.name} needs {' and '.join(missing)}: pip install {' '.join(missing)}" if missing else ""
