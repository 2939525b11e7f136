"""The generated documentation: up to date, complete, small, and without any reference to the network."""

import functools
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from test_cli import printed

from descend import rules
from descend.explain import advice, facts, tree
from descend.optimizer import Optimizer
from docs.making import course, picture, runs
from docs.making import pages as docs

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["rules/README.md", *(f"rules/{family}.md" for family in rules.FAMILIES)]
pages = functools.cache(docs.pages)
PICTURES = sorted((DOCS / "gallery").glob("*.svg"))
COURSE = course.pages(DOCS)
NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]?\d+)?")


def said(path: str) -> str:
    return (DOCS / path).read_text(encoding="utf-8")


def alike(one: str, other: str) -> bool:
    """The same text, in which numbers may differ as processors do: paths by some tenths of a pixel, losses by 5 %."""
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return all(
        abs(float(a) - float(b)) <= max(2 * ("." not in a + b and "e" not in a + b), abs(float(a)) / 20)
        for a, b in pairs
    )


# Up to date


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_what_the_rules_say(path: str):
    assert list(pages()) == PAGES
    assert said(path) == pages()[path], "run `make docs`"


@pytest.mark.slow
def test_the_pictures_are_what_the_oracle_computes():
    made = {**dict(docs.pictures()), **course.pictures(DOCS)}
    assert said("gallery.md") == made.pop("gallery.md")
    assert [path for path, text in made.items() if not alike(said(path), text)] == [], "run `make docs`"
    assert docs.leftovers(DOCS, pages() | made) == []


def test_pictures_that_differ_are_noticed():
    svg = said("gallery/adam.svg")
    assert alike(svg, svg.replace("lr 0.3", "lr 0.301"))
    for one, other in [("lr 0.3", "lr 1"), ("adam", "adan"), (re.search(r"l\d+", svg)[0], "l999")]:
        assert not alike(svg, svg.replace(one, other, 1))


