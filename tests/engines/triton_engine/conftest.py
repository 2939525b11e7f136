"""The Triton engine on the CPU: its kernels run in Triton's interpreter.

This folder is not called ``triton``: pytest puts the one above it on the path, and where Triton is not installed
torch would take the folder for it.
"""

import pytest


@pytest.fixture(autouse=True)
def _interpreted(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
