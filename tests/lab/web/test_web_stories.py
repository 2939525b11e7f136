"""What the stories of the page say is what their paths do."""

import numpy as np
import pytest

from descend.lab.surface import SURFACES
from descend.lab.surface.paths import Path, walk
from descend.lab.web.stories import LESSONS, STORIES
from descend.rules.names import find_rule


def told(name: str) -> list[Path]:
    story = STORIES[name]
    surface = SURFACES[story.surface]
    return [walk(find_rule(r), surface, story.start, lr, story.steps, engine="alone") for r, lr in story.rules]


def test_there_is_one_for_every_surface_and_each_says_something():
    assert set(SURFACES) <= set(STORIES)
    assert len(STORIES) == len(SURFACES) + len(LESSONS)
    assert all(story.sentence.endswith(".") for story in STORIES.values())


def test_edge():
    settles, rings, explodes = told("edge")
    assert settles.reached is not None
    assert rings.reached is None
    assert np.all(np.diff(np.abs(rings.points[:, 1])) < 0)
    assert np.all(np.sign(rings.points[1:, 1]) != np.sign(rings.points[:-1, 1]))
    assert np.all(np.diff(explodes.lengths) > 0)
    assert explodes.left is not None


def test_overshoot():
    descent, momentum = told("overshoot")
    beyond = np.array([1.0, 3.0]) - np.array([-8.0, -3.0])
    past = [((path.points - (1.0, 3.0)) @ beyond).max() for path in (descent, momentum)]
    assert past[0] <= 0 < past[1]
    assert momentum.reached is not None
    assert descent.reached is None


def test_stall():
    adagrad, rmsprop = told("stall")
    assert adagrad.lengths[-1] < adagrad.lengths[0] / 8
    assert adagrad.reached is None
    assert rmsprop.reached is not None
    assert rmsprop.lengths[:10].min() > adagrad.lengths[0]


def test_bias():
    corrected, uncorrected = told("bias")
    ratio = uncorrected.lengths / corrected.lengths
    assert 5 < ratio[:10].max() < 6
    assert ratio[:10].min() > 3


def test_sign():
    sign, lion, descent = told("sign")
    along = [np.argmax(path.points[:, 0] > -0.2) for path in (sign, lion)]
    assert all(0 < step < 90 for step in along)
    assert descent.points[-1, 0] < -4
    assert sign.lengths == pytest.approx(0.1 * 2**0.5)
    assert np.abs(sign.points[100:]).max() < 0.3
    assert np.abs(lion.points[100:, 0]).max() > 1


def test_basins():
    ends = [path.points[-1].round(1).tolist() for path in told("basins")]
    assert ends == [[3.6, -1.8], [-2.8, 3.1], [3.0, 2.0]]
