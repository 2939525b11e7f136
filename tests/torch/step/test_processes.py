"""Forked children, and an installation without LLVM: each in a process of its own."""

import os
import subprocess
import sys

import pytest
from twins import ENGINES

# numpy makes and compares the arrays: torch's own parallel operators hang in a forked child.
FORK = """
import os, sys, numpy, torch
torch.set_num_threads(2)
from descend.torch import AdamW
def run():
    x = numpy.random.default_rng(0).standard_normal(300_000)
    p = torch.nn.Parameter(torch.from_numpy(x)); o = AdamW([p], lr=0.1, engine=sys.argv[1])
    for _ in range(3):
        p.grad = torch.from_numpy(x.copy()); o.step()
    return x
want = run()
pid = os.fork()
if pid == 0:
    if sys.argv[1] == "torch":
        torch.set_num_threads(1)
    os._exit(0 if numpy.array_equal(run(), want) else 7)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
assert numpy.array_equal(run(), want)
sys.exit(code)
"""
WITHOUT_LLVM = """
import sys, logging
sys.modules["llvmlite"] = None  # what compiles the kernels
logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stdout)
import torch
from descend.torch import AdamW
p = torch.nn.Parameter(torch.ones(3)); p.grad = torch.ones(3)
for _ in range(2):
    o = AdamW([p], lr=0.5, weight_decay=0); o.step()
assert o.engine in ("torch", "numpy"), o.engine
assert abs(p[0].item()) < 1e-6
try:
    AdamW([p], engine="llvm").step()
except Exception as error:
    assert "llvm" in str(error), error
else:
    raise SystemExit("engine='llvm' ran without LLVM")
"""


def run_script(script, *args, timeout=600):
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *args],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_forked_child_steps_to_the_same_bits(engine):
    done = run_script(FORK, engine)
    assert done.returncode == 0, done.stderr


def test_without_llvm_it_falls_back_and_says_so_in_one_line():
    done = run_script(WITHOUT_LLVM)
    assert done.returncode == 0, done.stderr + done.stdout
    lines = [line for line in done.stdout.splitlines() if line.startswith("descend")]
    assert len(lines) == 1, lines
    assert "llvm" in lines[0]
