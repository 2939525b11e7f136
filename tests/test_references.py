"""Every rule against its independent transcription, and proof that the comparison can fail."""

import numpy as np
import pytest

from descend import chain, rules
from descend.checks import mutate
from descend.checks.references import MODIFIERS, REFERENCES
from descend.checks.traces import distance, gradients, oracle, settings_of

ALL = rules.all()
BAR = 1e-12


def test_every_rule_has_a_reference():
    assert set(ALL) <= set(REFERENCES)


@pytest.mark.parametrize("name", ALL)
def test_rule_equals_its_reference(name):
    for seed, settings in enumerate(settings_of(ALL[name])):
        assert distance(ALL[name], REFERENCES[name], settings, seed=seed) <= BAR, settings


def test_settings_differ_from_the_defaults_everywhere():
    for name, rule in ALL.items():
        default, _, *others = settings_of(rule)
        for other in others:
            same = {k for k, v in other.items() if v == default[k]}
            assert not same, f"{name}: {same}"


@pytest.mark.parametrize("name", MODIFIERS)
def test_modifier_equals_its_reference(name):
    modifier, rule = rules.modifiers()[name], rules.gradient_descent
    (setting,) = modifier.settings
    start, grads = gradients(seed=3)
    for value in (0.05, 1.0, 40.0):
        x = [np.array(a) for a in start]
        for g, ours in zip(
            grads, oracle(chain(modifier, rule), start, grads, {setting: value, "lr": 0.1}), strict=True
        ):
            g = MODIFIERS[name](x, g, **{setting: value})
            x = [a - 0.1 * b for a, b in zip(x, g, strict=True)]
            for a, b in zip(ours["p"], x, strict=True):
                assert np.allclose(a, b, rtol=1e-12, atol=1e-12)


def test_negate_turns_descent_into_ascent():
    start, grads = gradients(seed=4, steps=3)
    up = list(oracle(chain(rules.negate, rules.adam), start, grads, dict(rules.adam.settings)))
    down = list(oracle(rules.adam, start, [[-g for g in step] for step in grads], dict(rules.adam.settings)))
    for a, b in zip(up[-1]["p"], down[-1]["p"], strict=True):
        assert np.array_equal(a, b)


# A sample for every run; `make mutation` does them all.
@pytest.mark.parametrize("name", ["momentum_velocity", "adagrad", "adamw", "lion"])
def test_every_mutant_is_noticed(name):
    survivors = [what for what, mutant in mutate.judged(ALL[name]) if mutate.survives(ALL[name], mutant)]
    assert survivors == []


@pytest.mark.slow
def test_every_mutant_of_every_rule_is_noticed(capsys):
    assert mutate.main([]) == 0, capsys.readouterr().out


def test_an_unchanged_rule_survives():
    """The mutation check itself can tell: the rule is no mutant."""
    assert all(mutate.survives(rule, rule) for rule in ALL.values())
