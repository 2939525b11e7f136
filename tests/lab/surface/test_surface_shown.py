"""What a run on a surface shows: pictures, pages, animations, tables; and the functions and commands of others."""

import json
import math
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from descend.cli import descend
from descend.draw import axes
from descend.draw.chart import Area, Arrow, Mark, Note, Oval, Walk
from descend.draw.palette import LIGHT
from descend.lab.surface import own, roll, run


def call(*words: str, width: int = 100):
    return CliRunner().invoke(descend, ["surface", *words], env={"COLUMNS": str(width)})


def of_kind(chart, kind):
    return [shape for shape in chart.shapes if isinstance(shape, kind)]


def test_a_diverged_path_ends_at_the_frame_with_a_cross_and_its_step():
    paths = run("valley", ["nesterov_accumulation", "adam"], lr=0.9, steps=30)
    chart = paths.chart()
    cross = next(mark for mark in of_kind(chart, Mark) if mark.sign == "cross")
    walk, other = of_kind(chart, Walk)
    assert abs(cross.y) == pytest.approx(4.0)
    assert (walk.x[-1], walk.y[-1]) == (cross.x, cross.y)
    assert len(walk.x) == len(other.x) == 31  # having ended it rests: all make a step at the same time
    assert walk.x[paths[0].left] == walk.x[-1]
    assert walk.x[paths[0].left - 1] != walk.x[-1]
    before, after = paths[0].points[paths[0].left - 1 : paths[0].left + 1]
    share = (cross.y - before[1]) / (after[1] - before[1])
    assert cross.x == pytest.approx(before[0] + share * (after[0] - before[0]))  # on the way of that step
    assert (walk.ends, other.ends) == (False, True)
    assert "diverged" in cross.title
    assert [note.text for note in of_kind(chart, Note)] == [f"step {paths[0].left}"]
    assert walk.name.endswith(f"diverged at step {paths[0].diverged}")


def test_jump_and_correction_make_the_step_and_nesterovs_slope_is_that_of_the_jumps_end():
    paths = run("valley", ["momentum_velocity", "nesterov_lookahead", "adam"], lr=0.3, steps=20, arrows=5)
    arrows = of_kind(paths.chart(), Arrow)
    assert len(arrows) == 2 * (5 + 4)  # the first step has no jump; Adam has no velocity
    surface = paths.surface
    for path, mine in zip(list(paths)[:2], (arrows[:9], arrows[9:]), strict=True):
        jump, correction = mine[1], mine[2]  # of step 2
        assert jump.start == pytest.approx(path.points[1])
        assert jump.end == correction.start
        assert correction.end == pytest.approx(path.points[2])
        asked = jump.start if path.rule == "momentum_velocity" else jump.end
        moved = np.subtract(correction.end, correction.start)
        assert moved == pytest.approx(-0.3 * np.array(surface.gradient(*asked)))
        assert ("began" in correction.title) == (path.rule == "momentum_velocity")


def test_the_state_is_drawn_as_adams_own_numbers_have_it():
    """m, v and steps by Kingma & Ba's Algorithm 1, transcribed; arrows point that way, and the ellipse is √v."""
    paths = run("beale", ["adam", "gradient_descent"], lr=0.05, steps=40, states=5)
    surface, chart = paths.surface, paths.chart()
    ovals, arrows = of_kind(chart, Oval), of_kind(chart, Arrow)
    assert len(ovals) == 5  # gradient descent has no v
    p, m, v = np.array(surface.start), np.zeros(2), np.zeros(2)
    known, roots, steps = {}, [], []
    for t in range(1, 41):
        g = np.array(surface.gradient(*p))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        step = -0.05 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        known[t] = (p, -g, -m, step, np.sqrt(v))
        roots.append(np.sqrt(v))
        steps.append(step)
        p = p + step
    low, high = np.array(surface.frame).T
    longest = max(np.hypot(*(step / (high - low))) for step in steps)
    for oval in ovals:
        t = int(re.search(r"step (\d+) of adam", oval.title)[1])  # pyright: ignore[reportOptionalSubscript]
        at, *vectors, root = known[t]
        assert (oval.x, oval.y) == pytest.approx(at)
        assert (oval.wide, oval.high) == pytest.approx(40 * root / np.max(roots), abs=1.0)
        mine = [arrow for arrow in arrows if arrow.title.startswith(f"step {t} of adam")]
        for arrow, vector in zip(mine, vectors, strict=True):
            way = np.subtract(arrow.end, arrow.start)
            assert way / np.hypot(*way) == pytest.approx(vector / np.hypot(*vector))
        size = np.hypot(*(np.subtract(mine[2].end, mine[2].start) / (high - low)))
        assert size == pytest.approx(0.09 * np.sqrt(np.hypot(*(vectors[2] / (high - low))) / longest))
    names = [shape.name for shape in chart.named]
    assert names[:4] == ["√v", "against the gradient", "the average m", "the step"]
    walk = of_kind(chart, Walk)[0]
    assert [type(shape) for shape in walk.beside(7)] == [Oval, Arrow, Arrow, Arrow]
    assert walk.beside(40) == []  # no step goes from the last point
    assert not [shape for shape in run("beale", ["adam"], steps=40).chart().shapes if isinstance(shape, Oval)]


