"""What a rule is called: one resolver for all verbs and functions, the nearest names, and what `dir` shows."""

import ast
import builtins
import inspect
import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import descend
import descend.torch as ours
from descend import rules, schedules
from descend.checks.contract.target import find as target
from descend.cli import descend as command
from descend.core.nearest import edits, nearest
from descend.optimizer import Optimizer
from descend.torch.learning_rate.arguments import made
from descend.torch.switching.rule import resolved

SOURCE = Path(descend.__file__).parent
MEANT = {
    "AdamW": "adamw", "adam-w": "adamw", "ADAM W": "adamw", " adam_w ": "adamw", "torch.optim.AdamW": "adamw",
    "ScheduleFreeAdamW": "schedule_free_adamw", "schedule-free-sgd": "schedule_free_sgd", "PSGDKron": "psgd_kron",
    "SGD": "gradient_descent", "sgd": "gradient_descent", "Momentum": "momentum_accumulation",
    "nesterov": "nesterov_accumulation", "heavy ball": "momentum_accumulation", "SparseAdam": "adam_epsilon_hat",
    "rmsprop_centred": "rmsprop_centered", "psgd": "psgd_kron",
}  # fmt: skip


@pytest.mark.parametrize(("name", "rule"), MEANT.items())
def test_a_name_means_the_same_everywhere(name: str, rule: str):
    """`race`, `warm` and `bench` find rules as `explain` does, by `explain.named`."""
    assert rules[name] is rules.get(name) is getattr(rules, rule)
    assert name in rules
    assert target(name)[0].rule is rules[name]
    asked = CliRunner().invoke(command, ["explain", name, "-q"])
    assert (asked.exit_code, asked.stdout) == (0, CliRunner().invoke(command, ["explain", rule, "-q"]).stdout)
    p = torch.nn.Linear(2, 2)
    classes = {ours.optimizer(name), resolved(name), getattr(ours, name.rpartition(".")[2]), type(made(name, p))}
    assert len(classes) == 1
    cls = classes.pop()
    assert cls.spec.choose({**cls.spec.arguments, "params": []}).name == rule
    assert Optimizer(name, []).rule.name == rule


def test_every_rule_is_found_by_its_own_name_and_its_class():
    for name, rule in {**rules.all(), **rules.modifiers()}.items():
        assert rules[name] is rule
        assert rules[rules.names.class_name(name)] is rule
    assert rules["clip_norm+AdamW"].name == "clip_norm+adamw"


def test_other_words_mean_rules_that_exist_and_hide_none():
    known = {**rules.all(), **rules.modifiers()}
    for word, meant in rules.names.WORDS.items():
        assert word not in known
        assert set(meant) <= set(known), word


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("adma", "Did you mean 'adam'"),
        ("moun", "Did you mean 'muon'?"),
        ("rmsporp", "Did you mean 'rmsprop'"),
        ("mometum", "Did you mean 'momentum'"),
        ("schedulefre", "Did you mean 'schedule_free_"),
        ("schedule-free", "it may mean 'schedule_free_sgd', 'schedule_free_adamw' or 'schedule_free_radam'."),
        ("clip", "it may mean 'clip_value', 'clip_norm' or 'clip_tensor'."),
        ("clip_norm+adamm", "no rule 'adamm'. Did you mean 'adam'"),
        ("", "no rule ''"),
        ("adamw+", "no rule 'adamw+': + joins a rule with its modifiers, and nothing stands behind it. Did you"),
        ("+cautious", "no rule '+cautious': + joins a rule with its modifiers, and nothing stands before it. As in"),
        ("adamw++cautious", "and nothing stands between two of them. Did you mean 'adamw+cautious'?"),
        ("adamw+cautios", "no rule 'cautios'. Did you mean 'cautious'?"),
    ],
)
def test_an_unknown_name_is_refused_alike_everywhere(name: str, says: str):
    model = torch.nn.Linear(1, 1)
    finders = [rules.get, ours.optimizer, resolved, target, lambda n: made(n, model), lambda n: Optimizer(n, [])]
    for find in finders:
        with pytest.raises(ValueError, match=re.escape(says)):
            find(name)
    with pytest.raises(KeyError):
        rules[name]
    assert name not in rules
    for verb in (["explain", name], ["lr", name], ["race", "--rules", f"adam,{name or 'x'}"], ["warm", name]):
        done = CliRunner().invoke(command, verb)
        assert done.exit_code == 2
        assert (says if name else "no rule") in " ".join(done.output.split())


