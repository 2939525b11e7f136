"""The pages of a race, a range test, a surface, a choice and a map are one frame; each is a file by itself."""

import base64
import gzip
import math
import re
from html.parser import HTMLParser

import lab_samples
import pytest
import torch

from descend import rules
from descend.draw.page import report
from descend.lab.choosing.answer import answer
from descend.lab.choosing.outcomes import Outcome
from descend.lab.choosing.strategy import Asked, Choosing
from descend.lab.diagnosis.atlas import Atlas, drawn
from descend.lab.race.record import to_json
from descend.lab.race.report import html
from descend.lab.race.results import results
from descend.lab.surface import run
from descend.torch import find_lr


def race() -> str:
    record = lab_samples.record(lab_samples.FINALS)
    return html(record, results(record), to_json(record))


def range_test() -> str:
    torch.manual_seed(0)
    batches = [(torch.randn(8, 3), torch.randn(8, 1)) for _ in range(8)]
    return find_lr(torch.nn.Linear(3, 1), "adam", torch.nn.functional.mse_loss, batches, steps=40).to_html()


def choice() -> str:
    choosing = Choosing(Asked(("adamw", "lion"), 320, runs=4.0))
    while todo := choosing.missing():
        for trial in todo:
            choosing.take(Outcome(trial, 0.1 + abs(math.log10(trial.lr) + 2) / 10, 2.3, 1e-3))
    return answer(choosing, "mine", 1.0).to_html()


def atlas() -> str:
    made = Atlas(["sign_sgd"])
    for found in drawn(made.rules, 0, rules.get, 1):
        made.take(found)
    return made.to_html()


PAGES = {"choice": choice, "map": atlas, "race": race, "lr": range_test, "surface": lambda: run("saddle").to_html()}


class Outline(HTMLParser):
    """Headings and marked parts in their order, and what the page would ask for."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.parts, self.tags, self.asks = [], set(), []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        found = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        marks = {"eyebrow": "eyebrow", "lead": "lead"}.get(found.get("class", ""))
        if tag in ("h1", "table", "svg") or marks or found.get("id") == "method" or "download" in found:
            self.parts.append(marks or found.get("id") or ("download" if "download" in found else tag))
        self.asks += [value for name, value in found.items() if name in ("src", "href", "srcset", "action")]


@pytest.mark.parametrize("name", PAGES)
def test_a_report_says_the_answer_then_the_evidence_then_the_method_and_carries_its_data(name):
    source = PAGES[name]()
    page = Outline(source)
    answer = [page.parts.index(part) for part in ("eyebrow", "h1", "lead")]
    evidence = [page.parts.index(part) for part in page.parts if part in ("table", "map", "curve", "svg")]
    assert answer == [0, 1, 2]
    assert min(evidence) > 2
    assert page.parts.index("method") > max(evidence)
    assert page.parts[-1] == "download"
    assert "What this does not show" in source
    assert "<h2>Method and limits</h2>" in source
    (carried,) = page.asks
    assert gzip.decompress(base64.b64decode(carried.partition("base64,")[2]))[:1] in (b"{", b"r")  # JSON or CSV
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed"}
    assert not re.search(r"@import|https?://", source)
    assert "default-src 'none'" in source
    assert len(source) < 700_000


def test_what_a_report_says_is_text():
    body = report("descend <b>", "A & B", ["<i>", "two"], ["<p>evidence</p>"], ["<b>point</b>"], "data")
    assert "descend &lt;b&gt;" in body
    assert "A &amp; B" in body
    assert "<p class=lead>&lt;i&gt;</p>\n<p>two</p>" in body
    assert "<li><b>point</b></li>" in body
