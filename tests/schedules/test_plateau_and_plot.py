"""The schedule with a memory, and pictures of schedules."""

import copy
import json
import math

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from descend import schedules
from descend.draw.braille import braille
from descend.schedules import constant, cosine, from_json, linear, plateau, step_decay


def fallen():
    p = plateau(patience=1, factor=0.5, cooldown=1)
    for metric in (1.0, 2.0, 2.0):
        p.observe(metric)
    return p


def test_it_multiplies_others_and_acts_at_once():
    p = plateau(patience=0, factor=0.5)
    s = 0.1 * linear(10) * p
    assert s(5) == 0.05
    p.observe(1.0)
    p.observe(1.0)
    assert s(5) == 0.025
    assert s(np.array([0, 5])).tolist() == [0.05, 0.025]


def test_its_state_goes_on():
    p, q = fallen(), plateau(patience=1, factor=0.5, cooldown=1)
    assert (p.value, p == q, hash(p) == hash(q)) == (0.5, False, True)
    q.load_state_dict(p.state_dict())
    assert p == q
    for metric in (3.0, 3.0, 3.0, 0.1, 5.0, 5.0):
        assert p.observe(metric) == q.observe(metric)
    assert copy.deepcopy(p) == p
    assert copy.deepcopy(p) is not p
    s = 2 * fallen()
    assert from_json(s.to_json()) == s
    assert from_json(s.to_json())(0) == 1.0


def test_the_state_of_a_whole_schedule():
    s = fallen() * (cosine(10) + plateau())
    other = plateau(patience=1, factor=0.5, cooldown=1) * (cosine(10) + plateau())
    other.load_state_dict(s.state_dict())
    assert other == s
    assert cosine(3).state_dict() == {"plateaus": []}
    with pytest.raises(ValueError, match="has 0 plateaus inside, the saved one 2"):
        cosine(3).load_state_dict(s.state_dict())
    with pytest.raises(ValueError, match="the state of a plateau has value, best"):
        plateau().load_state_dict({"value": 1})


def test_its_repr_says_what_it_has_seen():
    s = 0.1 * fallen() * linear(10)
    assert eval(repr(s), vars(schedules)) == s
    assert eval(repr(s), vars(schedules))(0) == s(0) == 0.05
    assert repr(plateau(factor=0.5)) == "plateau(factor=0.5)"


@pytest.mark.parametrize(("mode", "best"), [("max", math.inf), ("min", -math.inf)])
def test_an_infinite_best_stays_the_best(mode, best):
    p, q = plateau(mode, 0.5, patience=0), plateau(mode, 0.5, patience=0)
    p.observe(best)
    assert p != q
    q.load_state_dict(json.loads(json.dumps(p.state_dict(), allow_nan=False)))
    for other in (q, from_json(p.to_json()), eval(repr(p), vars(schedules))):
        assert other == p
        assert (other.best, other.observe(1.0)) == (best, 0.5)


@pytest.mark.parametrize("second", [
    {"x": 1}, {}, None, {"value": "a", "best": None, "bad": 0, "cooling": 0},
    {"value": 0.3, "best": math.nan, "bad": 0, "cooling": 0}, {"value": None, "best": None, "bad": 0, "cooling": 0},
])  # fmt: skip
def test_a_bad_state_changes_nothing(second):
    s = fallen() * plateau(factor=0.5)
    before = s.state_dict()
    first = {"value": 0.3, "best": 3.0, "bad": 1, "cooling": 0}
    with pytest.raises(ValueError, match="the state of a plateau"):
        s.load_state_dict({"plateaus": [first, second]})
    for state in ({}, None, {"plateaus": 3}):
        with pytest.raises(ValueError, match="the state of a schedule has 'plateaus'"):
            s.load_state_dict(state)
    assert s.state_dict() == before


@pytest.mark.parametrize(("settings", "says"), [
    ({"mode": "least"}, "mode must be 'min' or 'max'"), ({"threshold_mode": "x"}, "threshold_mode must be"),
    ({"factor": 1.0}, "factor must be below 1"), ({"factor": -0.1}, "factor must not be negative"),
    ({"patience": -1}, "patience must not be negative"), ({"min_lr": math.nan}, "min_lr must be finite"),
    ({"start": math.inf}, "start must be finite"), ({"state": [1.0]}, "the state of a plateau has"),
])  # fmt: skip
def test_bad_settings_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        plateau(**settings)
    with pytest.raises(TypeError, match="a metric is a number"):
        plateau().observe("0.3")


def test_a_schedule_draws_itself():
    picture = ["1 ┤⠑⢄", "  ┤  ⠑⢄", "  ┤    ⠑⢄", "0 ┤      ⠑⢄", "   0     16"]
    assert linear(16).draw(width=8, height=4).splitlines() == picture
    assert "1000" in step_decay(300).draw()
    assert " 50" in step_decay(300).draw(50)
    with pytest.raises(ValueError, match="a plot needs a number of steps above 0"):
        constant().draw(0)


def test_without_matplotlib_it_prints(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cosine(30).plot() is None
    assert capsys.readouterr().out == cosine(30).draw() + "\n"


def test_with_matplotlib_it_returns_axes():
    matplotlib.use("Agg")
    ax = Figure().add_subplot()
    assert cosine(30).plot(ax=ax) is ax
    (line,) = ax.lines
    assert list(line.get_xdata()) == list(range(31))
    assert list(line.get_ydata()) == cosine(30)(range(31)).tolist()
    assert ax.get_xlabel() == "step"
    own = cosine(30).plot(10)
    assert own.get_xlim() == (0, 10)
    pyplot.close(own.figure)


def rows(picture: str) -> list[str]:
    return [line.split("┤")[1] for line in picture.splitlines() if "┤" in line]


def test_dots_are_where_the_points_are():
    assert rows(braille([0, 3], [0, 7], 2, 2)) == [" ⡜", "⡜"]
    flat = rows(braille([0, 1], [5, 5], 4, 3))
    assert [row != "" for row in flat] == [False, True, False]


def test_logarithmic_axes():
    xs = [10.0**i for i in range(-6, 2)]
    assert rows(braille(xs, xs, 20, 5, log_x=True, log_y=True)) == rows(braille(range(8), range(8), 20, 5))
    picture = braille(xs, xs, 20, 5, log_x=True, log_y=True)
    assert "1e-06" in picture.splitlines()[-1]
    assert picture.splitlines()[0].startswith("   10 ┤")


def test_points_that_are_not_finite_break_the_line():
    whole = rows(braille(range(9), [1.0] * 9, 9, 2))
    broken = rows(braille(range(9), [1, 1, 1, math.nan, math.inf, math.nan, 1, 1, 1], 9, 2))
    assert " " in max(broken) or "⠀" in max(broken)
    assert " " not in max(whole)
    with pytest.raises(ValueError, match="no finite point"):
        braille([1, 2], [math.nan, math.inf])
    with pytest.raises(ValueError, match="no finite point"):
        braille([1, 2], [-1, 0], log_y=True)
    with pytest.raises(ValueError, match=r"2 by 2"):
        braille([1], [1], 1, 1)


def test_marks_are_labelled_and_kept_apart():
    xs = range(101)
    picture = braille(xs, xs, 40, 4, marks={"valley": 20, "steepest": 24, "far": 90, "outside": 300}).splitlines()
    labels = "\n".join(picture[: next(i for i, line in enumerate(picture) if "┤" in line)])
    assert [labels.count(name) for name in ("valley", "steepest", "far", "outside")] == [1, 1, 1, 0]
    assert len(labels.splitlines()) == 2
    assert max(map(len, picture)) <= 40 + 6