def test_a_modifier_where_a_rule_is_wanted_is_refused_with_a_chain():
    with pytest.raises(ValueError, match=r"'EMA': it is a modifier; name a chain with a rule in it: adamw\+ema"):
        ours.optimizer("EMA")
    assert ours.optimizer("adamw+ema").spec.name == "AdamWEMA"


@pytest.mark.parametrize(
    ("name", "meant"), [("adamw+clip_norm", "clip_norm+adamw"), ("cautious+adamw+decay_l2", "decay_l2+adamw+cautious")]
)
def test_a_chain_in_the_wrong_order_is_refused_with_the_right_one(name: str, meant: str):
    with pytest.raises(TypeError, match=rf"Did you mean '{re.escape(meant)}'\?"):
        rules.get(name)
    assert rules.get(meant).name == meant
    with pytest.raises(TypeError, match=r"adamw → lion has 2$"):
        rules.get("adamw+lion")


def test_a_word_with_several_meanings_says_so():
    for words in (["explain", "momentum", "-q"], ["check", "momentum", "--only", "shapes"]):
        done = CliRunner().invoke(command, words)
        assert "momentum: momentum_accumulation, as torch has it; other forms are momentum_ema," in done.stderr
    assert CliRunner().invoke(command, ["explain", "adam", "-q"]).stderr == ""


def test_the_nearest_is_the_one_with_the_fewest_edits():
    assert [edits(*pair) for pair in (("adma", "adam"), ("adam", "adam"), ("", "ab"), ("lion", "lin"))] == [1, 0, 2, 1]
    assert nearest("sond", ["branches_on_data", "sound"]) == ["sound"]
    assert nearest("xyz", ["adam"]) == []


def test_attributes_of_the_packages_are_found_in_any_spelling():
    assert ours.adamw is ours.AdamW
    assert ours.PsgdKron is ours.PSGDKron
    assert ours.muon is ours.Muon
    assert rules.momentum is rules.momentum_accumulation
    for package, name, says in (
        (ours, "AdEMAMixx", "Did you mean 'AdEMAMix'"),
        (ours, "findlr", "Did you mean 'find_lr'"),
        (rules, "adamm", "Did you mean 'adam'"),
        (schedules, "cosin", "Did you mean 'cosine'"),
        (descend, "chainn", "Did you mean 'chain'"),
        (descend, "AdamW", r"rules\['AdamW'\], the optimizer descend.torch.optimizer\('AdamW'\)"),
    ):
        with pytest.raises(AttributeError, match=says):
            getattr(package, name)


@pytest.mark.parametrize("package", [descend, rules, schedules, ours], ids=lambda package: package.__name__)
def test_dir_shows_what_is_for_users_and_nothing_else(package):
    shown = dir(package)
    for name in shown:
        value = getattr(package, name)
        allowed = ("descend.schedules", "descend.rules", "descend.torch", "descend.jax")
        assert not inspect.ismodule(value) or (package is descend and value.__name__ in allowed), name
        home = getattr(value, "__module__", "descend") or "descend"
        assert home.startswith("descend"), f"{name} comes from {home}"
    assert set(package.__all__) <= set(shown)


def test_dir_shows_the_class_of_every_rule_under_one_name():
    shown = dir(ours)
    for name in rules.all():
        mine = [other for other in shown if other.lower() == name.replace("_", "")]
        assert len(mine) == 1, name
        assert getattr(ours, mine[0]).spec.name == getattr(ours, mine[0]).__name__ == mine[0]
    assert {"AdEMAMix", "ScheduleFreeAdamW", "find_lr", "switch", "optimizer"} <= set(shown)


def test_a_star_import_hides_no_word_of_python():
    for package in (descend, rules, schedules, ours):
        names: dict[str, object] = {}
        exec(f"from {package.__name__} import *", names)
        assert {name for name in names if hasattr(builtins, name) and not name.startswith("__")} == set()


def test_editors_are_told_every_class_that_is_made_when_it_is_asked_for():
    tree = ast.parse((SOURCE / "torch" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    told = {
        x.id for node in block.body if isinstance(node, ast.Assign) for x in node.targets if isinstance(x, ast.Name)
    }
    assert told == set(ours._of_rules())
