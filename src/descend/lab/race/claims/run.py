"""Run the claims, some at once, each as soon as a process is free."""

import multiprocessing
import signal
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ...trials.runners.inline import one_thread
from .setup import SEEDS_APART, Finding


def names() -> list[str]:
    from .claims import CLAIMS

    return [claim.name for claim in CLAIMS]


def found(asked: tuple[str, int]) -> tuple[str, str, Finding]:
    """One claim put to the test, in this process: its name, what it says, what came of it."""
    from .claims import CLAIMS

    name, seed = asked
    claim = next(claim for claim in CLAIMS if claim.name == name)
    return name, claim.says, claim.test(seed * SEEDS_APART)


def run(seed: int, processes: int) -> Iterator[tuple[str, str, Finding]]:
    """All claims in their order."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _begin) as pool:
        yield from pool.imap(found, [(name, seed) for name in names()])


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    one_thread()


def plain(name: str, says: str, finding: Finding) -> dict[str, Any]:
    """For JSON."""
    return {"claim": name, "says": says, **asdict(finding)}
