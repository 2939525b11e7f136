"""The report of a choice that has next to nothing to draw."""

import math

import pytest

from descend.lab.choosing.answer import answer
from descend.lab.choosing.strategy import Asked, Choosing, Outcome


@pytest.mark.parametrize(
    ("loss", "start"),
    [
        (lambda lr: 0.5 if lr < 0.002 else math.inf, 2.3),  # one rate alone did not diverge
        (lambda lr: 1.0, 2.3),  # all came to the same
        (lambda lr: 0.0, 2.3),
        (lambda lr: -5.0, 2.3),
    ],
)
def test_it_is_drawn_all_the_same(tmp_path, loss, start):
    choosing = Choosing(Asked(("adamw",), 1600, runs=0.5))
    while todo := choosing.missing():
        for trial in todo:
            choosing.take(Outcome(trial, loss(trial.lr), start, 1e-3))
    found = answer(choosing, "a world", 1.0)
    page = found.report(tmp_path / "report.html").read_text()
    assert f"adamw at {found.lr:g}" in page
    assert f"Confidence: {found.confidence}." in page
    assert f": {found.best.seen:.4g}" in found.save(tmp_path / "picture.svg").read_text()
