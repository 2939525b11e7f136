"""What every runner does, and what happens while trials run."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..trial import Run, Trial

PROCESSES = 2


@dataclass(frozen=True)
class RuleReady:
    """The kernels of a rule are compiled in a worker; its runs begin."""

    rule: str
    compile_s: float


@dataclass(frozen=True)
class RunDone:
    run: Run


@dataclass(frozen=True)
class RuleFailed:
    """A rule is out: what it stopped with. The others go on."""

    rule: str
    reason: str


Event = RuleReady | RunDone | RuleFailed


class Runner(Protocol):
    """Trains trials of one task; a context manager that ends whatever it has started."""

    def __enter__(self) -> "Runner": ...
    def __exit__(self, *error: object) -> None: ...

    def end(self) -> None:
        """End what runs, from any thread; what `run` tells after that of rules that failed means nothing."""
        ...

    def run(self, trials: Sequence[Trial]) -> Generator[Event, None, None]:
        """The events of these trials as they happen, until all are done or their rule has failed.

        A rule that stops with an exception, and one whose worker is killed, is a `RuleFailed`.
        """
        ...
