"""What several test files share."""

import atexit
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# The same examples on every run and no clock: a red run can be repeated, and a busy machine is no failure.
settings.register_profile("descend", derandomize=True, deadline=None, database=None)
settings.load_profile("descend")


# Several workers share the cores already: threads of torch's that spin for more work would take them from the others.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that; many tests are about Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests compile hundreds of kernels, and the next run finds them: their names hash all that decides what comes out.
# Tests of compiling have directories of their own; subprocesses inherit this one.
os.environ.setdefault("DESCEND_CACHE", str(Path(__file__).parents[1] / ".pytest_cache" / "kernels"))

# Races keep their runs; those of tests go when they end.
if "DESCEND_DATA" not in os.environ:
    os.environ["DESCEND_DATA"] = tempfile.mkdtemp(prefix="descend-tests-")
    atexit.register(shutil.rmtree, os.environ["DESCEND_DATA"], ignore_errors=True)


def pytest_collection_modifyitems(items):
    """The longest first: the other processes do the rest beside it."""
    items.sort(key=lambda item: item.path.name != "test_types.py")


def pytest_collection_finish():
    """A million objects, of libraries and the tests themselves, stay: the garbage collector need not look at them."""
    gc.freeze()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of an installed Chromium. CI must have one; a developer's machine may do without."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CI") == "true":
        pytest.fail("no Chromium on this machine, and CI must open the HTML report in one")
    pytest.skip("no Chromium on this machine")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    """For one file: while Playwright's loop runs, other tests can start neither a second nor one of asyncio's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory for kernels that does not exist yet, named by DESCEND_CACHE."""
    from descend.engines.llvm import cache

    monkeypatch.setenv("DESCEND_CACHE", str(tmp_path / "kernels"))
    monkeypatch.setattr(cache, "_said", set())
    monkeypatch.setattr(cache, "_stored", 1)  # no store of these tests prunes unless it asks to
    return tmp_path / "kernels"
