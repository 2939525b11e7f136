"""Each check of the contract, seen red on a small wrong rule, and no other check with it."""

import pytest
import wrong_rules as wrong

from descend.checks import check_rule
from descend.checks.contract.run import checks

# rule, the checks it turns red (all of them), what is said, whether without the fused engine
WRONG = [
    ("rows_only", {"shapes"}, "on shape ()", False),
    ("forgets_state", {"returns"}, "must return (p, m); it returned 1 value; missing: m", False),
    ("sums_its_state", {"returns"}, "m came back with shape () where it has (4, 3)", False),
    ("keeps_a_condition", {"returns"}, "returns for m a condition: write where(condition, 1.0, 0.0)", False),
    ("branches_on_the_step", {"branches"}, "write where(condition, a, b)", False),
    ("branches_on_data", {"branches"}, "write where(condition, a, b)", False),
    ("writes", {"inputs"}, "m += g", False),
    ("steps_by_a_global", {"step"}, "reads a t", False),
    ("idle_setting", {"settings"}, "lambd at 0.1, ", False),
    ("idle_state", {"state"}, "spare doubled, halved and negated before step 6", False),
    ("remembers", {"resumes", "class"}, "taken up after step 15, step 16: p", True),
    ("root_of_a_gradient", {"finite"}, "is nan", False),
    ("no_eps", {"zeros"}, "with all gradients zero, step 1: p[0, 0] of the tensor of shape (4, 3) is nan", False),
    ("adds_everything", {"nan"}, "a NaN in element 1 of the gradient of step 3: step 3: p[0]", True),
    ("knows_its_place", {"order"}, "units in the last place", True),
    ("eighth_powers", {"float32"}, "in float32, and finite in float64", False),
    ("another_when_fused", {"llvm"}, "units in the last place from the oracle", False),
    ("another_in_torch", {"torch"}, "units in the last place from the oracle", False),
    ("ends_in_a_branch", {"formula"}, "a rule ends with the return", False),
    ("another_than_its_paper", {"reference"}, "apart within 30 steps with lr=0.01, beta=0.9", False),
    ("with_an_empty_word", {"mutants"}, "0 * p → 0", False),
]


def report(name, **how):
    return check_rule(getattr(wrong, name), getattr(wrong, f"{name}_reference", None), **how)


@pytest.mark.parametrize(("name", "reds", "says", "quick"), WRONG, ids=[case[0] for case in WRONG])
def test_a_wrong_rule_turns_its_check_red(name, reds, says, quick):
    found = report(name, quick=quick)
    assert set(found.named("red")) == reds, str(found)
    first = next(result for result in found.results if result.status == "red")
    assert says in first.outcome.seen
    assert first.outcome.advice


def test_a_rule_of_chance_is_red():
    """Nothing that compares two runs can be green; what is said first is that they differ."""
    found = report("random", quick=True)
    assert found.named("red")[0] == "repeats"
    assert "in the second run" in found.results[4].outcome.seen


def test_climbing_is_a_warning():
    found = report("climbs", quick=True)
    assert found.ok
    assert found.named("warning") == ["descends"]


def test_every_check_is_seen_red_or_warning():
    seen = {"repeats", "descends"}.union(*(reds for _, reds, _, _ in WRONG))
    assert seen == set(checks())


def test_what_does_not_run_is_not_judged_further():
    found = report("rows_only")
    assert len(found.named("skipped")) == len(checks()) - 1
    assert "before 'shapes' is green" in found.results[-1].outcome.seen


def test_a_sound_rule_is_green():
    found = report("sound")
    assert found.ok
    assert found.named("warning") == []
    assert found.named("skipped") == ["reference", "mutants"]
    advice = next(r for r in found.results if r.name == "reference").outcome.advice
    assert "def sound_reference(x, gradients, *, lr, beta):" in advice


def test_an_edit_that_changes_nothing_can_be_declared():
    found = report("with_an_empty_word", only=["mutants"])
    assert not found.ok
    edits = found.results[0].outcome.seen.partition("not: ")[2].split("; ")
    assert report("with_an_empty_word", only=["mutants"], equivalent=dict.fromkeys(edits, "adds zero")).ok


def test_a_missing_check_is_refused_by_name():
    with pytest.raises(ValueError, match="Did you mean 'inputs'"):
        report("sound", only=["input"])
