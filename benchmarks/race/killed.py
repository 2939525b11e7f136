"""A race that is killed again and again and resumed: does it end with the numbers of one that was left alone?"""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from descend.lab.store import FILE, Store

SMALL = ("--rules", "adam,lion", "--steps", "12", "--seeds", "8", "-q")
RUNS = 90  # that such a race has at least


def go(data: Path, out: Path, *words: str) -> subprocess.Popen[bytes]:
    """A race in a process, with its workers in a group of their own."""
    program = [sys.executable, "-m", "descend", "race", *words, "-o", str(out)]
    return subprocess.Popen(program, env={**os.environ, "DESCEND_DATA": str(data)}, start_new_session=True)


def stored(data: Path) -> int:
    """Runs in a store, while others write in it."""
    if not (data / FILE).exists():
        return 0
    store = Store(data / FILE)
    counts = [kept.runs for kept in store.races()]
    store.close()
    return sum(counts)


def numbers(out: Path) -> str:
    """All that a race has found but for times, dates and its name."""
    fields = json.loads((out / "race-digits.json").read_text(encoding="utf-8"))
    for one in fields["runs"]:
        del one["step_ms"], one["train_step_ms"]
    for row in fields["summary"]["tuned"]:
        del row["step_ms"], row["train_step_ms"], row["seconds_to_target"]
    for name in ("seconds", "date", "compile_s", "id", "environment"):
        del fields[name]
    del fields["summary"]["race"]
    return json.dumps(fields)


def killed(kills: int, folder: Path, seed: int = 3) -> Iterator[int]:
    """Kill and resume, each time at another number of finished runs, which is given as it happens.

    Raises:
        RuntimeError: a race ended before it could be killed, or failed.
    """
    data, out = folder / "data", folder / "killed"
    process = go(data, out, *SMALL)
    for at in sorted(random.Random(seed).sample(range(RUNS), kills)):
        while process.poll() is None and stored(data) < at:
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        if process.poll() is not None:
            raise RuntimeError(f"the race was over before it had {at} runs")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        yield at
        process = go(data, out, *(("--resume", "-q") if stored(data) else SMALL))
    if process.wait():
        raise RuntimeError(f"the resumed race ended with exit code {process.returncode}")


def whole(folder: Path) -> None:
    """The same race, left alone."""
    if go(folder / "other", folder / "whole", *SMALL).wait():
        raise RuntimeError("the race failed")
