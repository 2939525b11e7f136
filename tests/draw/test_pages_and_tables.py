"""The frame of every page, and tables on pages and in terminals of any width."""

import base64
import gzip
import re

import pytest
from rich.text import Text

from descend.draw.page import Markup, download, page, table
from descend.draw.terminal import Column, Table, text

COLUMNS = (
    Column("rule"),
    Column("year", right=True, gives_way=1),
    Column("held", right=True, gives_way=2, long="bytes"),
)
ROWS = [("adam", "2015", "8"), ("gradient_descent", "1847", "0")]


def test_a_page_asks_for_nothing_and_escapes_its_title():
    made = page("a <b>", "<p>inside</p>", ".x { }")
    assert "<title>a &lt;b&gt;</title>" in made
    assert "default-src 'none'" in made
    assert "://" not in made
    assert "<script" not in made
    assert made.index(".x { }") < made.index("</style>") < made.index("<p>inside</p>")
    assert 'name="viewport"' in made


def test_a_table_of_a_page():
    made = table(
        [("1", "a<b", Markup("<i>x</i>"))], ("n", "name", ""), right=(0,), caption="Two & two", first=(0,), name=1
    )
    assert "<tr class=first><td class=right>1</td>" in made
    assert '<th scope="row">a&lt;b</th><td><i>x</i></td></tr>' in made
    assert 'aria-label="Two &amp; two"' in made
    assert '<th scope="col" class=right>n</th>' in made
    long = "ten times the momentum rules: momentum adds up"
    assert f"<td class=words>{long}</td>" in table([("a", long)])
    assert "words" not in table([("a", "1e-3 3.2e-3 1e-2 3.2e-2")])


def test_a_download_is_what_was_given():
    made = download("x.json.gz", '{"a": "×"}', "All")
    assert gzip.decompress(base64.b64decode(re.search(r"base64,([^\"]+)", made)[1])).decode() == '{"a": "×"}'
    assert made == download("x.json.gz", '{"a": "×"}', "All")


def test_columns_give_way_by_turn_after_the_spaces():
    wide = Table(COLUMNS, ROWS)
    assert text(wide, width=40).splitlines() == [
        "rule              year  held", "adam              2015     8", "gradient_descent  1847     0",
    ]  # fmt: skip
    assert text(wide, width=26).splitlines()[2] == "gradient_descent 1847    0"
    assert text(wide, width=25).splitlines()[2] == "gradient_descent  1847"
    assert wide.hidden(25) == "1 column hidden (bytes): widen the terminal, or --json"
    assert text(wide, width=5).splitlines() == ["rule", "adam", "gradi", "ent_d", "escen", "t"]
    assert wide.hidden(5).startswith("2 columns hidden (year, bytes)")
    assert wide.hidden(40) == ""


PROSE = "an explanation that is rather longer than the room beside it"


@pytest.mark.parametrize("width", [20, 30, 50, 80, 200])
def test_an_explanation_wraps_beside_or_stands_below(width):
    made = Table(("name", "why"), [("momentum", PROSE), ("the second",), ("b", "short")], prose=True, indent=2)
    lines = text(made, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert PROSE in " ".join(" ".join(lines).split())
    beside = width >= 2 + 8 + 2 + 24
    assert (lines[1] == "  momentum") != beside
    assert lines[lines.index("the second") - 1] == ""  # a heading, and a blank line before it


def test_signs_as_wide_as_two_and_styles_keep_their_columns():
    made = Table(("a", "b"), [("漢字", Text("x", "red")), ("ab", "y")], style="cyan")
    assert text(made).splitlines()[1:] == ["漢字  x", "ab    y"]


def test_a_table_of_one_column_has_rows_and_no_headings():
    assert text(Table(["name"], [["a"], ["b"]])).splitlines() == ["name", "a", "b"]
    with pytest.raises(ValueError, match="2 columns, and a row of 3 cells"):
        Table(("a", "b"), [("1", "2", "3")])
