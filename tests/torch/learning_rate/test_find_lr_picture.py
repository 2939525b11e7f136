"""The picture of a finding: terminal, SVG, PNG, HTML."""

import math
import re
import struct
import xml.etree.ElementTree as ElementTree
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

from descend.draw.raster import Canvas, dashed
from descend.draw.scene import LIGHT, Area, Dot, Line, Scale, Text
from descend.draw.strokes import GLYPHS, strokes
from descend.torch.learning_rate import LRFinding
from descend.torch.learning_rate.curve import record
from descend.torch.learning_rate.picture import Picture, scene
from descend.torch.learning_rate.strategy import Evidence, Probe

LR = np.geomspace(1e-6, 10, 300)


def made(probes: bool = True, val: bool = False, shift: float = 0.0) -> LRFinding:
    """A finding from invented curves."""

    def sweep(seed):
        noise = np.random.default_rng(seed).normal(0, 0.02, 300)
        fall = 2 / (1 + (3e-3 / LR) ** 1.5)
        return record(LR, 2.4 - fall + 30 * np.clip(LR - 1, 0, None) + noise + shift)

    tried = [Probe(0.01, 0.6 + shift, 75), Probe(0.02, 0.3 + shift, 75), Probe(0.05, 0.25 + shift, 75)]
    found = Evidence(
        [sweep(k) for k in range(3)], [*tried, Probe(0.1, math.inf, 9)] if probes else [], start=2.4 + shift
    )
    if val:
        found.sweeps[0] = type(found.sweeps[0])(
            *(getattr(found.sweeps[0], name) for name in ("lr", "raw", "smoothed", "diverged_at")),
            val=tuple((float(lr), 2.0) for lr in LR[:200:10]),
        )
    return LRFinding("Adam", found, (1e-3,), (1e-6, 10.0), 1234, 1.5)


CASES = {"probes": made(), "no probes": made(False), "validation": made(val=True), "negative": made(shift=-100.0)}


@pytest.mark.parametrize("width", [36, 40, 72, 100])
@pytest.mark.parametrize("case", CASES)
def test_the_terminal_picture_fits_its_width_and_says_everything(case, width):
    found = CASES[case]
    text = Picture(found, found.to_html).text(width)
    assert max(map(len, text.split("\n"))) <= width
    joined = " ".join(text.split())
    for part in (
        f"lr {found.lr:.2g}",
        "valley",
        "steepest",
        "minimum/10",
        "slide",
        "band",
        "widest stable",
        "one cycle",
    ):
        assert part in joined
    assert found.reason in joined
    assert any("\u2800" < sign < "\u28ff" for sign in text)


def test_plot_prints_and_returns_what_can_be_saved(capsys, tmp_path):
    picture = CASES["probes"].plot(60)
    assert capsys.readouterr().out == picture.text(60) + "\n"
    for ending in ("svg", "png", "html"):
        assert picture.save(tmp_path / f"x.{ending}").stat().st_size > 3000
    with pytest.raises(ValueError, match=r"x.pdf: the ending says what to write; .svg, .png or .html"):
        picture.save(tmp_path / "x.pdf")
    assert CASES["probes"].save(str(tmp_path / "y.SVG")).exists()


@pytest.mark.parametrize("case", CASES)
def test_the_svg_shows_every_suggestion_the_band_and_the_choice(case):
    found = CASES[case]
    root = ElementTree.fromstring(found.plot(40).svg())
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"valley", "steepest", "minimum/10", "slide", "widest stable", f"lr {found.lr:.2g}"} <= set(texts)
    assert f"Adam: learning rate {found.lr:.2g}" in texts
    assert ("validation loss" in texts) == (case == "validation")
    numbers = [float(n) for n in re.findall(r'c[xy]="([-0-9.]+)"', found.plot(40).svg())]
    assert all(0 <= number <= 820 for number in numbers)


@pytest.mark.parametrize("case", CASES)
def test_everything_is_on_the_sheet_and_labels_do_not_overlap(case):
    picture = scene(CASES[case])
    for shape in picture.shapes:
        points = (shape.at,) if isinstance(shape, Dot | Text) else shape.points
        assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in points), shape
    boxes = [_box(shape) for shape in picture.shapes if isinstance(shape, Text)]
    for k, (left, right, top, bottom) in enumerate(boxes):
        for other in boxes[k + 1 :]:
            apart = right <= other[0] or other[1] <= left or bottom <= other[2] or other[3] <= top
            assert apart, (boxes[k], other)


