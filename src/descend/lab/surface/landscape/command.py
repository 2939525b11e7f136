"""`descend surface` on a task or a training script: train, look, draw; what is done when time is up is kept."""

import ast
import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ....core.rule import Rule
from ....draw.progress import progress
from ...tasks.catalogue import MODULES
from ...tasks.source import Source, source_at, tried
from ...tasks.task import TaskError
from .along import Sharpness
from .losses import Until
from .shadow import Landscape

RULES = "adamw,momentum_accumulation,muon"
PATHS_SHARE = 0.5  # of --seconds, at most, for the trainings


def source_of(what: str) -> Source | None:
    """The task of that name, or the training script at that path; None for anything else."""
    if what in MODULES:
        return Source(what)
    path = Path(what)
    return source_at(path) if path.suffix == ".py" and path.is_file() and _trains(path) else None


def _trains(path: Path) -> bool:
    """Whether a file says how to train, and not f(x, y); it is only read."""
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (SyntaxError, UnicodeDecodeError):
        return False
    names = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return "f" not in names and bool(names & {"model", "batches", "loss"})


def show(
    source: Source,
    rules: Sequence[Rule],
    rates: Mapping[str, float | None] | None,
    *,
    view: str,
    steps: int | None,
    seed: int,
    full_batch: bool,
    grid: int,
    span: float,
    seconds: float | None,
    silent: bool,
) -> tuple[Landscape | Sharpness, bool]:
    """What there is to see (`view`: "paths", "around" or "sharpness"), and whether Ctrl-C cut it short.

    Raises:
        TaskError: the task or script cannot be trained, or time was up before there was anything to see.
    """
    from . import on_task
    from .losses import Until

    card = source.card()
    problem = source.problem()
    tried(problem, 1)
    begun = Until(None if seconds is None else PATHS_SHARE * seconds)
    with _interruptible(begun), progress(f"training {len(rules)} rules on {card.name}", silent, "%") as begun.told:
        trained = on_task.train(problem, card, rules, rates, steps, seed, full_batch, begun)
    until = Until(None if seconds is None else max(0.0, seconds - begun.gone))
    until.interrupted = begun.interrupted
    title = "looking for the sharpest directions" if view == "sharpness" else "the loss on a plane"
    look = {"paths": on_task.through, "around": on_task.around, "sharpness": on_task.sharp}[view]
    how: dict[str, Any] = {"paths": {"n": grid}, "around": {"n": grid, "span": span}, "sharpness": {}}[view]
    with _interruptible(until), progress(title, silent, "place") as until.told:
        try:
            found = look(trained, **how, until=until)
        except ValueError as error:
            raise TaskError(
                f"{card.name}: time was up too early: {error}" if trained.left_out else str(error)
            ) from None
    return found, until.interrupted


@contextlib.contextmanager
def _interruptible(until: Until) -> Iterator[None]:
    """Ctrl-C says to stop, and keeps what is done; a second one ends at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def stop(*_: object) -> None:
        until.interrupt()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
