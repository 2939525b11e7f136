"""First steps in new processes: alone, with a warm cache, and thirty-two at once."""

import json
import os
import subprocess
import sys

import pytest

FIRST = """
import hashlib, json, sys
import numpy as np
from descend import rules
from descend.engines.llvm import cache
from descend.optimizer import Optimizer
cache.WAIT = 600  # a busy machine is no reason to go ahead
name = sys.argv[1]
rule = rules.all()[name]
p, g = np.linspace(-1, 1, 5000, dtype=np.float32), np.linspace(2, -1, 5000, dtype=np.float32)
optimizer = Optimizer(rule, [p], engine="llvm")
optimizer.step([g])
from descend.engines.llvm import kernels
made = list(kernels._known.values())
print(json.dumps({
    "origins": sorted({k.origin for k in made}), "bits": hashlib.sha256(p.tobytes()).hexdigest(),
}))
"""


def start(name, place):
    return subprocess.Popen(
        [sys.executable, "-c", FIRST, name],
        env={**os.environ, "DESCEND_CACHE": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process):
    out, err = process.communicate(timeout=600)
    assert (process.returncode, err) == (0, "")
    return json.loads(out)


def first_step(name, place):
    return result(start(name, place))


def test_the_second_process_compiles_nothing_and_has_the_same_bits(tmp_path):
    cold, off = first_step("lamb", tmp_path / "kernels"), first_step("lamb", "off")
    warm = first_step("lamb", tmp_path / "kernels")
    assert (cold["origins"], off["origins"], warm["origins"]) == (["compiled"], ["compiled"], ["disk"])
    assert cold["bits"] == off["bits"] == warm["bits"]


@pytest.mark.slow
def test_thirty_two_processes_at_once(tmp_path):
    place = tmp_path / "kernels"
    right = {name: first_step(name, "off")["bits"] for name in ("lamb", "adamw")}
    begun = [(name, start(name, place)) for name in ["lamb", "adamw"] * 16]
    found = [(name, result(process)) for name, process in begun]
    assert {(name, one["bits"]) for name, one in found} == set(right.items())
    assert sum(one["origins"] == ["compiled"] for _, one in found) <= 4  # they wait for each other
    assert sorted(file.suffix for file in place.iterdir()) == [".kernel"] * 3


@pytest.mark.slow
def test_thirty_two_processes_while_files_are_broken(tmp_path):
    place = tmp_path / "kernels"
    right = first_step("lamb", place)["bits"]
    files = list(place.iterdir())
    begun = []
    for n in range(32):
        begun.append(start("lamb", place))
        for file in files:
            file.write_bytes(file.read_bytes()[: 40 * n])
    assert {result(process)["bits"] for process in begun} == {right}
    assert first_step("lamb", place)["bits"] == right
