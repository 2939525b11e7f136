"""The oracle on one array, without an optimizer around it: the same bits as the engine `numpy`, for every rule."""

import numpy as np
import pytest

from descend import rules
from descend.engines.eager.alone import Alone
from descend.lab.surface import SURFACES
from descend.lab.surface.paths import walk


@pytest.mark.parametrize("name", rules.all())
def test_every_rule_walks_the_oracles_path(name):
    surface = SURFACES["logistic"]
    ours, oracle = (walk(rules.get(name), surface, surface.start, steps=12, engine=e) for e in ("alone", "numpy"))
    for word in ("points", "trained", "asked", "slopes"):
        np.testing.assert_array_equal(getattr(ours, word), getattr(oracle, word), err_msg=word)
    assert ours.state.keys() == oracle.state.keys()
    for slot, values in oracle.state.items():
        np.testing.assert_array_equal(ours.state[slot].reshape(values.shape), values, err_msg=slot)


def test_it_writes_into_nothing_it_was_given():
    p, g = np.array([1.0, 2.0]), np.array([3.0, -1.0])
    one = Alone(rules.get("adan"), p)
    for _ in range(3):
        one.step(g)
    g[:] = 0
    np.testing.assert_array_equal(p, [1, 2])
    np.testing.assert_array_equal(one.state["g_prev"], [3, -1])


def test_a_setting_is_refused_as_everywhere():
    with pytest.raises(ValueError, match="adam: beta1 must be in"):
        Alone(rules.get("adam"), np.zeros(2), beta1=1.5)