def _box(text: Text) -> tuple[float, float, float, float]:
    width = strokes(text.text, text.size)[1] * 0.95
    left = text.at[0] - {"start": 0, "middle": width / 2, "end": width}[text.anchor]
    return left, left + width, text.at[1] - 0.72 * text.size, text.at[1]


def test_the_probe_that_diverged_is_a_cross_at_the_top():
    picture = scene(CASES["probes"])
    hollow = [shape for shape in picture.shapes if isinstance(shape, Dot) and shape.hollow]
    assert len(hollow) == 3 + 1  # and the one of the key
    crosses = [s for s in picture.shapes if isinstance(s, Line) and s.colour == "quiet" and len(s.points) == 2]
    assert len(crosses) == 2


def test_the_png_is_a_png_with_ink_where_the_line_is():
    found = CASES["probes"]
    from descend.draw.raster import png

    data = png(scene(found), scale=1.0)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert (width, height) == (820, 500)
    length = struct.unpack(">I", data[33:37])[0]
    rows = np.frombuffer(zlib.decompress(data[41 : 41 + length]), np.uint8).reshape(height, 1 + 3 * width)
    pixels = rows[:, 1:].reshape(height, width, 3)
    chosen = next(s for s in scene(found).shapes if isinstance(s, Line) and s.colour == "chosen")
    (x, y0), (_, y1) = chosen.points
    assert pixels[int((y0 + y1) / 2), int(x)].tolist() == pytest.approx(rgb("chosen"), abs=40)
    assert pixels[2, 2].tolist() == [255, 255, 255]


def rgb(name: str) -> list[int]:
    return [int(LIGHT[name][k : k + 2], 16) for k in (1, 3, 5)]


def test_areas_and_lines_cover_what_they_should():
    canvas = Canvas(20, 20, 1.0)
    canvas.draw(Area(((5, 5), (15, 5), (15, 15), (5, 15)), "ink"))
    ink = (1 - canvas.pixels[..., 0]) / (1 - int(LIGHT["ink"][1:3], 16) / 255)
    assert ink.sum() == pytest.approx(100, rel=1e-9)
    assert ink[5:15, 5:15].min() == pytest.approx(1)
    canvas = Canvas(40, 20, 1.0)
    canvas.draw(Line(((10, 10), (30, 10)), "ink", 4))
    assert canvas.pixels[10, 20, 0] < 0.2
    assert canvas.pixels[4, 20, 0] == 1.0
    pieces = dashed(np.array([[0.0, 0.0], [10.0, 0.0]]), (3, 2), 1.0)
    assert [piece[:, 0].tolist() for piece in pieces] == [[0, 3], [5, 8]]


def test_every_sign_of_every_text_has_a_glyph():
    signs = {sign for found in CASES.values() for s in scene(found).shapes if isinstance(s, Text) for sign in s.text}
    assert signs - set(GLYPHS) <= {" "}
    for sign, text in GLYPHS.items():
        for stroke in text.split():
            points = list(zip(stroke[::2], stroke[1::2], strict=True))
            assert all(int(x) <= 4 and int(y) <= 8 for x, y in points), sign


@pytest.mark.parametrize("case", CASES)
def test_the_page_stands_alone(case):
    page = CASES[case].to_html()
    assert "<script" not in page
    assert not re.search(r'(src|href)="', page)
    assert CASES[case].reason.split(" (")[0].split("×")[0] in page
    open_tags: list[str] = []

    class Balanced(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag not in ("meta", "circle", "path", "rect"):
                open_tags.append(tag)

        def handle_endtag(self, tag):
            if tag not in ("meta", "circle", "path", "rect"):
                assert open_tags.pop() == tag

    Balanced().feed(page)
    assert open_tags == []


def test_scales():
    log = Scale(1e-6, 10, 0, 700, log=True)
    assert log(1e-3) == pytest.approx(300)
    assert log.ticks(9) == pytest.approx([10.0**k for k in range(-6, 2)])
    assert len(log.ticks(4)) == 4
    assert Scale(0, 2.4, 0, 1).ticks(6) == pytest.approx([0, 0.5, 1, 1.5, 2])
