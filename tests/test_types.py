"""The types of the package. A test like others, so that one process looks at them while the other goes on."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


THERE = importlib.util.find_spec("pyright") and (ROOT / ".venv").exists()


@pytest.mark.slow
@pytest.mark.skipif(not THERE and os.environ.get("CI") != "true", reason="needs pyright, and .venv")
def test_pyright_finds_nothing():
    done = subprocess.run([sys.executable, "-m", "pyright"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