def test_check_notices_what_is_stale_missing_or_left_over(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(docs, "pictures", lambda: [("gallery/adam.svg", "<svg/>")])
    assert docs.main(["--into", str(tmp_path)]) == 0
    assert docs.main(["--check", "--into", str(tmp_path)]) == 0
    assert "up to date" in capsys.readouterr().out
    (tmp_path / "rules" / "gone.md").write_text("a family that is no more")
    (tmp_path / "rules" / "adam.md").write_text("edited by hand")
    (tmp_path / "gallery" / "adam.svg").unlink()
    assert docs.main(["--check", "--into", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert all(f"out of date: {name}" in told for name in ("rules/gone.md", "rules/adam.md", "gallery/adam.svg"))
    assert docs.main(["--into", str(tmp_path)]) == 0
    assert docs.main(["--check", "--into", str(tmp_path)]) == 0
    assert not (tmp_path / "rules" / "gone.md").exists()


# The course


@pytest.mark.parametrize("path", COURSE)
def test_a_page_of_the_course_shows_what_the_rules_say(path: str):
    assert said(path) == COURSE[path], "run `make docs`"


@pytest.mark.parametrize("path", sorted(COURSE)[:10])
def test_a_page_of_the_course_has_its_picture_its_rule_and_its_claim(path: str):
    text, folder = said(path), DOCS / "course"
    pictures = re.findall(r"!\[[^\]]{20,}\]\((?:\.\./)?([\w./-]+\.svg)\)", text)
    assert pictures, "no picture"
    assert all(f"docs/course/{name}`" in text for name in pictures if (folder / name).exists()), "no command"
    assert re.search(r"^<!-- (rule|source): ", text, re.MULTILINE), "no text of a rule"
    assert "## The claim" in text
    assert re.search(r"^print\(.*# ", text.split("## The claim")[1], re.MULTILINE), "no claim is run"
    assert "## Exercises" in text


def test_the_pictures_of_the_course_are_small_and_each_has_its_command():
    files = {file.relative_to(DOCS).as_posix(): file.stat().st_size for file in DOCS.glob("course/*.svg")}
    assert sorted(files) == sorted(course.commands(DOCS))
    assert max(files.values()) <= 100_000


def test_parts_of_a_page_are_filled_in_and_what_does_not_exist_is_refused():
    page = "A\n<!-- rule: adam -->\nstale\n<!-- end -->\nB\n<!-- claim: Up is down -->\n<!-- end -->\n"
    table = "| claim | here | what was found |\n| Up is down | holds | always so |\n"
    made = course.filled(page, table)
    assert made.startswith("A\n<!-- rule: adam -->\n\n```text\nm ← ")
    assert rules.adam.source.rstrip() in made
    assert "stale" not in made
    assert "> **Up is down: holds.** Always so." in made
    assert course.filled(made, table) == made
    for wrong in ("<!-- rule: adma -->\n<!-- end -->", "<!-- claim: No -->\n<!-- end -->"):
        with pytest.raises(KeyError):
            course.filled(wrong, table)


def test_a_picture_that_cannot_be_made_says_why(tmp_path):
    (tmp_path / "course").mkdir()
    (tmp_path / "course" / "1.md").write_text("`descend surface nowhere -o docs/course/x.svg`")
    with pytest.raises(RuntimeError, match="nowhere"):
        course.pictures(tmp_path)


# Complete


def test_every_rule_stands_on_exactly_one_page():
    headings = [name for path in PAGES for name in re.findall(r"^## (\w+)$", said(path), re.MULTILINE)]
    assert sorted(name for name in headings if name != "Modifiers") == sorted(facts.catalogue())


@pytest.mark.parametrize("name", facts.catalogue())
def test_an_entry_has_all_it_should(name: str):
    found = rules.get(name)
    entry = said(f"rules/{rules.family_of(name)}.md").split(f"## {name}\n")[1].split("\n## ")[0]
    assert f"```python\n{found.source.rstrip()}\n```" in entry
    assert facts.paper(found) in entry
    assert f"**{advice.REACH}.** " in entry
    assert f"**{advice.FAILS}.** " in entry
    assert "**Cost.** " in entry
    assert ("**Dialect.** " in entry) == bool(found.dialect)
    assert ("```diff" in entry) == (tree.parent(found) is not None)
    assert (f"](../gallery/{name}.svg)" in entry) == (found.kind == "rule")


def test_the_gallery_has_every_rule():
    assert [file.stem for file in PICTURES] == sorted(rules.all())
    assert re.findall(r"\]\(gallery/(\w+)\.svg\)", said("gallery.md")) == list(rules.all())


@pytest.mark.parametrize("file", [*PICTURES, *sorted(DOCS.glob("course/*.svg"))], ids=lambda file: file.stem)
def test_a_picture_needs_nothing_else(file: Path):
    root = ET.fromstring(file.read_text(encoding="utf-8"))
    told = root.get("aria-label", "")
    assert file.stem in told if file in PICTURES else len(told) > 20
    own = {f"#{element.get('id')}" for element in root.iter() if element.get("id")}
    for element in root.iter():
        tag = element.tag.split("}")[1]
        assert tag not in ("script", "image", "foreignObject", "a")
        for name, value in element.attrib.items():
            assert "href" not in name or (tag == "use" and value in own)  # a path of this file, drawn again
            assert not re.search(r"url\((?!#)", value)
    assert "http" not in file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")


def test_every_link_of_the_generated_pages_leads_somewhere():
    for path in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", said(path)):
            name, _, anchor = target.partition("#")
            file = (DOCS / path).parent / name if name else DOCS / path
            assert file.exists(), f"{path}: {target}"
            assert not anchor or f"## {anchor}\n" in file.read_text(encoding="utf-8"), f"{path}: {target}"
    for target, anchor in re.findall(r"\]\(([^)\s#]+)#?([^)]*)\)", said("gallery.md")):
        assert (DOCS / target).exists(), target
        assert not anchor or f"## {anchor}\n" in said(target), anchor


def test_the_documentation_is_small():
    kept = [file for file in DOCS.rglob("*") if file.is_file() and file.parent.name not in ("reference", "__pycache__")]
    sizes = [file.stat().st_size for file in kept]  # without what `make site` puts into docs/reference
    assert max(sizes) < 2**20
    assert sum(sizes) < 2**21


# Advice and family tree


def test_every_rule_and_modifier_has_advice():
    missing, unknown = set(facts.catalogue()) - set(advice.table()), set(advice.table()) - set(facts.catalogue())
    assert (missing, unknown) == (set(), set()), "see src/descend/explain/advice.txt"
    for known in advice.table().values():
        for line in (known.reach, known.fails):
            assert 20 < len(line) <= 120
            assert line.endswith(".")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("adam\n+ Good.", "'adam'"),
        ("adam\n- Bad.\n+ Good.", "'adam'"),
        ("adam\n+ A.\n- B.\n\nadam\n+ A.\n- B.", "'adam'"),
    ],
)
def test_malformed_advice_is_refused(text: str, says: str, tmp_path, monkeypatch):
    (tmp_path / "advice.txt").write_text(text)
    monkeypatch.setattr(advice, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=says):
        advice.table.__wrapped__()


def test_every_rule_grew_from_gradient_descent():
    order = list(rules.all())
    for name, some in rules.all().items():
        line = [other.name for other in tree.lineage(some)]
        assert line[0] == "gradient_descent"
        assert line == sorted(line, key=order.index), f"{name} stands before one it grew from"
    assert set(tree.PARENT) | set(tree.PARENT.values()) <= set(facts.catalogue())


@pytest.mark.parametrize(
    "line",
    [
        "gradient_descent momentum_accumulation nesterov_accumulation",
        "gradient_descent adagrad rmsprop adam_uncorrected adam adamw",
        "gradient_descent adagrad shampoo soap",
        "clip_norm clip_tensor",
    ],
)
def test_family_lines(line: str):
    names = line.split()
    assert [r.name for r in tree.lineage(rules.get(names[-1]))] == names
    assert names[-1] in [r.name for r in tree.children(rules.get(names[-2]))]
    assert tree.lineage(rules.adam.bind(lr=1.0))[:-1] == []  # no rule of the catalogue, so no family


def test_explain_shows_advice_and_family(tmp_path):
    known = advice.table()["adam"]
    file = tmp_path / "adam.html"
    printed("explain", "adam", "--html", str(file))
    for page in (printed("explain", "adam", width=150), file.read_text(encoding="utf-8")):
        for words in (
            advice.REACH,
            known.reach[:60],
            advice.FAILS,
            known.fails[:60],
            "rmsprop → adam_uncorrected → adam",
        ):
            assert words in page
    as_json = json.loads(printed("explain", "clip_norm+adam", "--json"))
    assert as_json["advice"][advice.FAILS][1] == f"adam {known.fails}"
    assert json.loads(printed("explain", "adam", "--json"))["family_tree"]["from"][-1] == "adam_uncorrected"


# What the pictures are drawn from


@pytest.mark.parametrize("task", [*runs.SURFACES, runs.MEMORY], ids=lambda task: task.name)
def test_gradient_and_curvature_of_a_task(task: runs.Task):
    at, h = task.start + 0.1, 1e-5
    for i in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[i] = h
        assert task.gradient(at)[i] == pytest.approx((task.loss(at + step) - task.loss(at - step)) / (2 * h), rel=1e-5)
        slope = (task.gradient(at + step)[i] - task.gradient(at - step)[i]) / (2 * h)
        assert task.curvature(at)[i] == pytest.approx(slope, rel=1e-5)


def test_a_path_is_that_of_the_optimizer():
    task, p = runs.BOWL, [runs.BOWL.start.copy()]
    opt, taken = Optimizer(rules.adam, p, engine="numpy", lr=0.1), runs.run(rules.adam, task, 0.1)
    for t in range(1, runs.STEPS + 1):
        opt.step([task.gradient(p[0])])
        assert np.array_equal(taken.trained[t], p[0])


def test_the_best_of_the_grid_stays_in_the_frame():
    best = runs.tuned(rules.gradient_descent, runs.BOWL)
    others = [runs.run(rules.gradient_descent, runs.BOWL, lr) for lr in runs.GRID]
    assert best.score(runs.BOWL) == min(run.score(runs.BOWL) for run in others)
    assert best.lr == 0.01  # 2 / 100 is where it diverges
    assert not best.score(runs.BOWL)[0]
    assert others[-1].score(runs.BOWL)[0]


@pytest.mark.parametrize("level", [0.5, 10, 300])
def test_the_valley_is_drawn_where_it_is(level: float):
    points = [p for p in picture._bend(runs.ROSENBROCK, level) if (1 - p[0]) ** 2 < level]
    assert len(points) > 20
    for point in points:
        assert runs.ROSENBROCK.loss(np.array(point)) == pytest.approx(level)
