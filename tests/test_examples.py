"""Every example runs, learns, and where torch's optimizer can stand in its place, does what that does."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
# file: the packages it needs besides the project's own, the arguments of a small run, whether torch's AdamW fits in
RUNS = {
    "plain_loop": ((), 1, False),
    "mixed_precision": ((), 2, False),
    "with_accelerate": (("accelerate",), 1, True),
    "with_lightning": (("lightning",), 2, True),
    "with_transformers": (("transformers", "accelerate"), 60, True),
}
PROGRAM = """
import json, sys, torch
torch.set_num_threads(1)
import {name} as example
results = [example.main({size})]
if {both}:
    example.AdamW = torch.optim.AdamW
    results.append(example.main({size}))
print(json.dumps(results))
"""


def run(name: str, size: int, both: bool, folder: Path) -> list[list[float]]:
    """First and last loss of an example, in a process of its own; then, if ``both``, with torch's AdamW."""
    environment = {
        **os.environ, "PYTHONPATH": str(EXAMPLES), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name, size=size, both=both)],
        capture_output=True, text=True, timeout=600, cwd=folder, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_example_is_run():
    unlike = {"digits", "evolve_on_ray"}  # what the others share; what wants Ray, which no test installs
    assert {path.stem for path in EXAMPLES.glob("*.py")} - unlike == set(RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_an_example_learns_as_with_torch(name, tmp_path):
    packages, size, both = RUNS[name]
    for package in packages:
        if importlib.util.find_spec(package) is None:
            assert os.environ.get("CI") != "true", f"CI must have {package} to run examples/{name}.py"
            pytest.skip(f"{package} is not installed")
    ours, *theirs = run(name, size, both, tmp_path)
    assert ours[1] < 0.6 * ours[0]
    for other in theirs:
        assert ours == pytest.approx(other, rel=1e-3)
    assert list(tmp_path.iterdir()) == []


CLIENTS = ("trainer", "lightning", "accelerate", "ignite", "skorch", "peft")  # of the extra; docs/clients.md has more


@pytest.mark.slow
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_resumes_to_the_same_bits(client, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(EXAMPLES / "clients" / "run.py"), client],
        capture_output=True, text=True, timeout=600, cwd=tmp_path, check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if line.startswith(f"{client} {{")]
    kinds = ("number", "schedule", "averaging", "muon")
    assert said == [f"{client} {dict.fromkeys(kinds, 'ok')}"], done.stderr[-3000:]
    assert done.returncode == 0


def test_the_table_of_clients_has_a_row_for_each():
    page = (EXAMPLES.parent / "docs" / "clients.md").read_text(encoding="utf-8")
    loops = ast.parse((EXAMPLES / "clients" / "loops.py").read_text(encoding="utf-8"))
    there = {
        f.name
        for f in loops.body
        if isinstance(f, ast.FunctionDef) and f.args.args[:1] and f.args.args[0].arg == "make"
    }
    assert there == set(re.findall(r"`run.py (\w+)` \|$", page, re.MULTILINE)) >= set(CLIENTS)