def test_states_stand_apart_and_none_beyond_the_frame():
    paths = run("valley", ["gradient_descent"], lr=1.02, steps=30, states=4)
    assert paths[0].left is not None
    chart = paths.chart()
    starts = {arrow.start for arrow in of_kind(chart, Arrow)}
    assert 1 <= len(starts) <= 4
    assert paths.surface.holds(np.array(sorted(starts))).all()
    with pytest.raises(ValueError, match="states must be a whole number from 0 to 200"):
        run("valley", states=-1)


def test_bands_are_higher_the_more_of_them_lie_on_a_place():
    areas = of_kind(run("booth", ["adam"], steps=2).chart(), Area)
    assert len(areas) > 8
    assert all((ring[0] == ring[-1]).all() for area in areas for ring in area.rings)
    low, high = areas[0], areas[-1]
    size = [sum(abs(np.trapezoid(ring[:, 1], ring[:, 0])) for ring in area.rings) for area in (low, high)]
    assert size[1] < size[0]


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)


def test_the_page_is_one_file_without_script_and_says_the_numbers():
    paths = run("himmelblau", steps=500)
    text = paths.to_html()
    page = Page(text)
    assert "script" not in page.tags
    assert "animatetransform" in page.tags
    assert len(text.encode()) < 700_000
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
    for path in paths:
        assert path.rule in text
    assert "NaN" not in text


def test_eight_rules_of_500_steps_make_a_page_below_700_kb():
    rules = [
        "gradient_descent",
        "momentum_accumulation",
        "nesterov_accumulation",
        "adagrad",
        "rmsprop",
        "adam",
        "lion",
        "rprop",
    ]
    assert len(run("rosenbrock", rules, steps=500).to_html().encode()) < 700_000


def test_the_points_are_on_the_page_for_download():
    paths = run("booth", ["adam", "lion"], steps=3)
    lines = paths.to_csv().splitlines()
    assert lines[0] == "rule,step,x,y,height"
    assert len(lines) == 1 + 2 * 4
    x, y = paths["lion"].points[2]
    assert lines[7].startswith(f"lion,2,{x:.9g},{y:.9g},")
    assert 'download="surface-booth.csv.gz"' in paths.to_html()


@pytest.mark.slow
def test_all_files_are_written(tmp_path: Path):
    from PIL import Image

    paths = run("saddle", ["adam", "lion"], steps=6)
    for ending in ("svg", "png", "pdf", "html", "json", "gif", "apng"):
        assert paths.save(tmp_path / f"x.{ending}").stat().st_size > 1000
    ElementTree.parse(tmp_path / "x.svg")
    for ending, kind in (("gif", "GIF"), ("apng", "PNG")):
        with Image.open(tmp_path / f"x.{ending}") as image:
            assert (image.format, image.n_frames) == (kind, 7)  # pyright: ignore[reportAttributeAccessIssue]
            image.seek(6)
            seen = np.asarray(image.convert("RGB"), int).reshape(-1, 3)
        for wanted in (LIGHT["s0"], LIGHT["s1"], LIGHT["paper"]):  # few colours, and still those of the series
            rgb = [int(wanted[k : k + 2], 16) for k in (1, 3, 5)]
            assert np.abs(seen - rgb).max(1).min() < 8
    assert json.loads((tmp_path / "x.json").read_text())["paths"][1]["rule"] == "lion"
    with pytest.raises(ValueError, match=r"must end in \.svg, "):
        paths.save(tmp_path / "x.bmp")


