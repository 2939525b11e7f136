"""The command line: what it prints at any width, what it refuses and how, and what it does not load."""

import json
import os
import subprocess
import sys
import textwrap

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from descend import __version__, rules
from descend.cli import VERBS, descend
from descend.explain import facts, relative
from descend.explain.by_hand import GRADIENTS, by_hand
from descend.explain.terminal import wrapped

NAMES = list(facts.catalogue())
PAGES = ["adam", "lion", "nesterov_lookahead", "clip_norm", "clip_norm+adamw", "momentum_dampened", NAMES[-1]]


def call(*args: str, width: int = 80, **env: str) -> Result:
    return CliRunner().invoke(descend, args, env={"COLUMNS": str(width), **env})


def printed(*args: str, width: int = 80, **env: str) -> str:
    result = call(*args, width=width, **env)
    assert result.exit_code == 0, result.output
    return result.output


# What is printed


@pytest.mark.parametrize("width", [40, 50, 80, 100, 140])
@pytest.mark.parametrize(
    "args", [["list"], *(["explain", name, "--steps", "5"] for name in PAGES)], ids=" ".join
)
def test_pages_keep_to_the_width_and_are_plain_where_there_is_no_terminal(args: list[str], width: int):
    for line in printed(*args, width=width).splitlines():
        assert cell_len(line) <= width, line
        assert line == line.rstrip(), repr(line)
        assert "\x1b" not in line


def test_colour_needs_a_terminal_and_no_color_takes_it_away():
    coloured = printed("explain", "adam", FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[" in coloured
    assert "\x1b" not in printed("explain", "adam", FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="1")


def test_every_rule_can_be_explained():
    for name in NAMES:
        page = printed("explain", name)
        assert page.startswith(name)
        assert "By hand" in page


def test_the_page_of_adam():
    page = printed("explain", "adam", "--steps", "3")
    for line in (
        "  p ← p − lr·m̂ / (√v̂ + ε)",
        "  v  exp_avg_sq  starts at 0  average of the squared gradients (second moment)",
        "  beta1  β₁  0.9    share of the past in the first average",
        "  eps    ε   1e-8   keeps the division away from zero",
        "  held     8 bytes of state per parameter",
        "  moved    28 bytes per parameter and step in 1 pass: reads 4 arrays, writes 3",
        "  paper  Kingma & Ba 2015, Algorithm 1; torch.optim.Adam",
        "Beside adam_uncorrected",
        "  + p ← p − lr·m̂ / (√v̂ + ε)",
        "  - p ← p − lr·m / (√v + ε)",
        "  m̂ ← 0.05 / (1 − 0.9¹) = 0.5",
        "  m̂             0.5     0.131579      0.45203",
    ):
        assert line in page.splitlines()


def test_a_narrow_list_drops_columns_and_no_rule():
    wide, narrow = (printed("list", width=width) for width in (140, 60))
    assert "engines" in wide
    assert "engines" not in narrow
    for name in NAMES:
        assert f"  {name}" in narrow
    assert "2015" in narrow


def test_quiet_prints_what_a_script_wants():
    assert printed("list", "--quiet").split() == NAMES
    assert printed("explain", "gradient_descent", "-q") == "p ← p − lr·g\n"
    assert printed("explain", "gradient_descent", "--source").startswith(
        "@rule\ndef gradient_descent(p, g, *"
    )
    assert r"p_t &= p_{t-1} - \mathrm{lr}\,g_t" in printed("explain", "gradient_descent", "--latex")


def test_json_has_everything():
    listed = json.loads(printed("list", "--json"))
    assert [entry["name"] for entry in listed] == NAMES
    adam = json.loads(printed("explain", "adam", "--json", "--steps", "2"))
    assert adam["year"] == 2015
    assert adam["bytes_per_parameter"] == {"held": 8, "moved": 28}
    assert [slot["saved_as"] for slot in adam["state"]] == ["exp_avg", "exp_avg_sq"]
    assert {s["name"]: s["default"] for s in adam["settings"]}["eps"] == 1e-8
    assert [step["g"] for step in adam["by_hand"]] == [0.5, -0.2]
    assert adam["relative"]["name"] == "adam_uncorrected"
    assert all(line.startswith("<math") for line in adam["formula"]["mathml"])


def test_html_is_one_file_without_the_network(tmp_path):
    file = tmp_path / "adam.html"
    printed("explain", "adam", "--html", str(file))
    page = file.read_text(encoding="utf-8")
    assert page.count("<math") == 5
    assert "http" not in page.replace("http://www.w3.org/1998/Math/MathML", "")
    assert call("explain", "adam", "--html", str(tmp_path / "no" / "adam.html")).exit_code == 1


@pytest.mark.parametrize("width", [20, 30, 45, 60])
def test_a_broken_formula_loses_no_sign(width: int):
    for name in NAMES:
        for line in facts.lines(rules.all().get(name, facts.find(name))):
            pieces = list(wrapped(f"  {line}", width))
            assert " ".join(piece.strip() for piece in pieces).split() == line.split()


# Facts


@pytest.mark.parametrize("name", NAMES)
def test_steps_by_hand_are_the_steps_of_the_rule(name: str):
    some = facts.find(name)
    if some.kind != "rule":
        pytest.skip("a modifier takes no step of its own")
    try:
        steps = by_hand(some, 4)
    except TypeError:
        pytest.skip("works on more than one number")
    p, fills = 1.0, {"p": 1.0, "g": GRADIENTS[0], **some.settings}
    state = [fills.get(s.init.fill, s.init.fill) for s in some.slots]
    for step in steps:
        p, *state = some.apply(p, step.g, *state, t=step.t, **some.settings)
        assert step.p == pytest.approx(p, rel=1e-9)
        assert [step.before.get(s.name) is not None for s in some.slots] == [True] * len(some.slots)


def test_a_chain_by_hand_passes_the_gradient_on():
    assert by_hand(facts.find("negate+gradient_descent"))[0].p == 1.0 + 1e-3 * 0.5


@pytest.mark.parametrize(
    ("name", "parent"),
    [
        ("gradient_descent", None),
        ("momentum_accumulation", "gradient_descent"),
        ("momentum_dampened", "momentum_accumulation"),
        ("adam", "adam_uncorrected"),
        ("adamw", "adam"),
        ("rmsprop_centered", "rmsprop"),
        ("clip_norm", None),
    ],
)
def test_the_nearest_relative(name: str, parent: str | None):
    found = relative.nearest(facts.find(name))
    assert (found and found.name) == parent


@pytest.mark.parametrize(
    ("name", "year", "idea"),
    [
        ("adam", 2015, "both moments corrected for their start at zero"),
        ("adam_eps_inside", 2015, "Adam with ε inside the root, √(v̂ + ε)"),
        ("gradient_descent", 1847, "a step against the gradient"),
        ("negate", None, "turn descent into ascent"),
    ],
)
def test_the_first_line_of_the_docstring_is_read(name: str, year: int | None, idea: str):
    assert (facts.year(facts.find(name)), facts.idea(facts.find(name))) == (year, idea)


# What is refused, and how


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["rac"], "Did you mean 'race'?"),
        (["nonsense"], "Verbs: race, list"),
        (["explain", "adm"], "Did you mean adam"),
        (["explain", "Adam-W"], "Did you mean adamw"),
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
    assert [
        line.split()[0] for line in printed("--help").split("Verbs:")[1].split("\n") if line.strip()
    ] == list(VERBS)
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
        print(*({"torch", "numba", "sklearn", "jax", "triton"} & set(sys.modules)), file=sys.stderr)
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
