"""Every rule against its independent transcription, and proof that the comparison can fail."""

import numpy as np
import pytest

from descend import chain, rules, shared
from descend.checks import mutate
from descend.checks.references import AFTER, MODIFIERS, REFERENCES
from descend.checks.traces import STANDS_FOR, changing, distance, gradients, oracle, settings_of

ALL = rules.all()
BAR = 1e-12


def test_every_rule_has_a_reference():
    assert {STANDS_FOR.get(name, name) for name in ALL} <= set(REFERENCES)


@pytest.mark.parametrize("name", ALL)
def test_rule_equals_its_reference(name):
    for seed, settings in enumerate([*settings_of(ALL[name]), *changing(ALL[name])]):
        assert distance(ALL[name], mutate.reference_of(ALL[name]), settings, seed=seed) <= BAR, settings


def test_settings_differ_from_the_defaults_everywhere():
    for name, rule in ALL.items():
        default, _, *others = settings_of(rule)
        for other in others:
            same = {k for k, v in other.items() if v == default[k]}
            assert not same, f"{name}: {same}"


@pytest.mark.parametrize("name", MODIFIERS)
def test_gradient_modifier_equals_its_reference(name):
    modifier, rule = rules.modifiers()[name], rules.gradient_descent
    start, grads = gradients(seed=3)
    for scale in (0.05, 1.0, 40.0):
        settings = {key: value * scale for key, value in modifier.settings.items()}
        x = [np.array(a) for a in start]
        for k, g in enumerate(grads):
            g = MODIFIERS[name](x, g, **settings)
            x = [a - 0.1 * b for a, b in zip(x, g, strict=True)]
            for i, (a, p) in enumerate(zip(x, start, strict=True)):
                made = chain(modifier, rule).of(p.shape)
                group = [j for j, q in enumerate(start) if (q.ndim > 1) == (p.ndim > 1)]
                if modifier.vectors is None:
                    group = list(range(len(start)))
                if k < 3 or k == 29:
                    ours = last_point(
                        made, [start[j] for j in group], [[h[j] for j in group] for h in grads[: k + 1]], settings
                    )
                    assert np.allclose(ours[group.index(i)], a, rtol=1e-12, atol=1e-12)


def last_point(rule, start, grads, settings):
    return list(oracle(rule, start, grads, {**settings, "lr": 0.1}))[-1]["p"]


@pytest.mark.parametrize("name", AFTER)
def test_step_modifier_equals_its_reference(name):
    """Around Adam: the reference is given the points that Adam, on its own state, wants to go to."""
    modifier, base = rules.modifiers()[name], rules.adam
    start, grads = gradients(seed=5)
    names = {"begin": "start"}
    for lr, (key, value) in ((0.01, (None, None)), (0.3, next(iter(modifier.settings.items()), (None, None)))):
        settings = {k: v for k, v in modifier.settings.items() if v is not shared}
        if key in settings:
            settings[key] = {"k": 3.0, "begin": 5.0}.get(key, value * 0.7)
        made = chain(base, modifier)
        own = {made_key: settings.get(made_key, 0) for made_key in made.settings if made_key in settings}
        run = oracle(made, start, grads, {**base.settings, **own, "lr": lr})
        x, extra = [np.array(a) for a in start], [np.array(a) for a in start]
        m = v = [np.zeros_like(a) for a in start]
        for t, (g, ours) in enumerate(zip(grads, run, strict=True), 1):
            m = [0.9 * a + 0.1 * b for a, b in zip(m, g, strict=True)]
            v = [0.999 * a + 0.001 * b * b for a, b in zip(v, g, strict=True)]
            q = [
                a - lr * (b / (1 - 0.9**t)) / (np.sqrt(c / (1 - 0.999**t)) + 1e-8)
                for a, b, c in zip(x, m, v, strict=True)
            ]
            given = {names.get(k, k): (int(s) if k in ("k", "begin") else s) for k, s in settings.items()}
            if "lr" in modifier.settings:
                given["lr"] = lr
            if modifier.uses_t:
                given["t"] = t
            if modifier.slots:
                q, extra = AFTER[name](x, q, g, extra, **given)
            else:
                q = AFTER[name](x, q, g, **given)
            x = [np.asarray(a) for a in q]
            for a, b in zip(ours["p"], x, strict=True):
                assert np.allclose(a, b, rtol=1e-11, atol=1e-11)
            for slot in modifier.slots:
                for a, b in zip(ours[slot.name], extra, strict=True):
                    assert np.allclose(a, b, rtol=1e-11, atol=1e-11)


def test_negate_turns_descent_into_ascent():
    start, grads = gradients(seed=4, steps=3)
    up = list(oracle(chain(rules.negate, rules.adam), start, grads, dict(rules.adam.settings)))
    down = list(oracle(rules.adam, start, [[-g for g in step] for step in grads], dict(rules.adam.settings)))
    for a, b in zip(up[-1]["p"], down[-1]["p"], strict=True):
        assert np.array_equal(a, b)


QUICK = ("momentum_velocity", "adagrad", "adamw", "lion")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in ALL])
def test_every_mutant_is_noticed(name):
    assert mutate.survives(ALL[name], ALL[name])  # the check itself can tell: the rule is no mutant
    survivors = [what for what, mutant in mutate.judged(ALL[name]) if mutate.survives(ALL[name], mutant)]
    assert survivors == []


def test_the_command_counts_and_names_survivors(capsys, monkeypatch):
    assert mutate.main(["gradient_descent"]) == 0
    monkeypatch.setattr(mutate, "BAR", 1e300)
    assert mutate.main(["gradient_descent"]) == 1
    assert "survived: p - lr * g → p + lr * g" in capsys.readouterr().out
