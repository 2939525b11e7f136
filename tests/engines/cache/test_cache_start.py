"""First steps in new processes: alone, with a warm cache, and thirty-two at once."""

import json
import os
import subprocess
import sys

import pytest

# Interpreters that start one after the other would hardly meet: one loads everything, and its children step at once.
FIRST = """
import hashlib, json, os, sys
from pathlib import Path
import numpy as np
from descend import rules
from descend.engines.llvm import cache, kernels
from descend.optimizer import Optimizer
cache.WAIT = 600  # a busy machine is no reason to go ahead
breaks, *names = sys.argv[1:]
files = list(Path(os.environ["DESCEND_CACHE"]).iterdir()) if breaks == "break" else []

def first_step(name):
    p, g = np.linspace(-1, 1, 5000, dtype=np.float32), np.linspace(2, -1, 5000, dtype=np.float32)
    optimizer = Optimizer(rules.all()[name], [p], engine="llvm")
    optimizer.step([g])
    made = kernels._known.values()
    return {"origins": sorted({k.origin for k in made}), "bits": hashlib.sha256(p.tobytes()).hexdigest()}

def child(name):
    said, says = os.pipe()
    if not os.fork():
        os.write(says, json.dumps(first_step(name)).encode())
        os._exit(0)
    os.close(says)
    return said

if len(names) == 1:
    print(json.dumps([first_step(names[0])]))
else:
    begun = []
    for n, name in enumerate(names):
        begun.append(child(name))
        for file in files:
            file.write_bytes(file.read_bytes()[: 40 * n])
    print(json.dumps([json.loads(os.read(said, 4096)) for said in begun]))
    assert {os.wait()[1] for _ in names} == {0}
"""


def first_steps(names, place, breaks=""):
    """What the first step of each rule says, each in a process of its own, all at once."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST, breaks, *names],
        env={**os.environ, "DESCEND_CACHE": str(place)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def first_step(name, place):
    return first_steps([name], place)[0]


def test_the_second_process_compiles_nothing_and_has_the_same_bits(tmp_path):
    cold, off = first_step("lamb", tmp_path / "kernels"), first_step("lamb", "off")
    warm = first_step("lamb", tmp_path / "kernels")
    assert (cold["origins"], off["origins"], warm["origins"]) == (["compiled"], ["compiled"], ["disk"])
    assert cold["bits"] == off["bits"] == warm["bits"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_thirty_two_processes_at_once(tmp_path):
    place = tmp_path / "kernels"
    names = ["lamb", "adamw"] * 16
    right = {name: first_step(name, "off")["bits"] for name in ("lamb", "adamw")}
    found = first_steps(names, place)
    assert {(name, one["bits"]) for name, one in zip(names, found, strict=True)} == set(right.items())
    assert sum(one["origins"] == ["compiled"] for one in found) <= 4  # they wait for each other
    assert sorted(file.suffix for file in place.iterdir()) == [".kernel"] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_thirty_two_processes_while_files_are_broken(tmp_path):
    place = tmp_path / "kernels"
    right = first_step("lamb", place)["bits"]
    assert {one["bits"] for one in first_steps(["lamb"] * 32, place, "break")} == {right}
    assert first_step("lamb", place)["bits"] == right
