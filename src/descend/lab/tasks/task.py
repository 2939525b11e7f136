"""The card of a task: what `descend tasks` shows and every record keeps."""

from dataclasses import dataclass


class TaskError(ValueError):
    """Data or a script that cannot be raced; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class Task:
    """The card of a task. What is written here is kept in every record.

    `steps` is the common budget at which the field's rules all converge, `batch` the examples of a step, `delta` the
    relative difference of final losses that does not matter (half the width of "equal"), `seeds` the most fresh seeds
    that a race spends by itself, `seconds` the processor time of a run on one thread of `docs/race.md`'s machine
    (`python -m benchmarks.race seconds`).
    """

    name: str
    title: str
    data: str
    licence: str
    sha256: str  # of the files the data come in; "" where the program makes them
    split: str
    model: str
    loss: str
    shows: str
    steps: int
    batch: int
    seconds: float
    delta: float = 0.02
    log: bool = False  # losses spread over decades: geometric means and differences of logarithms
    seeds: int = 80
    needs: tuple[tuple[str, str], ...] = ()  # (module, what to install)
    known: tuple[tuple[str, float, str], ...] = ()  # (rule, rate, what theory says of it): drawn in the report
