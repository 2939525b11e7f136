"""``descend warm`` does what it says, and what it compiled is what a first step asks for."""

import json
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from descend.cli import descend
from descend.engines.llvm import kernels

CLASSES = {"adamw": "AdamW", "lion": "Lion", "rmsprop": "RMSprop"}
STEP = """
import sys, torch, descend.torch
from descend.engines.llvm import kernels
for name in sys.argv[1:]:
    for policy in ("propagate", "skip"):
        kernels._known.clear()
        p = torch.nn.Parameter(torch.ones(9, 9))
        p.grad = torch.ones(9, 9)
        optimizer = getattr(descend.torch, name)([p], nonfinite=policy)
        optimizer.step()
        print(name, policy, optimizer.engine, *{kernel.origin for kernel in kernels._known.values()})
"""


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("DESCEND_CACHE", str(tmp_path / "kernels"))
    monkeypatch.setattr(kernels, "_known", {})
    return tmp_path / "kernels"


def run(*words, code=0):
    done = CliRunner().invoke(descend, ["warm", *words])
    assert done.exit_code == code, done.output
    return done.output


def kernels_said(*words):
    return json.loads(run(*words, "--json"))["rules"]


def test_compiles_then_finds(fresh, monkeypatch):
    (first,) = kernels_said("lamb")
    assert (first["compiled"], first["found"], first["unkept"]) == (3, 0, 0)
    assert sorted(file.stem for file in fresh.iterdir()) == sorted(first["names"])
    monkeypatch.setattr(kernels, "_known", {})  # as in a new process
    (second,) = kernels_said("lamb")
    assert (second["compiled"], second["found"]) == (0, 3)
    assert second["names"] == first["names"]


def test_a_chain_and_two_types(fresh):
    said = run("clip_norm+adamw+ema", "--dtype", "float32", "--dtype", "bfloat16").splitlines()
    assert [line.split()[:2] for line in said[:2]] == [["clip_norm+adamw+ema", d] for d in ("float32", "bfloat16")]
    assert said[2].startswith("6 compiled and 0 found in ")
    assert said[2].endswith(f"kept in {fresh}")


def test_a_rule_for_matrices_warms_its_rule_for_vectors():
    (muon,) = kernels_said("muon")
    assert muon["compiled"] > 0


def test_where_and_clear(fresh):
    assert run("--where").splitlines() == [str(fresh), "0 kernels, 0 KiB"]
    run("adamw")
    where, held = run("--where").splitlines()
    assert where == str(fresh)
    assert re.fullmatch(r"2 kernels, [1-9]\d* KiB", held)  # machine code is as long as the processor makes it
    assert run("--clear").splitlines()[1].startswith("removed 2 kernels")
    assert list(fresh.iterdir()) == []


def test_what_is_not_kept_is_said(monkeypatch):
    monkeypatch.setenv("DESCEND_CACHE", "off")
    assert "2 kernels are not kept: DESCEND_CACHE is off" in run("adamw", code=1)
    assert run("--where").splitlines() == ["nowhere", "no cache: DESCEND_CACHE is off"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "name rules, or give one of"),
        (("adamw", "--all"), "name rules, or give one of"),
        (("--clear", "--where"), "name rules, or give one of"),
        (("adamq",), "Did you mean"),
        (("ema",), "no rule 'ema': it is a modifier"),
        (("adam+adamw",), "exactly one rule"),
        (("adam", "--dtype", "int8"), "'int8' is not one of"),
    ],
)
def test_bad_usage_says_what_to_do(words, says):
    assert says in run(*words, code=2)


@pytest.mark.slow
def test_the_drop_in_classes_find_what_was_warmed():
    run(*CLASSES)
    done = subprocess.run([sys.executable, "-c", STEP, *CLASSES.values()], capture_output=True, text=True)
    cases = [f"{name} {policy} llvm disk" for name in CLASSES.values() for policy in ("propagate", "skip")]
    assert (done.stdout.splitlines(), done.stderr) == (cases, "")


@pytest.mark.slow
def test_every_rule_can_be_warmed():
    rules = kernels_said("--all")
    assert len(rules) > 60
    assert [rule for rule in rules if not rule["names"] or rule["unkept"]] == []
