"""Imports go down only (DESIGN: layers), and every file has one subject."""

import ast
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "descend"
FILES = sorted(SOURCE.rglob("*.py"))
LINES = 500
LAYER = {
    "core": 0,
    "scale": 0.5,
    "terminal_plot": 0.5,
    "rules": 1,
    "schedules": 1,
    "engines": 2,
    "stepping": 2.5,
    "optimizer": 3,
    "state": 3,
    "torch": 4,
    "jax": 4,
    "checks": 4.5,
    "search": 4,
    "explain": 4,
    "lab": 5,
    "warm": 5,
    "bench": 5,
    "cli": 6,
    "__init__": 7,
    "__main__": 7,
}
# What the layers alone would allow. A value lists the forbidden prefixes.
FORBIDDEN = {
    "descend.engines": ("descend.rules",),
    "descend.engines.eager.numpy": ("descend.core.trace", "descend.core.program"),
    # A reference that shared code with what it checks would repeat its mistakes.
    "descend.checks.references": tuple(f"descend.{name}" for name in LAYER if name != "checks"),
}


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts)


def within(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def imported(module: str, source: str) -> set[str]:
    """Full names of all that a module imports, wherever in its text: relative, local, or by import_module."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module=base, names=names, level=level):
                package = module.split(".")[:-level] if level else []
                found |= {".".join([*package, *([base] if base else []), alias.name]) for alias in names}
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
                found.add(name)
    return found


def violations(module: str, source: str) -> list[str]:
    """What a module's imports break, one sentence each."""
    part = module.split(".")[1]
    broken = [] if part in LAYER else [f"{part} has no layer"]
    for name in sorted(imported(module, source)):
        top, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if top != "descend":
            if part == "core" and top not in sys.stdlib_module_names:
                broken.append(f"core imports {name}, which is not in the standard library")
        elif target not in LAYER:
            broken.append(f"{name} is imported from the front door or has no layer")
        elif part in LAYER and part != target and LAYER[target] >= LAYER[part]:
            broken.append(f"{part} (layer {LAYER[part]}) imports {name} (layer {LAYER[target]})")
        for owner, prefixes in FORBIDDEN.items():
            if within(module, owner) and within(name, *prefixes):
                broken.append(f"{owner} must not import {name}")
    return broken


def too_long(source: str) -> list[str]:
    lines = len(source.splitlines())
    return [f"{lines} lines, over {LINES}: it has two subjects"] if lines > LINES else []


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_source_file_keeps_to_its_layer_and_size(file: Path):
    source = file.read_text(encoding="utf-8")
    assert violations(name_of(file), source) + too_long(source) == []


def test_the_walk_finds_the_source():
    assert {"core", "rules", "engines", "checks", "cli"} <= {name_of(file).split(".")[1] for file in FILES}


@pytest.mark.parametrize(
    ("module", "source", "says"),
    [
        ("descend.core.rule", "import numpy as np", "core imports numpy"),
        ("descend.core.rule", "def f():\n    from numpy.linalg import norm", "core imports numpy.linalg"),
        ("descend.core.ops", "from ..rules import adam", "core (layer 0) imports descend.rules.adam"),
        ("descend.core.ops", "from .. import rules", "core (layer 0) imports descend.rules"),
        ("descend.rules.adam", "from ..engines import numba", "rules (layer 1) imports descend.engines"),
        ("descend.rules.adam", "from descend import schedules", "rules (layer 1) imports descend.schedules"),
        ("descend.engines.llvm.engine", "from ..rules.adam import adam", "engines must not import descend.rules"),
        ("descend.engines.__init__", "from ..rules import adam", "engines must not import descend.rules"),
        ("descend.engines.eager.numpy", "from ..core.trace import trace", "must not import descend.core.trace"),
        ("descend.engines.eager.numpy", "from ..core import emit", "must not import descend.core.program"),
        ("descend.optimizer", "import descend.torch", "optimizer (layer 3) imports descend.torch"),
        ("descend.torch.adam", "from ..jax import transform", "torch (layer 4) imports descend.jax"),
        ("descend.checks.rule", "from ..lab import race", "checks (layer 4.5) imports descend.lab"),
        (
            "descend.lab.race.race",
            "import importlib\nimportlib.import_module('descend.cli')",
            "imports descend.cli",
        ),
        ("descend.checks.references.adam", "from ... import rules", "must not import descend.rules"),
        (
            "descend.checks.references.adam",
            "from descend.core import ops",
            "must not import descend.core.ops",
        ),
        ("descend.lab.race.race", "from descend import minimize", "front door"),
        ("descend.lab.race.race", "import descend", "front door"),
        ("descend.utils", "", "utils has no layer"),
    ],
)
def test_a_broken_rule_is_noticed(module: str, source: str, says: str):
    assert any(says in sentence for sentence in violations(module, source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("descend.core.chain", "from __future__ import annotations\nimport math\nfrom .rule import Rule"),
        ("descend.engines.llvm.engine", "import numba\nfrom ..core import trace\nfrom . import base"),
        ("descend.engines.eager.numpy", "import numpy as np\nfrom ..core.ops import norm"),
        ("descend.checks.references.__init__", "import numpy\nfrom . import adam\nfrom .adam import step"),
        ("descend.checks.mutate", "from ..rules import adam\nfrom .references import adam"),
        ("descend.__init__", "from . import rules\nfrom .core.rule import rule"),
        ("descend.cli", "def main():\n    from .lab import race"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str):
    assert violations(module, source) == []


def test_a_long_file_is_noticed():
    assert not too_long("x = 1\n" * LINES)
    assert too_long("x = 1\n" * (LINES + 1))
