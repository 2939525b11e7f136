"""A chart is the same picture by every hand: what the description says is in the SVG and on matplotlib's axes."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from descend.draw import axes, palette
from descend.draw.chart import Axis, Band, Chart, Dots, Flag, Line, Mark, Note, Span, rows_of, short
from descend.draw.svg import stacked, svg

SVG = "{http://www.w3.org/2000/svg}"


def sample() -> Chart:
    """One of everything."""
    chart = Chart(Axis(0, 10, label="step"), Axis(0.1, 100, log=True), "a < b", head="A head", aside="aside")
    chart.add(Span(2, 4, name="a stretch"), Band([0, 10], [1, 1], [5, 10], "s0"), Dots([1, 2], [3, 3], "s2"))
    chart.add(Line([0, 10], [10, 1], "s1", (6, 3), name="falls", group="c1"))
    chart.add(Mark(5, 10, "square", "s2", hollow=True, title="lr 1 & more", name="a ring"))
    chart.add(Mark(6, 10, "cross", "s3"), Flag(3, "here", "s1", bold=True), Flag(3.1, "there"), Note(8, 1, "noted"))
    chart.names, chart.beside, chart.foot = "below", {10.0: "beside"}, ["a line below"]
    return chart


def test_every_word_is_in_the_svg_and_on_the_axes():
    chart = sample()
    words = {"step", "A head", "aside", "a stretch", "falls", "a ring", "here", "there", "noted", "beside"}
    words |= {"a line below", "0.1", "100"}
    root = ElementTree.fromstring(svg(chart))
    assert words <= {text.text for text in root.iter(f"{SVG}text")}
    ax = axes.on(chart, Figure().add_subplot())
    legend = ax.get_legend()
    assert legend
    texts = [*ax.texts, *legend.get_texts(), ax.xaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()]
    assert words <= {text.get_text() for text in texts} | {ax.get_title("left"), ax.get_title("right")}


def test_a_value_lies_where_its_axis_says():
    root = ElementTree.fromstring(svg(sample(), 700, 300))
    rect = root.find(f"{SVG}clipPath/{SVG}rect")
    left, width = float(rect.get("x")), float(rect.get("width"))
    top, height = float(rect.get("y")) + 6, float(rect.get("height")) - 12
    assert height == 300
    line = next(p for p in root.iter(f"{SVG}path") if p.get("class") == "line s1" and p.get("clip-path"))
    (x0, y0), (x1, y1) = (map(float, p.split()) for p in line.get("d")[1:].split("L"))
    assert (x0, x1) == pytest.approx((left, left + width), abs=0.1)
    assert (y0, y1) == pytest.approx((top + height / 3, top + 2 * height / 3), abs=0.1)  # 10 and 1 of 100 to 0.1
    ring = next(
        p for p in root.iter(f"{SVG}path") if p.get("class") == "hollow s2" and p.find(f"{SVG}title") is not None
    )
    assert ring.find(f"{SVG}title").text == "lr 1 & more"
    x, y = map(float, re.match(r"translate\((\S+) (\S+)\)", ring.get("transform")).groups())
    assert (x, y) == pytest.approx((left + width / 2, top + height / 3), abs=0.1)


def test_the_axes_have_the_same_values_colours_and_dashes():
    ax = axes.on(sample(), Figure().add_subplot())
    assert (ax.get_xlim(), ax.get_ylim(), ax.get_yscale()) == ((0, 10), (0.1, 100), "log")
    line = next(line for line in ax.lines if line.get_label() == "falls")
    assert list(line.get_ydata()) == [10, 1]
    assert to_hex(line.get_color()) == palette.LIGHT["s1"]
    assert line.is_dashed()
    ring = next(line for line in ax.lines if line.get_label() == "a ring")
    assert (ring.get_marker(), to_hex(ring.get_markerfacecolor())) == ("s", palette.LIGHT["paper"])


def test_axes_of_a_part_of_a_figure_will_do_and_what_is_the_users_stays():
    figure = Figure(layout="constrained", facecolor="yellow")
    left, right = figure.subfigures(1, 2)
    other = right.add_subplot()
    other.plot([1, 2], [1, 2])
    ax = axes.on(sample(), left.add_subplot())
    assert {text.get_text() for text in ax.texts} >= {"here", "there"}
    assert (to_hex(figure.get_facecolor()), other.get_xscale(), len(other.lines)) == ("#ffff00", "linear", 1)


def test_on_dark_axes_it_takes_the_colours_for_dark():
    ax = axes.on(sample(), Figure().add_subplot(facecolor="black"))
    line = next(line for line in ax.lines if line.get_label() == "falls")
    assert to_hex(line.get_color()) == palette.DARK["s1"]
    assert to_hex(ax.xaxis.label.get_color()) == palette.DARK["quiet"]


def test_alone_it_brings_paper_and_both_schemes_and_on_a_page_neither():
    alone, inside = svg(sample()), svg(sample(), key="one")
    assert "prefers-color-scheme:dark" in alone
    assert ElementTree.fromstring(alone).find(f"{SVG}title").text == "a < b"
    for given in (palette.LIGHT["s0"], palette.DARK["s0"]):
        assert given in alone
        assert given not in inside
    assert "<style" not in inside
    assert 'aria-label="a &lt; b"' in inside
    assert set(re.findall(r"url\((.*?)\)", inside)) == {"#one"}
    assert not re.search(r"#[0-9a-f]{6}", inside)  # every colour is the page's


def test_pictures_of_one_notebook_do_not_cut_each_other():
    """Of two clip paths with one name the first counts, wherever it stands."""
    drawn = [svg(sample(), 500, 100), svg(sample(), 900, 300), svg(sample(), 900, 300)]
    clips = [re.search(r'<clipPath id="(.*?)">(.*?)</clipPath>', one).groups() for one in drawn]
    assert len({name for name, _ in clips}) == len(set(clips)) == 2


def test_what_can_be_shown_alone_is_in_a_group_of_its_own():
    root = ElementTree.fromstring(svg(sample()))
    (group,) = [g for g in root.iter(f"{SVG}g") if g.get("class") == "curve c1"]
    assert [part.get("class") for part in group] == ["line s1"]


def test_several_charts_stand_below_each_other_with_clips_of_their_own():
    root = ElementTree.fromstring(stacked([sample(), sample()]))
    down = [float(re.findall(r"[\d.]+", g.get("transform"))[1]) for g in root.findall(f"{SVG}g")]
    assert down[0] == 0 < down[1] < float(root.get("height"))
    clips = [clip.get("id") for clip in root.iter(f"{SVG}clipPath")]
    assert len(set(clips)) == len(clips) == 2


def test_labels_above_take_rows_and_the_answer_the_lowest():
    flags = [Flag(1, "first"), Flag(1, "the answer", bold=True), Flag(1, "third"), Flag(9, "far")]
    rows = rows_of(flags, [100, 100, 100, 400], 0, 500)
    assert [row for _, row in rows] == [1, 0, 2, 0]
    assert rows_of([Flag(0, "at the edge")], [2], 0, 500)[0][0] > 40


@pytest.mark.parametrize(("value", "said"), [(1e-05, "1e-5"), (0.001, "0.001"), (3, "3"), (2.5, "2.5"), (1e6, "1e6")])
def test_round_values(value, said):
    assert short(value) == said


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colours", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_lines_and_words_stand_out_from_their_paper(colours):
    """WCAG 2.2: 4.5 to 1 for text, 3 to 1 for what is drawn."""
    for name, least in {"ink": 7.0, "quiet": 4.5, **dict.fromkeys(palette.SERIES, 3.0)}.items():
        low, high = sorted(luminance(colours[k]) for k in (name, "paper"))
        assert (high + 0.05) / (low + 0.05) >= least, name


def test_series_differ_by_mark_and_neighbours_by_dash():
    assert len({palette.mark_of(k) for k in range(8)}) == 8
    assert all(palette.dash_of(k) != palette.dash_of(k + 1) for k in range(7))
