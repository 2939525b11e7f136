"""Imports go down only, never in a circle; every file has one subject, and no folder is a drawer."""

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "descend"
FILES = sorted(SOURCE.rglob("*.py"))
BENCHMARKS = sorted((SOURCE.parents[1] / "benchmarks").rglob("*.py"))
LINES = 500
LAYER = {
    "core": 0,
    "draw": 0.5,
    "rules": 1,
    "schedules": 1,
    "engines": 2,
    "signals": 0,
    "stepping": 2.5,
    "optimizer": 3,
    "state": 3,
    "torch": 4,
    "jax": 4,
    "checks": 4.5,
    "search": 3.5,  # below the front ends, which offer its methods for the parameters of a model
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
        ("descend.rules.adam", "from ..engines import llvm", "rules (layer 1) imports descend.engines"),
        ("descend.rules.adam", "from descend import schedules", "rules (layer 1) imports descend.schedules"),
        ("descend.engines.llvm.engine", "from ...rules.adam import adam", "engines must not import descend.rules"),
        ("descend.engines.__init__", "from ..rules import adam", "engines must not import descend.rules"),
        ("descend.engines.eager.numpy", "from ...core.trace import trace", "must not import descend.core.trace"),
        ("descend.engines.eager.numpy", "from ...core import program", "must not import descend.core.program"),
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
        ("descend.core.trace", "from __future__ import annotations\nimport math\nfrom .rule import Rule"),
        ("descend.engines.llvm.engine", "import llvmlite\nfrom ...core import trace\nfrom .. import base"),
        ("descend.engines.eager.numpy", "import numpy as np\nfrom ...core.ops import norm"),
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


# ---------------------------------------------------------------- rooms

FULL = 16  # files of a folder


def crowded(files: list[Path]) -> list[str]:
    """Folders with too many files, and three files of one prefix, which want to be a folder."""
    found = []
    for folder in sorted({file.parent for file in files}):
        names = [file.stem for file in files if file.parent == folder and file.name != "__init__.py"]
        if len(names) > FULL:
            found.append(f"{folder.name}: {len(names)} files")
        prefixes = Counter(name.split("_")[0] for name in names)
        found += [f"{folder.name}: {n} files begin with {x}" for x, n in prefixes.items() if x and n > 2]
    return found


def circles(sources: dict[str, str]) -> list[list[str]]:
    """Modules that import each other, by whatever way, imports for the sake of types included."""
    graph = {}
    for module, source in sources.items():
        wanted = imported(module, source)
        graph[module] = {x for name in wanted for x in (name, name.rpartition(".")[0]) if x in sources} - {module}
    reach: dict[str, set[str]] = {}
    for module in graph:
        seen, queue = set(), [module]
        while queue:
            for other in graph[queue.pop()] - seen:
                seen.add(other)
                queue.append(other)
        reach[module] = seen
    return sorted({tuple(sorted(o for o in reach[m] if m in reach[o])) for m in graph if m in reach[m]})


def test_no_folder_is_a_drawer():
    assert crowded([*FILES, *BENCHMARKS]) == []
    tests = Counter(file.parent for file in Path(__file__).parent.rglob("*.py"))
    assert {str(folder): n for folder, n in tests.items() if n > FULL} == {}


def test_no_module_is_imported_in_a_circle():
    rooms = [file for file in FILES if file.name != "__init__.py"]
    assert circles({name_of(file): file.read_text(encoding="utf-8") for file in rooms}) == []


def test_no_room_has_the_name_of_a_public_function():
    import descend.torch as ours

    rooms = {file.parent.name for file in FILES if file.parent.parent.name == "torch"}
    assert rooms & {name for name in ours.__all__ if callable(getattr(ours, name))} == set()


def test_drawers_and_circles_are_noticed():
    assert crowded([Path(f"a/b_{x}.py") for x in "xyz"]) == ["a: 3 files begin with b"]
    assert crowded([Path(f"a/{'x' * n}.py") for n in range(1, FULL + 2)]) == [f"a: {FULL + 1} files"]
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .c import C"
    sources = {"a.b": "from .c import C", "a.c": "def f():\n    from . import d", "a.d": "from .b import B"}
    assert circles(sources) == [("a.b", "a.c", "a.d")]
    assert circles({"a.b": typed, "a.c": "from .b import B"}) == [("a.b", "a.c")]
    assert circles({"a.b": "", "a.c": "from .b import B"}) == []


def test_what_make_check_leaves_out_is_there():
    names = (Path(__file__).parent / "long.txt").read_text(encoding="utf-8").split()
    assert names == sorted(names)
    assert [name for name in names if not (Path(__file__).parent / name).exists()] == []
