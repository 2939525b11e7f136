"""``benchmarks/gpu.py`` as far as it goes without a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton.language", reason="Triton is not installed: pip install triton==3.7.1 (Linux only)")

import torch

from descend import rules

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def run(*arguments):
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, so it would measure")
def test_without_a_gpu_it_says_so():
    done = run()
    assert done.returncode == 2
    assert "nothing was measured" in done.stderr
    assert done.stdout == ""


def test_registers_are_a_table_without_a_gpu():
    done = run("--aot", "--rules", "lion,lamb")
    assert done.returncode == 0, done.stderr
    _, _, lion, lamb = done.stdout.splitlines()
    assert lion.startswith("| lion | ")
    assert lamb.split("|")[2].count(",") == 1
    assert lamb.endswith(" 0 |")


@pytest.mark.parametrize(("argument", "says"), [("--rules=muon", "no muon"), ("--workloads=7B", "no workload 7B")])
def test_what_it_does_not_know_is_named(argument, says):
    done = run(argument)
    assert done.returncode == 2
    assert says in done.stderr


def test_its_checks_pass_and_notice_a_wrong_rule(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import gpu_checks

    def failures():
        found = gpu_checks.check("cpu", {"nadam": rules.nadam}, shapes=((4, 3), (), (0,)))
        return [what for _, what, right in found if not right]

    assert failures() == []
    moving = gpu_checks.prepared
    monkeypatch.setattr(gpu_checks, "prepared", lambda rule, *a: moving(rule.bind(lr=1.0), *a))
    assert len(failures()) == 6
