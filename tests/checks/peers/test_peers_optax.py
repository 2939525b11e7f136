"""Every rule that optax has: its numbers over 100 steps, or a difference that has a name and goes away with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from peers import OTHER, SAME, STEPS, Tensors, apart, differs, need, ours, pairs, settings_of, trace_of
from peers_dialects import as_it_is, as_the_peer_has_it

from descend.explain.compare import entry

pytestmark = pytest.mark.slow  # XLA compiles for a third of a second per rule
NAMES = [name for kind in ("rule", "before", "after") for name in pairs("optax", kind)]


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Tensors]]:
    """What optax computes for every rule it has: one process for all of them and for all workers of pytest."""
    need("optax")
    base = tmp_path_factory.getbasetemp()
    file = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "optax.npz"
    jobs = [(name, entry(name)["optax"]["call"], settings_of(name, "optax")) for name in NAMES]
    with FileLock(file.with_suffix(".lock")):
        if not file.exists():
            done = subprocess.run(
                [sys.executable, "-W", "error", str(Path(__file__).with_name("peers_optax.py")), str(file)],
                input=json.dumps(jobs),
                capture_output=True,
                text=True,
                env={**os.environ, "JAX_PLATFORMS": "cpu"},
            )
            assert done.returncode == 0, done.stderr[-2000:]
    with np.load(file) as arrays:
        tensors = {name: range(len(trace_of(name)[0])) for name in NAMES}
        whole = {name: [arrays[f"{job}/{i}"] for i in tensors[name]] for job, name in enumerate(NAMES)}
    return {name: [[path[t] for path in paths] for t in range(STEPS)] for name, paths in whole.items()}


@pytest.mark.parametrize("name", [name for name in NAMES if not differs(name, "optax")])
def test_optax_computes_the_same(name: str, paths: dict[str, list[Tensors]]):
    trace = trace_of(name)
    mine = ours(as_it_is(name, "optax"), trace, settings_of(name, "optax"), "e" if name == "ema" else "p")
    assert apart(mine, paths[name], trace[0]) <= SAME


@pytest.mark.parametrize("name", [name for name in NAMES if differs(name, "optax")])
def test_a_difference_of_optax_has_a_name_and_goes_away_with_it(name: str, paths: dict[str, list[Tensors]]):
    trace, settings = trace_of(name), settings_of(name, "optax")
    assert apart(ours(as_it_is(name, "optax"), trace, settings), paths[name], trace[0]) > OTHER
    assert apart(ours(as_the_peer_has_it(name, "optax"), trace, settings), paths[name], trace[0]) <= SAME
