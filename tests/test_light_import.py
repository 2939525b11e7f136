"""`import descend` stays light: a program that only looks at the rules waits for no framework."""

import subprocess
import sys

HEAVY = ("torch", "jax", "llvmlite", "triton", "matplotlib")


def fresh(program: str) -> str:
    """Run a program in a new interpreter; its output."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def heavy_after(imports: str) -> set[str]:
    """Which heavy packages are loaded once `imports` has run in a fresh process."""
    return set(fresh(f"{imports}; import sys; print(*({set(HEAVY)} & set(sys.modules)))").split())


def test_import_leaves_the_frameworks_unloaded():
    assert heavy_after("import descend") == set()


def test_the_classes_load_nothing_that_only_printing_needs():
    assert (
        fresh("import sys, torch, descend.torch; print({'rich', 'matplotlib'} & set(sys.modules))").strip() == "set()"
    )


def test_a_loaded_framework_is_noticed():
    assert "llvmlite" in heavy_after("import descend, llvmlite")
