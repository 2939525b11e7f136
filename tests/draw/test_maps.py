"""Rings around what is above a level, and the shapes of maps in SVG and on axes."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from descend.draw import axes, palette
from descend.draw.chart import Area, Arrow, Axis, Chart, Walk
from descend.draw.contour import rings
from descend.draw.svg import MOMENTS, svg

X = np.linspace(-2.0, 2.0, 81)
Y = np.linspace(-1.5, 1.5, 61)
U, V = np.meshgrid(X, Y)


def signed(ring: np.ndarray) -> float:
    """The area inside, positive if the ring runs against the clock."""
    x, y = ring.T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def test_the_ring_around_a_hill_is_its_circle():
    (ring,) = rings(X, Y, -np.hypot(U, V), -1.0)
    assert (ring[0] == ring[-1]).all()
    assert np.allclose(np.hypot(*ring.T), 1.0, atol=2e-3)
    assert signed(ring) == pytest.approx(np.pi, rel=2e-3)


def test_what_is_around_a_pit_is_the_frame_with_a_hole():
    found = sorted(map(signed, rings(X, Y, np.hypot(U, V), 1.0)))
    assert found == pytest.approx([-np.pi, 12.0], rel=2e-3)  # the hole runs the other way round


def test_all_or_nothing():
    assert rings(X, Y, np.ones_like(U), 2.0) == []
    (ring,) = rings(X, Y, np.ones_like(U), 0.0)
    assert signed(ring) == pytest.approx(12.0)


def test_across_a_saddle_both_sides_are_cut_off():
    found = rings(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([[1.0, 0.0], [0.0, 1.0]]), 0.5)
    assert sorted(map(signed, found)) == pytest.approx([0.125, 0.125])


@pytest.mark.parametrize("seed", range(5))
def test_the_rings_of_any_surface_hold_as_much_as_lies_above(seed: int):
    """Compared with a count of points on a grid ten times as fine."""
    a, b, c, d = np.random.default_rng(seed).uniform(1, 3, 4)

    def f(x, y):
        return np.sin(a * x + b) * np.cos(c * y + d) + 0.1 * x

    inside = sum(map(signed, rings(X, Y, f(U, V), 0.2)))
    fine = f(*np.meshgrid(np.linspace(-2, 2, 1001), np.linspace(-1.5, 1.5, 1001)))
    assert inside == pytest.approx(12 * (fine > 0.2).mean(), abs=0.03)


def sample(seconds: float = 0.0) -> Chart:
    chart = Chart(Axis(-2, 2, grid=False), Axis(-1.5, 1.5, grid=False), "a map", names="below")
    chart.add(Area(rings(X, Y, np.hypot(U, V), 1.0), "quiet", 0.2))
    chart.add(
        Walk([0.0, 1.0, 1.0], [0.0, 0.0, 1.0], "square", "s1", (9, 3), seconds=seconds, name="goes", title="went")
    )
    chart.add(Arrow((0.0, 0.0), (1.0, 1.0), "s2", name="jump", title="<jump>"))
    return chart


def test_a_walk_is_drawn_with_every_turn_and_without_what_lies_between():
    chart = Chart(Axis(-2, 2, grid=False), Axis(-1.5, 1.5, grid=False), "a map")
    chart.add(Walk([-2.0, -1.0, 0.0, 1.0, 0.0, -1.0, 0.5, 0.5], [0.0] * 7 + [1.0], "square", "s1"))
    [line] = re.findall(r'<path class="line s1"[^>]* d="M([^"]*)"', svg(chart, 460, 300))
    x = [float(place.split()[0]) for place in line.split("L")]
    a, unit = x[0], (x[1] - x[0]) / 3
    assert [round((at - a) / unit - 2, 2) for at in x] == [-2, 1, -1, 0.5, 0.5]


def test_the_svg_has_area_walk_and_arrow_and_moves_only_if_asked():
    still, moving = svg(sample()), svg(sample(4.0))
    for text in (still, moving):
        ElementTree.fromstring(text)
        assert 'fill-rule="evenodd"' in text
        assert "&lt;jump&gt;" in text
    assert "animateTransform" not in still
    values = moving.split('values="')[1].split('"')[0].split(";")
    assert len(values) == MOMENTS + 1
    assert 'dur="4s"' in moving
    assert 'class="grid" d="M' not in still  # neither axis has a grid


def test_a_mark_that_walks_is_half_way_in_the_middle_of_its_steps():
    moving = svg(sample(4.0))
    values = [tuple(map(float, place.split())) for place in moving.split('values="')[1].split('"')[0].split(";")]
    (x0, y0), (x1, y1), (x2, y2) = values[0], values[MOMENTS // 2], values[-1]
    assert x1 > x0
    assert y1 == y0
    assert (x2, y2 < y1) == (x1, True)


def test_the_axes_have_the_same():
    ax = axes.on(sample(), Figure().add_subplot())
    line = next(line for line in ax.lines if line.get_label() == "goes")
    assert list(line.get_xdata()) == [0.0, 1.0, 1.0]
    assert (line.get_marker(), line.get_markevery()) == (palette.MARKS["square"][1], [2])
    assert len(ax.patches) == 1
    assert ax.get_legend().get_texts()[1].get_text() == "jump"
