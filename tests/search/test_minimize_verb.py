"""`descend minimize`, and `descend explain` of a method."""

import json

import pytest
from click.testing import CliRunner

from descend import rules
from descend.cli import descend
from descend.core.nearest import folded
from descend.search import about, names

FILE = """
print("noise while it is imported")
x0 = [-1.2, 1.0]
def valley(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
def valley_gradient(x):
    return [-400 * (x[1] - x[0] ** 2) * x[0] - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)]
def hole(x):
    return float("nan")
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return str(path)


def call(*args):
    return CliRunner().invoke(descend, args)


def test_the_minimum_is_printed(file):
    result = call("minimize", f"{file}:valley", "-m", "L-BFGS-B", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["x"] == pytest.approx([1, 1], abs=1e-5)
    assert found["njev"] == found["nfev"] > 0
    plain = call("minimize", f"{file}:valley", "--method", "bfgs", "--x0", "0,0", "--arrays", "torch")
    assert "success: True" in plain.stdout
    quiet = call("minimize", f"{file}:valley", "-q", "--budget", "300", "-m", "random_search", "--bounds", "-2,2")
    assert len(quiet.stdout.split()) == 2


def test_a_function_without_a_finite_value_exits_1(file):
    result = call("minimize", f"{file}:hole", "-m", "nelder_mead", "--budget", "20")
    assert result.exit_code == 1
    assert "no value was finite" in result.output


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["valley"], "must be FILE.py:FUNCTION"),
        (["none.py:valley"], "no file none.py"),
        (["FILE:vally"], "Did you mean 'valley'"),
        (["FILE:valley", "-m", "bfg"], "Did you mean 'bfgs'"),
        (["FILE:valley", "--x0", "a,b"], "--x0 must be numbers"),
        (["FILE:valley", "-o", "memory"], "NAME=VALUE"),
        (["FILE:valley", "-m", "bfgs", "-o", "memory=3"], "no option 'memory'"),
        (["FILE:valley", "-m", "l_bfgs", "-o", "memory=0"], "memory must be at least 1"),
        (["FILE:valley", "--bounds", "2,3"], "outside its bounds"),
        (["FILE:valley", "--json", "-q"], "exclude each other"),
    ],
)
def test_bad_usage_is_refused(file, args, says):
    result = call("minimize", *(arg.replace("FILE", file) for arg in args))
    assert result.exit_code == 2
    assert says in " ".join(result.output.split())


def test_an_interruption_keeps_the_best_so_far(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "calls = []\nx0 = [3.0, 3.0]\n"
        "def f(x):\n    calls.append(1)\n    if len(calls) > 40:\n        raise KeyboardInterrupt\n"
        "    return (x**2).sum()\n"
    )
    result = call("minimize", f"{path}:f", "-m", "nelder_mead", "--json")
    assert result.exit_code == 130
    assert json.loads(result.stdout)["fun"] < 18


@pytest.mark.parametrize("name", names.METHODS)
def test_every_method_is_explained(name):
    text = call("explain", name).output
    facts = json.loads(call("explain", name, "--json").output)
    assert facts["idea"].endswith(".")
    assert any(sign.isdigit() for sign in "".join([facts["idea"], facts["text"], facts["arguments"]])), (
        "no year of a paper"
    )
    for option in facts["options"]:
        assert f"{option}=" in text
        assert option in facts["arguments"], f"{name} does not say what {option} is"
    assert call("explain", name, "-q").output.strip() == facts["idea"]
    assert call("explain", name, "--latex").exit_code == 2


def test_no_method_hides_a_rule():
    assert {folded(name) for name in rules.all()} & {folded(name) for name in names.METHODS} == set()
    assert not about.known("adam")


def test_what_differs_from_the_paper_is_said_of_a_method_and_of_what_it_builds_on():
    assert "Dialect: the defaults are those of pycma 4" in call("explain", "cma_es").output
    both = call("explain", "lq_cma_es").output
    assert "Dialect: the model is fitted" in both
    assert "Dialect: the defaults are those of pycma 4" in both
    for name in names.METHODS:
        text = call("explain", name).output
        assert "Restarted" not in text
        assert "as for" not in text
        assert "``" not in text
