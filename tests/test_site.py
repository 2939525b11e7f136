"""The documentation as a site: it builds without a warning, leads nowhere wrong, and loads nothing from afar."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
AFAR = re.compile(r"(?:https?:)?//")


def sphinx(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", DOCS, "-d", target / "trees"]
    return subprocess.run([*command, source, target / "site"], capture_output=True, text=True)


class Page(HTMLParser):
    """What a page loads, where its links lead, and which places in it have a name."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.loads, self.links, self.names = [], [], set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = {name: value or "" for name, value in attrs}
        self.names |= {found[name] for name in ("id", "name") if name in found}
        self.loads += [found[name] for name in ("src", "srcset", "data", "poster", "action") if name in found]
        if "href" in found:
            (self.links if tag in ("a", "area") else self.loads).append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    ran = sphinx(DOCS, folder)
    assert (ran.returncode, ran.stderr) == (0, "")
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {file: Page(file) for file in site.rglob("*.html")}


@pytest.mark.slow
def test_every_page_is_in_the_site_and_found_by_its_search(site):
    pages = [file.relative_to(DOCS).with_suffix(".html") for file in DOCS.rglob("*.md")]
    assert len(pages) > 50
    assert [str(page) for page in pages if not (site / page).exists()] == []
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    for word in ("telemetri", "nesterov", "descend.torch", "find_lr"):
        assert word in index


@pytest.mark.slow
def test_nothing_is_loaded_from_afar(site, pages):
    assert [(file.name, load) for file, page in pages.items() for load in page.loads if AFAR.match(load)] == []
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert re.findall(r"@import|url\(\s*['\"]?(?:https?:)?//", text) == [], sheet.name


@pytest.mark.slow
def test_every_link_leads_somewhere(pages):
    wrong = []
    for file, page in pages.items():
        for link in page.links:
            target, _, name = link.partition("#")
            if AFAR.match(link) or link.startswith("mailto:"):
                continue
            found = (file.parent / target.partition("?")[0]).resolve() if target else file
            if not found.exists() or (name and found in pages and name not in pages[found].names):
                wrong.append((file.name, link))
    assert wrong == []


@pytest.mark.slow
def test_the_reference_has_the_public_names(site, pages):
    import descend.torch
    from descend import schedules

    of_torch, of_schedules = (pages[site / "reference" / f"{name}.html"].names for name in ("torch", "schedules"))
    made = {"SGD", "Adam", "AdamW", "Adagrad", "Adadelta", "Adamax", "ASGD", "Adafactor", "RMSprop", "Rprop"}
    made |= {"NAdam", "RAdam", "Lion", "Muon", "SparseAdam"}  # classes of rules: in the table of the page
    assert {f"descend.torch.{name}" for name in set(descend.torch.__all__) - made} <= of_torch
    assert {f"descend.schedules.{name}" for name in schedules.__all__} <= of_schedules
    assert {"descend.rule", "descend.chain", "descend.minimize"} <= pages[site / "reference" / "descend.html"].names


@pytest.mark.slow
def test_what_leads_nowhere_fails_the_build(tmp_path):
    source = tmp_path / "docs"
    source.mkdir()
    wrong = "# Home\n\n[page](gone.md) [place](#nowhere) ![picture](gone.svg)\n"
    (source / "index.md").write_text(wrong, encoding="utf-8")
    (source / "alone.md").write_text("# In no table of contents\n", encoding="utf-8")
    ran = sphinx(source, tmp_path)
    assert ran.returncode == 1
    for said in ("gone.md", "nowhere", "gone.svg", "alone.md"):
        assert said in ran.stderr
