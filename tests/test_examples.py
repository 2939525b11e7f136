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
# All in one process, because importing what they need takes longer than they do.
PROGRAM = """
import importlib, json, sys, torch
torch.set_num_threads(1)
results = {}
for name, size, both in json.loads(sys.argv[1]):
    print(name, file=sys.stderr)
    example = importlib.import_module(name)
    results[name] = [example.main(size)]
    if both:
        example.AdamW = torch.optim.AdamW
        results[name].append(example.main(size))
print(json.dumps(results))
"""


def run(examples: list[tuple[str, int, bool]], folder: Path) -> dict[str, list[list[float]]]:
    """First and last loss of each example, and after them, if ``both``, those with torch's AdamW."""
    environment = {
        **os.environ, "PYTHONPATH": str(EXAMPLES), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "NO_COLOR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(examples)],
        capture_output=True, text=True, timeout=600, cwd=folder, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_example_is_run():
    unlike = {"digits", "evolve_on_ray"}  # what the others share; what wants Ray, which no test installs
    assert {path.stem for path in EXAMPLES.glob("*.py")} - unlike == set(RUNS)


@pytest.mark.slow
def test_the_examples_learn_as_with_torch(tmp_path):
    needed = {package for packages, *_ in RUNS.values() for package in packages}
    missing = {package for package in needed if importlib.util.find_spec(package) is None}
    assert not missing or os.environ.get("CI") != "true", f"CI must have {missing}"
    examples = [(name, size, both) for name, (packages, size, both) in RUNS.items() if not missing & {*packages}]
    found = run(examples, tmp_path)
    for name, _, both in examples:
        ours, *theirs = found[name]
        assert ours[1] < 0.6 * ours[0], name
        assert len(theirs) == both
        for other in theirs:
            assert ours == pytest.approx(other, rel=1e-3), name
    assert list(tmp_path.iterdir()) == []
    if missing:
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")


CLIENTS = ("trainer", "lightning", "accelerate", "ignite", "skorch", "peft")  # of the extra; docs/clients.md has more


@pytest.mark.slow
def test_clients_resume_to_the_same_bits(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(EXAMPLES / "clients" / "run.py"), *CLIENTS],
        capture_output=True, text=True, timeout=600, cwd=tmp_path, check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if line.startswith(tuple(f"{client} {{" for client in CLIENTS))]
    kinds = ("number", "schedule", "averaging", "muon")
    assert said == [f"{client} {dict.fromkeys(kinds, 'ok')}" for client in CLIENTS], done.stderr[-3000:]
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