def colours(picture: np.ndarray) -> list[int]:
    """How far the nearest pixel is from the paper and from the first two series."""
    seen = picture.reshape(-1, 3).astype(int)
    wanted = [[int(LIGHT[name][k : k + 2], 16) for k in (1, 3, 5)] for name in ("paper", "s0", "s1")]
    return [int(np.abs(seen - rgb).max(1).min()) for rgb in wanted]


@pytest.mark.slow
def test_a_film_has_every_step_a_rest_and_the_colours_of_the_series(tmp_path: Path):
    """As ffmpeg reads it back: pictures, rate, code, and the state that goes along with the marks."""
    if not (program := axes.ffmpeg()):
        pytest.skip("no ffmpeg, and no imageio-ffmpeg")
    found = {}
    for states in (0, 1):
        film = run("beale", ["adam", "lion"], steps=20, states=states).save(tmp_path / f"{states}.mp4")
        words = [program, "-i", str(film), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        done = subprocess.run(words, capture_output=True, check=True)
        about = re.search(r"h264 .* (\d+)x(\d+)[ ,].* 15 fps", done.stderr.decode())
        assert about is not None
        wide, high = map(int, about.groups())
        found[states] = np.frombuffer(done.stdout, np.uint8).reshape(-1, high, wide, 3)
        assert len(found[states]) == 21 + 22  # every step, and a second and a half at the end
        assert all(distance < 40 for distance in colours(found[states][-1]))  # half the resolution in colours
    apart = [np.abs(a.astype(int) - b).max(2) > 60 for a, b in zip(found[0], found[1], strict=True)]
    # The key says more below the map, and on the map the ellipses and arrows go along with the marks.
    assert apart[5][:350].sum() > 50
    assert apart[5][:350].sum() != apart[15][:350].sum()


def test_without_ffmpeg_a_film_is_refused_before_anything_runs(tmp_path: Path, monkeypatch):
    ball = roll("valley", steps=3)
    monkeypatch.setattr(axes, "ffmpeg", lambda: "")
    monkeypatch.setattr("descend.lab.surface.running.run", lambda *_, **__: pytest.fail("it ran"))
    done = call("saddle", "-o", str(tmp_path / "x.mp4"))
    assert done.exit_code == 2
    assert "needs ffmpeg" in done.output
    assert "descend[video]" in done.output
    with pytest.raises(ModuleNotFoundError, match=r"x\.mp4: this needs ffmpeg"):
        ball.save(tmp_path / "x.mp4")


def test_what_ffmpeg_says_is_told(tmp_path: Path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\ncat > /dev/null\necho no such encoder >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("descend.draw.animation.ffmpeg", lambda: str(program))
    monkeypatch.setattr("descend.draw.axes.ffmpeg", lambda: str(program))
    with pytest.raises(OSError, match=r"could not write x\.mp4: no such encoder"):
        run("saddle", ["adam"], steps=3).save(tmp_path / "x.mp4")


def test_it_plots_on_axes_of_yours_and_shows_itself_in_a_notebook():
    from matplotlib.figure import Figure

    paths = run("booth", ["adam", "lion"], steps=5)
    ax = Figure().add_subplot()
    assert paths.plot(ax) is ax
    assert {line.get_label() for line in ax.lines} >= {"adam", "lion"}
    assert "<svg" in paths._repr_html_()
    assert repr(paths) == "Paths('booth', adam, lion)"


def test_a_ball_is_drawn_beside_its_steps():
    found = roll("valley", steps=20)
    assert found.ball is not None
    names = [shape.name for shape in found.chart().named]
    assert names == ["the ball, Newton's law", "momentum_velocity"]
    assert json.loads(found.to_json())["ball"]["dt"] == 0.2


# ------------------------------------------------------------------ functions of others


def bowl(x, y):
    return (x - 1) ** 2 + 2 * (y + 2) ** 2


def scalar_bowl(x, y):
    return math.pow(x - 1, 2) + 2 * math.pow(y + 2, 2)


@pytest.mark.parametrize("library", ["", *(pytest.param(name, marks=pytest.mark.slow) for name in ("torch", "jax"))])
def test_a_function_of_any_library_walks_the_same_path(library: str, tmp_path: Path):
    module = {"": "import math as m", "torch": "import torch as m", "jax": "import jax.numpy as m"}[library]
    file = tmp_path / f"surface_{library}.py"
    file.write_text(
        f"{module}\nSTART = (3, 2)\nLR = 0.1\nSTEPS = 30\ndef f(x, y): return m.exp(x / 2) - x + 2 * (y + 2) ** 2\n"
    )
    done = call(f"{file}:f", "--rules", "gradient_descent", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    p = np.array([3.0, 2.0])
    for _ in range(30):
        p -= 0.1 * np.array([math.exp(p[0] / 2) / 2 - 1, 4 * (p[1] + 2)])
    accuracy = 1e-5 if library == "jax" else 1e-6
    assert np.allclose(told["paths"][0]["end"], p, atol=accuracy)
    assert np.allclose(told["minima"], [(2 * math.log(2), -2)], atol=1e-3)


@pytest.mark.parametrize("f", [bowl, scalar_bowl])
def test_its_minimum_is_found(f):
    surface = own(f)
    assert np.allclose(surface.minima, [(1, -2)], atol=1e-6)
    assert run(f, ["gradient_descent"], lr=0.2, steps=60)[0].reached is not None


def test_equally_low_minima_are_all_found_and_frames_are_the_users():
    surface = own(lambda x, y: (x * x - 1) ** 2 + y * y, frame=((-2, 2), (-1, 1)))
    assert np.allclose(sorted(surface.minima), [(-1, 0), (1, 0)], atol=1e-5)
    assert surface.start == (-1.2, -0.6)
    with pytest.raises(ValueError, match="frame must be"):
        own(bowl, frame=((1, 1), (0, 1)))


def test_a_function_that_gives_no_number_is_refused():
    def broken(x, y):
        return 1 / 0

    with pytest.raises(ValueError, match=r"broken\(x, y\) at .* gave no number: ZeroDivisionError"):
        own(broken)


# ------------------------------------------------------------------ the command


def test_without_a_name_it_lists_the_surfaces():
    assert "saddle" in call().output
    assert call("-q").output.split()[:2] == ["saddle", "valley"]
    assert json.loads(call("--json").stdout)[0]["name"] == "saddle"


def test_a_run_prints_a_table_its_story_and_what_it_wrote(tmp_path: Path):
    file = tmp_path / "saddle.svg"
    first = call("saddle", "-o", str(file))
    assert first.exit_code == 0, first.output
    assert "gradient_descent" in first.output
    assert "lingers" in first.output
    assert first.output.endswith(f"wrote {file}\n")
    assert call("saddle", "-o", str(file)).output.endswith(f"replaced {file}\n")
    assert call("saddle", "-q", "--rules", "rmsprop").output == "rmsprop 0.03 27\n"
    assert "lingers" not in call("saddle", "--lr", "0.01").output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sadle"], "Did you mean 'saddle'"),
        (["nowhere.py:f"], "there is no file nowhere.py"),
        (["saddle", "--start", "1"], "two numbers with a comma"),
        (["saddle", "--rules", "adm"], "Did you mean 'adam'"),
        (["saddle", "--rules", "ema"], "it is a modifier"),
        (["saddle", "--tuned", "--lr", "1"], "--tuned and --lr exclude each other"),
        (["saddle", "--ball", "--lr", "1"], "--ball has its own rule and rate"),
        (["saddle", "--ball", "--dt", "5"], "dt must be at most mass/friction"),
        (["saddle", "--json", "-q"], "--json and --quiet exclude each other"),
        (["saddle", "-o", "x.bmp"], "the name must end in"),
    ],
)
def test_bad_usage_exits_2_before_anything_runs(words: list[str], says: str):
    done = call(*words)
    assert done.exit_code == 2, done.output
    assert says in " ".join(done.output.split())


def test_a_file_that_stops_or_lacks_the_function_is_said(tmp_path: Path):
    file = tmp_path / "stops.py"
    file.write_text("raise RuntimeError('no')")
    assert "stops.py, line 1: RuntimeError: no" in call(str(file)).output
    file.write_text("g = 1")
    assert "stops.py has no function f(x, y)" in call(str(file)).output
