"""`descend list` and `descend explain`: the facts, and how they look at any width."""

import json

import pytest
from rich.cells import cell_len
from test_cli import call, printed

from descend import rules
from descend.core.rule import rule
from descend.core.symbols import STATE, meaning
from descend.draw.terminal import wrapped
from descend.explain import facts, relative
from descend.explain.by_hand import by_hand, shown

NAMES = list(facts.catalogue())
PAGES = [
    "muon",
    "soap",
    "adam",
    "lion",
    "nesterov_lookahead",
    "clip_norm",
    "clip_norm+adamw",
    "momentum_dampened",
    NAMES[-1],
]


# What is printed


@pytest.mark.parametrize("width", [40, 50, 80, 100, 140])
@pytest.mark.parametrize("args", [["list"], *(["explain", name, "--steps", "5"] for name in PAGES)], ids=" ".join)
def test_pages_keep_to_the_width_and_are_plain_where_there_is_no_terminal(args: list[str], width: int):
    for line in printed(*args, width=width).splitlines():
        assert cell_len(line) <= width, line
        assert line == line.rstrip(), repr(line)
        assert "\x1b" not in line


def test_colour_needs_a_terminal_and_no_color_takes_it_away():
    coloured = printed("explain", "adam", FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[" in coloured
    assert "\x1b" not in printed("explain", "adam", FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="1")


@pytest.mark.parametrize("width", [50, 80])
def test_every_rule_can_be_explained(width: int):
    for name in NAMES:
        page = printed("explain", name, width=width)
        assert page.startswith(name)
        assert "By hand" in page
        assert max(map(cell_len, page.splitlines())) <= width


def test_the_page_of_adam():
    adam, steps = rules.adam, by_hand(rules.adam, 3)
    page = printed("explain", "adam", "--steps", "3").splitlines()
    for line in (
        *(f"  {line}" for line in facts.lines(adam)),
        "  v  exp_avg_sq  starts at 0  average of the squared gradients (second moment)",
        "  beta1  β₁  0.9    share of the past in the first average",
        "  eps    ε   1e-8   keeps the division away from zero",
        "  held     8 bytes of state per parameter",
        "  moved    28 bytes per parameter and step in 1 pass: reads 4 arrays, writes 3",
        *(f"  {line}" for line in relative.difference(rules.adam_uncorrected, adam)),
        "  m ← 0.9·0 + (1 − 0.9)·0.5 = 0.05",
        *(f"  {v.symbol} ← {v.text} = {shown(v.value)}" for v in steps[0].values),
    ):
        assert line in page
    assert ["p", *(shown(step.p) for step in steps)] in [line.split() for line in page]


def test_the_page_of_a_rule_for_matrices():
    page = printed("explain", "muon").splitlines()
    for line in (
        "  JORDAN = 5 × (3.4445, −4.775, 2.0315)",
        "By hand: p = [1 −1; 0.5 2], g = [0.5 −0.2; 1 0.3]",
        "  m ← 0.95·m + (1 − 0.95)·g = [0.025 −0.01; 0.05 0.015]",
    ):
        assert line in page
    assert "  due ← [(1 − 1) mod 10 = 0] = true" in printed("explain", "soap").splitlines()


@pytest.mark.parametrize(
    ("name", "held", "said"),
    [
        ("adam", 8, "8 bytes of state per parameter"),
        ("gradient_descent", 0, "no state"),
        ("asgd", 4, "4 bytes of state per parameter, 2 numbers per tensor"),
        ("adafactor", 0.01, "4·(rows + columns) bytes of state: 0.01 bytes per parameter of a 1024×1024 matrix"),
        ("normuon", 4, "4 bytes of state per parameter and 4·rows: 4 bytes per parameter of a 1024×1024 matrix"),
        ("shampoo", 8, "4·(rows² + columns²) bytes of state: 8 bytes per parameter of a 1024×1024 matrix"),
    ],
)
def test_the_bytes_of_rows_and_columns(name: str, held: float, said: str):
    assert facts.cost(rules.get(name)).held == held
    assert facts.cost_lines(rules.get(name))[0] == ["held", said]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_and_state_has_a_meaning(name: str):
    some = rules.get(name)
    assert all(facts.meanings(some).values())
    assert all(meaning(slot.saved_as, name, STATE) for slot in some.slots)


def test_a_narrow_list_drops_columns_and_no_rule():
    wide, narrow = (printed("list", width=width) for width in (140, 60))
    assert "engines" in wide.split("\n")[0]
    assert "engines" not in narrow.split("\n")[0]
    assert "columns hidden (" in narrow
    assert "hidden" not in wide
    for name in NAMES:
        assert f"  {name}" in narrow
    assert "2015" in narrow


def test_quiet_prints_what_a_script_wants():
    assert printed("list", "--quiet").split() == NAMES
    assert printed("explain", "gradient_descent", "-q") == "p ← p − lr·g\n"
    assert printed("explain", "gradient_descent", "--source").startswith("@rule\ndef gradient_descent(p, g, *")
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
    assert "://" not in page.replace("http://www.w3.org/1998/Math/MathML", "")
    assert call("explain", "adam", "--html", str(tmp_path / "no" / "adam.html")).exit_code == 2


@pytest.mark.parametrize("width", [20, 30, 45, 60])
def test_a_broken_formula_loses_no_sign(width: int):
    for name in NAMES:
        for line in facts.lines(rules.all().get(name, rules.get(name))):
            pieces = list(wrapped(f"  {line}", width))
            assert " ".join(piece.strip() for piece in pieces).split() == line.split()


# Facts


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
    found = relative.nearest(rules.get(name))
    assert (found and found.name) == parent


@pytest.mark.parametrize(
    ("title", "year", "idea", "paper"),
    [
        (
            "Adam: corrected (Kingma & Ba 2015, Algorithm 1).",
            2015,
            "corrected",
            "Kingma & Ba 2015, Algorithm 1",
        ),
        ("Adam with √(v̂ + ε) (as in notes).", None, "Adam with √(v̂ + ε)", "as in notes"),
        ("Descent: a step (Cauchy 1847; again: Robbins (the one) 1951).", 1847, "a step", None),
        ("Mine.", None, "Mine", ""),
        ("", None, "", ""),
    ],
)
def test_the_first_line_of_the_docstring_is_read(title: str, year: int | None, idea: str, paper: str | None):
    def mine(p, g, *, lr=0.1):
        return p - lr * g

    mine.__doc__ = title
    made = rule(mine)
    assert (facts.year(made), facts.idea(made)) == (year, idea)
    assert paper is None or facts.paper(made) == paper
