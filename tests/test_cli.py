"""The command line: what it refuses and how, and what it does not load."""

import os
import subprocess
import sys
import textwrap

import pytest
from click.testing import CliRunner, Result

from descend import __version__
from descend.cli import VERBS, descend


def call(*args: str, width: int = 80, **env: str) -> Result:
    return CliRunner().invoke(descend, args, env={"COLUMNS": str(width), **env})


def printed(*args: str, width: int = 80, **env: str) -> str:
    """What a command prints on a terminal of that width."""
    result = call(*args, width=width, **env)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["rac"], "Did you mean 'race'?"),
        (["nonsense"], "Verbs: race, list"),
        (["explain", "adm"], "Did you mean 'adam'"),
        (["explain", "schedule-free"], "it may mean 'schedule_free_sgd', 'schedule_free_adamw' or"),
        (["explain", "zzz"], "`descend list` shows all"),
        (["explain", "clip_norm+adm"], "no rule 'adm'"),
        (["explain", "adam+adamw"], "exactly one rule"),
        (["explain"], "Missing argument 'RULE'"),
        (["explain", "adam", "--step", "3"], "--steps"),
        (["explain", "adam", "--steps", "0"], "0 is not in the range"),
        (["explain", "adam", "--json", "--latex"], "--latex and --json exclude each other"),
        (["list", "--jsn"], "--json"),
    ],
)
def test_bad_usage_exits_2_and_says_what_to_do(args: list[str], says: str):
    result = call(*args)
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_without_a_verb_the_race_comes_first():
    text = printed()
    assert text.index("descend race") < min(text.index(f"descend {verb}") for verb in VERBS if verb != "race")
    shown = [line.split()[0] for line in printed("--help").split("Read:")[1].splitlines() if line.startswith("  ")]
    assert sorted(shown) == sorted(VERBS)
    assert printed("--version") == f"descend {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_json_and_quiet(verb: str):
    text = printed(verb, "--help")
    assert "--json" in text
    assert "--quiet" in text


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_list_and_explain_load_no_framework():
    program = """
        import sys
        from descend.cli import descend
        for args in (["list", "-q"], ["explain", "adam"], ["explain", "clip_norm+adam", "--json"]):
            descend(args, standalone_mode=False)
        print(*({"torch", "llvmlite", "sklearn", "jax", "triton"} & set(sys.modules)), file=sys.stderr)
    """
    done = python(program)
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.parametrize(("package", "extra"), [("sklearn", "lab"), ("torch", "torch")])
def test_a_missing_package_is_one_sentence(package: str, extra: str):
    program = f"""
        import sys
        from descend import cli
        cli.VERBS["list"] = ("explain.cli:missing", "")
        from descend.explain import cli as module
        import click
        @click.command()
        def missing():
            import {package}.nothing
        module.missing = missing
        sys.modules["{package}"] = None
        sys.argv = ["descend", "list"]
        cli.main()
    """
    done = python(program)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert f"pip install 'descend[{extra}]'" in done.stderr


def test_python_m_descend():
    done = subprocess.run(
        [sys.executable, "-m", "descend", "explain", "adm"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: descend explain")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("words", [["list"], ["explain", "adam"]])
def test_a_full_disk_behind_the_output_is_one_line(words):
    with open("/dev/full", "w") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "descend", *words], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=600
        )
    assert (done.returncode, done.stderr) == (1, "Error: could not write: No space left on device\n")
