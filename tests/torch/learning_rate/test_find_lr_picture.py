"""The picture of a finding: in the terminal, as SVG, by matplotlib, and on its page."""

import base64
import gzip
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import matplotlib.image
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.text import Text

from descend.draw.chart import Flag, Mark
from descend.draw.palette import LIGHT
from descend.draw.svg import svg
from descend.torch.learning_rate import LRFinding
from descend.torch.learning_rate.curve import record
from descend.torch.learning_rate.picture import chart
from descend.torch.learning_rate.strategy import Evidence, Probe

matplotlib.use("Agg")

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
    text = found.draw(width)
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


def test_it_saves_by_the_ending_and_refuses_others(tmp_path):
    found = CASES["probes"]
    for ending in ("svg", "png", "pdf", "html"):
        assert found.save(tmp_path / f"x.{ending}").stat().st_size > 3000
    with pytest.raises(ValueError, match=r"x.gif: the name must end in .svg, .png, .pdf or .html"):
        found.save(tmp_path / "x.gif")
    assert found.save(str(tmp_path / "y.SVG")).exists()


def test_without_matplotlib_it_prints_and_says_what_to_install(capsys, tmp_path, monkeypatch):
    found = CASES["probes"]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert found.plot() is None
    assert capsys.readouterr().out == found.draw() + "\n"
    with pytest.raises(ModuleNotFoundError, match=r"x.png: this needs matplotlib: pip install 'descend\[plot\]'"):
        found.save(tmp_path / "x.png")
    for ending in ("svg", "html"):
        assert found.save(tmp_path / f"x.{ending}").exists()


SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("case", CASES)
def test_the_svg_shows_every_suggestion_the_band_and_the_choice(case):
    found = CASES[case]
    root = ElementTree.fromstring(svg(chart(found), 820, 340))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"valley", "steepest", "minimum/10", "slide", "widest stable", f"lr {found.lr:.2g}"} <= set(texts)
    assert f"Adam: learning rate {found.lr:.2g}" in texts
    assert ("validation loss" in texts) == (case == "validation")
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == root.get("aria-label")
    assert f"{found.lr:.2g}" in root.get("aria-label")


@pytest.mark.parametrize("width", [340, 820])
@pytest.mark.parametrize("case", CASES)
def test_everything_is_on_the_sheet_and_labels_do_not_overlap(case, width):
    root = ElementTree.fromstring(svg(chart(CASES[case]), width, 300))
    wide, tall = (float(x) for x in root.get("viewBox").split()[2:])
    for element in root.iter():
        path = element.get("d") if "transform" not in element.attrib else ""
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path or ""):
            assert 0 <= float(x) <= wide
            assert 0 <= float(y) <= tall
        if place := element.get("transform"):
            x, y = map(float, re.match(r"translate\(([-\d.]+) ([-\d.]+)\)", place).groups())
            assert 4 <= x <= wide - 4
            assert 4 <= y <= tall - 4
    boxes = [_box(element) for element in root.iter(f"{SVG}text")]
    for k, (left, right, top, bottom) in enumerate(boxes):
        assert 0 <= left < right <= wide, boxes[k]
        for other in boxes[k + 1 :]:
            apart = right <= other[0] or other[1] <= left or bottom <= other[2] or other[3] <= top
            assert apart, (boxes[k], other)


def _box(text: ElementTree.Element) -> tuple[float, float, float, float]:
    size = 16 if text.get("class") == "head" else 12
    width, x, y = 0.54 * size * len(text.text), float(text.get("x")), float(text.get("y"))
    left = x - {"start": 0, "middle": width / 2, "end": width}[text.get("text-anchor", "start")]
    return left, left + width, y - 0.72 * size, y


@pytest.mark.parametrize("case", CASES)
def test_on_matplotlibs_axes_everything_is_drawn_and_no_label_hides_another(case):
    found = CASES[case]
    ax = found.plot()
    figure = ax.figure
    figure.draw_without_rendering()
    texts = [text for text in [*ax.texts, *ax.get_legend().get_texts(), ax.xaxis.label] if text.get_text()]
    said = {text.get_text() for text in texts}
    assert {"valley", "steepest", "minimum/10", "slide", "widest stable", f"lr {found.lr:.2g}"} <= said
    assert ("validation loss" in said) == (case == "validation")
    assert ax.get_title("left") == f"Adam: learning rate {found.lr:.2g}"
    boxes = [Text.get_window_extent(text) for text in texts]  # without the leads
    for k, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        for other in boxes[k + 1 :]:
            apart = box.x1 <= other.x0 or other.x1 <= box.x0 or box.y1 <= other.y0 + 2 or other.y1 <= box.y0 + 2
            assert apart, (box, other)
    line = next(line for line in ax.lines if line.get_color() == LIGHT["s1"])
    assert list(line.get_xdata()) == [found.lr, found.lr]
    pyplot.close(figure)


def test_it_draws_on_axes_that_are_given():
    ax = Figure().add_subplot()
    assert CASES["probes"].plot(ax=ax) is ax
    assert ax.get_xscale() == "log"
    assert ax.lines


def test_the_probe_that_diverged_is_a_cross_at_the_top():
    made = chart(CASES["probes"])
    hollow = [shape for shape in made.shapes if isinstance(shape, Mark) and shape.hollow]
    assert [(ring.x, ring.y) for ring in hollow] == [(0.01, 0.6), (0.02, 0.3), (0.05, 0.25)]
    (cross,) = [shape for shape in made.shapes if isinstance(shape, Mark) and shape.sign == "cross"]
    assert cross.x == 0.1
    assert 0.9 * made.y.high < cross.y < made.y.high


def test_the_png_is_a_png_with_ink_where_the_line_is(tmp_path):
    pixels = matplotlib.image.imread(CASES["probes"].save(tmp_path / "x.png"))[..., :3]
    assert pixels.shape[1] >= 1600
    ink = np.abs(pixels - [int(LIGHT["s1"][k : k + 2], 16) / 255 for k in (1, 3, 5)]).max(axis=-1) < 0.02
    column = int(ink.sum(axis=0).argmax())
    rows = np.flatnonzero(ink[:, column])
    assert len(rows) > 0.5 * len(pixels)  # the chosen rate: one line from bottom to top
    flag = next(shape for shape in chart(CASES["probes"]).shapes if isinstance(shape, Flag) and shape.bold)
    share = (math.log(flag.x) - math.log(LR[0])) / (math.log(1.8) - math.log(LR[0]))
    assert column / pixels.shape[1] == pytest.approx(share, abs=0.05)
    assert pixels[2, 2].tolist() == [1, 1, 1]


def test_the_same_picture_is_the_same_file(tmp_path):
    for ending in ("svg", "png", "pdf", "html"):
        one, two = (CASES["probes"].save(tmp_path / f"{k}.{ending}").read_bytes() for k in (1, 2))
        assert one == two, ending


@pytest.mark.parametrize("case", CASES)
def test_the_page_stands_alone_and_carries_every_number(case):
    page = CASES[case].to_html()
    carried = re.search(r"data:application/gzip;base64,([^\"]+)", page)
    assert json.loads(gzip.decompress(base64.b64decode(carried[1]))) == CASES[case].as_dict()
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="([^"]{0,29})', page) == ["data:application/gzip;base64,"]
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
