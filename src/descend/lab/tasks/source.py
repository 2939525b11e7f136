"""Where a task comes from: the catalogue, or what somebody brings; small enough to be sent to a worker."""

import importlib
import importlib.util
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from .catalogue import MODULES
from .task import Task, TaskError

if TYPE_CHECKING:
    from .problem import Problem

YOURS = {"script": "yours.script", "table": "yours.table", "pictures": "yours.pictures", "text": "yours.text"}
TRIED = 3  # steps by which a run's time is estimated


class Brings(Protocol):
    """What a task needs to have: its card, and the problem itself."""

    def card(self) -> Task: ...
    def problem(self) -> "Problem": ...


@dataclass(frozen=True)
class Source:
    """A task by name; of what somebody brings, `kind` says how to read it and `options` are (name, value) pairs."""

    name: str
    kind: str = "task"
    options: tuple[tuple[str, str], ...] = ()

    def _module(self) -> Any:
        return importlib.import_module(f"{__package__}.{YOURS.get(self.kind) or MODULES[self.name]}")

    def card(self) -> Task:
        """The task's card, with the hash of its data.

        Raises:
            TaskError: what somebody brings cannot be raced; the message says why.
        """
        if self.kind != "task":
            return self._module().card(dict(self.options))
        module = self._module()
        return getattr(module, "card", lambda: module.TASK)()

    def problem(self) -> "Problem":
        """The task, its data loaded.

        Raises:
            TaskError: what it needs is not installed, or its data cannot be raced.
        """
        if self.kind != "task":
            return self._module().problem(dict(self.options))
        if said := lacking(self.card()):
            raise TaskError(said)
        return self._module().problem()


def source_at(path: Path, target: str = "") -> Source:
    """What stands at a path, as a task: a script, a table, a folder of images, or else a text."""
    kind = {".py": "script", ".csv": "table", ".tsv": "table"}.get(path.suffix.lower(), "text")
    options = {"path": str(path.resolve()), **({"target": target} if target else {})}
    return Source(path.stem, "pictures" if path.is_dir() else kind, tuple(options.items()))


def lacking(card: Task) -> str:
    """What to install for a task, as a sentence; empty if all is there."""
    missing = [package for module, package in card.needs if not _there(module)]
    if not missing:
        return ""
    how = "" if "(" in missing[-1] else f": pip install {' '.join(missing)}"
    return f"the task {card.name} needs {' and '.join(missing)}{how}"


def _there(what: str) -> bool:
    """Whether a module, or a file with an absolute path, is installed."""
    return Path(what).exists() if what.startswith("/") else importlib.util.find_spec(what) is not None


def tried(problem: "Problem", steps: int) -> float:
    """A few steps' worth of a task, to find what cannot be raced before anything trains; the seconds a run may take.

    Raises:
        TaskError: the loss is no finite number at the start, or does not depend on the parameters.
    """
    import numpy as np

    try:
        problem.init(1)  # a model that is another each time it is built is noticed by the second
        params = problem.init(0)
        kinds = {str(p.dtype) for p in params}
        if len(kinds) != 1 or not kinds <= {"float32", "float64"}:
            listed = ", ".join(sorted(kinds)) or "none"
            raise TaskError(f"the parameters must be all float32 or all float64; they are {listed}")
        found, clock = [], [perf_counter()]
        for batch in problem.batches(0, TRIED):
            found.append(problem.loss_and_grads(params, batch))
            clock.append(perf_counter())
        loss, _ = problem.validate(params)
    except TaskError:
        raise
    except Exception as error:
        raise TaskError(f"the first step stopped with {type(error).__name__}: {error}") from error
    for name, value in (("the loss of the first batch", found[0][0]), ("the validation loss", loss)):
        if not math.isfinite(value):
            raise TaskError(f"{name} is {value} before any step: look at the data and at the initial weights")
    if not any(np.any(g) for _, grads in found for g in grads):
        raise TaskError("every gradient is zero at the start: the loss does not depend on the parameters")
    return min(b - a for a, b in pairwise(clock)) * steps  # the first step of all loads and warms up
