"""No test reads a clock: what takes time is measured by ``descend bench``, not judged on a machine that is busy."""

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted(HERE.rglob("*.py"))
CLOCKS = {
    "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns", "process_time", "process_time_ns", "thread_time",
    "thread_time_ns", "time", "time_ns", "sleep", "timeit", "getloadavg",
}  # fmt: skip
ALLOWED = {
    "engines/cache/test_cache.py": "ages of files",
    "engines/cache/test_cache_kernels.py": "kills a child that hangs",
}


def clocks(source: str) -> set[str]:
    """Names of clocks that a file reads: ``time.perf_counter()``, ``from time import sleep``, ``timeit``."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="time" | "timeit" | "os"), attr=name)) if name in CLOCKS:
                found.add(name)
            case ast.ImportFrom(module="time" | "timeit", names=names):
                found |= {alias.name for alias in names}
            case ast.Import(names=names):
                found |= {alias.name for alias in names if alias.name == "timeit"}
            case ast.Attribute(value=ast.Attribute(attr="mark"), attr="timing"):
                found.add("timing")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HERE)))
def test_no_clock_is_read(file):
    found = clocks(file.read_text(encoding="utf-8"))
    assert not found or file.relative_to(HERE).as_posix() in ALLOWED, (
        f"reads {found}: make it a bar of `descend bench`, or give it a clock"
    )


def test_those_that_may_do():
    assert all(clocks((HERE / name).read_text(encoding="utf-8")) for name in ALLOWED)


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.perf_counter()",
        "from time import sleep",
        "import timeit",
        "@pytest.mark.timing\ndef f(): ...",
    ],
)
def test_a_clock_is_found(source):
    assert clocks(source)
