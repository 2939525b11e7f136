"""``help(AdamW)``: every argument of every class, what it means and what it is by default."""

import inspect
import pydoc

import pytest

import descend.torch
from descend import chain, rule, rules, zeros
from descend.torch import RuleOptimizer, optimizer

NAMED = [getattr(descend.torch, name) for name in dir(descend.torch)]
CLASSES = [
    one for one in NAMED if isinstance(one, type) and issubclass(one, RuleOptimizer) and one is not RuleOptimizer
]


@rule
def with_friction(p, g, v=zeros, *, lr=0.01, friction=0.1, weight_decay=0.0):
    """Mine: momentum with friction."""
    v = (1 - friction) * v - lr * (g + weight_decay * p)
    p = p + v
    return p, v


MADE = [optimizer(with_friction), optimizer(chain(rules.clip_norm(1.0), rules.adamw, rules.ema(0.99)))]


def entries(cls: type) -> dict[str, str]:
    """Argument -> its default and its meaning, as the docstring has them."""
    found: dict[str, str] = {}
    name = ""
    for line in inspect.getdoc(cls).splitlines():
        if line.startswith("     "):
            found[name] += " " + line.strip()
        elif line.startswith("    "):
            name, _, said = line.strip().partition(" (" if " (" in line.partition(": ")[0] else ": ")
            found[name] = said
    return found


@pytest.mark.parametrize("cls", [*CLASSES, *MADE], ids=lambda cls: cls.__name__)
def test_help_has_every_argument_with_its_default_and_a_meaning(cls):
    found, parameters = entries(cls), inspect.signature(cls).parameters
    assert set(found) == set(parameters)
    for name, one in parameters.items():
        if name == "params":
            continue
        head, _, said = found[name].partition("): ")
        default = f"({', '.join(map(repr, one.default))})" if isinstance(one.default, tuple) else repr(one.default)
        assert head == default, name
        assert len(said) > 10 or said == "learning rate.", name
    assert f"class {cls.__name__}" in pydoc.render_doc(cls, renderer=pydoc.plaintext)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_setting_of_the_catalogue_has_words(cls):
    assert "a setting of" not in inspect.getdoc(cls)


def test_how_the_decay_acts_is_said():
    assert "(L2)" in entries(descend.torch.Adam)["weight_decay"]
    assert "(decoupled)" in entries(descend.torch.AdamW)["weight_decay"]
    assert entries(MADE[0])["weight_decay"].endswith("in the way of with_friction.")
    assert entries(MADE[0])["friction"] == "0.1): a setting of with_friction."
    assert inspect.getdoc(MADE[0]).startswith("Mine: momentum with friction.")
