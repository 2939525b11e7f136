"""``descend check``: what it accepts and refuses, what it prints, and the catalogue under its own contract."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from descend import chain, rule, rules, zeros
from descend.checks import Report, check_engine, check_rule
from descend.checks.contract.run import checks
from descend.checks.contract.target import BadTarget, find
from descend.cli import descend
from descend.engines import load

WRONG = str(Path(__file__).with_name("wrong_rules.py"))
MINE = '''
import numpy as np
from descend import chain, clip, rule, rules, zeros
from descend.checks import per_tensor
from descend.rules import adamw

print("loading")


@rule
def mine(p, g, v=zeros, *, lr=0.01, friction=0.1):
    """Mine: momentum with friction."""
    v = (1 - friction) * v - lr * g
    p = p + v
    return p, v


@per_tensor
def mine_reference(x, gradients, *, lr, friction):
    v = np.zeros_like(x)
    for g in gradients:
        v = v - friction * v - lr * g
        x = x + v
        yield x, {"v": v}


clipped = chain(rules.clip_norm.bind(max_norm=0.5), mine)
bound = rules.adam.bind(lr=0.5)
'''.replace("clip, ", "")


def call(*args: str, width: int = 80, **env: str) -> Result:
    return CliRunner().invoke(descend, ["check", *args], env={"COLUMNS": str(width), **env})


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(MINE)
    return str(tmp_path / "mine.py")


def test_a_file_with_several_rules(mine):
    done = call(mine, "--quick")
    assert done.exit_code == 0, done.output
    for name in ("mine", "clip_norm+mine", "adam"):
        assert f"\n{name}: " in done.stdout
    assert "adamw: " not in done.stdout  # it is imported, not made here
    assert "loading" in done.stderr
    assert "loading" not in done.stdout


def test_reference_and_mutants_of_a_stranger(mine):
    done = call(f"{mine}:mine", "--only", "reference", "--only", "mutants")
    assert done.exit_code == 0, done.output
    assert "(19 of 19)" in " ".join(done.stdout.split())


def test_a_chain_with_a_reference_is_mutated_stage_by_stage(mine):
    from descend.checks.contract.runs import Subject
    from descend.checks.contract.text import broken

    (clipped,) = find(f"{mine}:clipped")
    edits = [what for what, _ in broken(Subject(clipped.rule))]
    assert "norm(g, over='all') + 1e-06 → norm(g, over='all') - 1e-06" in edits
    assert "1 - friction → 1 + friction" in edits


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def f(:\n", "line 1: invalid syntax"),
        ("import nothing_of_this_name\n", "line 1: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("from descend import rule\n\n\n@rule\ndef f(p, g, m):\n    return p\n", "m needs an initialiser to be state"),
        ("raise SystemExit\n", "line 1: SystemExit"),
        ("x = 1\n", "has no rule: put @rule"),
        ("from descend.rules import adamw\n", "has no rule"),
    ],
)
def test_a_file_that_cannot_be_checked_exits_2(tmp_path: Path, text: str, says: str):
    (tmp_path / "file.py").write_text(text)
    done = call(str(tmp_path / "file.py"))
    assert done.exit_code == 2
    assert says in done.stderr
    assert "Traceback" not in done.output
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["absent.py"], "no file absent.py"),
        ([str(Path(__file__).parent)], "is no file of Python"),
        (["admw"], "Did you mean 'adamw'"),
        (["adam+adamw"], "exactly one rule"),
        ([f"{WRONG}:sond"], "has no rule 'sond'. It has: sound, "),
        (["adamw", "--only", "setings"], "Did you mean 'settings'"),
        (["cautious_weight_decay+adamw"], "step modifiers behind it"),
    ],
)
def test_bad_use_exits_2(args: list[str], says: str):
    done = call(*args)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())


@pytest.mark.parametrize("width", [40, 59, 60, 200])
def test_every_line_fits_and_is_plain(width: int):
    done = call(f"{WRONG}:idle_setting", "--quick", width=width)
    assert done.exit_code == 1
    assert max(map(len, done.stdout.splitlines())) <= width
    assert "\x1b" not in done.stdout
    assert "✗ settings" in done.stdout
    assert "1 red: settings" in " ".join(done.stdout.split())


def test_quiet_says_what_is_red_and_the_verdict():
    lines = call(f"{WRONG}:idle_setting", "--quick", "--quiet").stdout.splitlines()
    assert lines[0].startswith("✗ settings")
    assert lines[-1].startswith("idle_setting: ")
    assert call(f"{WRONG}:sound", "--quick", "-q").stdout.count("\n") == 1


def test_json_is_one_document(mine):
    done = call(mine, "--only", "shapes", "--only", "repeats", "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert [one["of"] for one in found["rules"]] == ["mine", "clip_norm+mine", "adam"]
    assert [check["name"] for check in found["rules"][0]["checks"]] == ["shapes", "repeats"]
    assert set(found["rules"][0]["checks"][0]) == {"name", "promise", "status", "seen", "advice", "seconds"}


def test_a_modifier_is_checked_in_a_chain():
    done = call("lookahead", "--quick")
    assert done.exit_code == 0, done.output
    assert "gradient_descent+lookahead: " in done.stdout
    with pytest.raises(TypeError, match="a modifier needs chain"):
        check_rule(rules.clip_norm)


def test_a_chain_of_the_catalogue():
    done = call("clip_norm+adamw+ema", "--quick")
    assert done.exit_code == 0, done.output


def contract(name: str, *, mutants: bool = True) -> Report:
    (found,) = find(name)
    return check_rule(found.rule, found.reference, only=[one for one in checks() if mutants or one != "mutants"])


WHOLE = ("gradient_descent", "nesterov_lookahead", "adamw", "amsgrad", "lion", "rprop", "adadelta", "lars", "muon")


@pytest.mark.parametrize("name", WHOLE)
def test_a_rule_of_the_catalogue_keeps_its_contract(name: str):
    found = contract(name)
    assert found.ok, str(found)
    assert found.named("warning") == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in rules.all() if name not in WHOLE])
def test_every_rule_of_the_catalogue_keeps_its_contract(name: str):
    found = contract(name, mutants=False)  # tests/checks/test_references.py has them
    assert found.ok, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", rules.modifiers())
def test_every_modifier_keeps_its_contract(name: str):
    found = contract(name)
    assert found.ok, str(found)


def test_what_is_refused_is_no_fault():
    outcomes = {result.name: result.outcome for result in contract("adafactor").results}
    assert outcomes["llvm"].status == "skipped"
    assert outcomes["llvm"].seen == "not fused, because adafactor sums over each row"


def test_names_are_found_in_order():
    assert list(checks())[:3] == ["shapes", "returns", "branches"]
    assert all(one.promise.endswith((".", ")")) for one in checks().values())
    with pytest.raises(BadTarget, match="Did you mean"):
        find("admw")


def test_engines_pass_and_a_wrong_engine_does_not():
    few = {name: rules.all()[name] for name in ("adamw", "lion", "muon")}
    for engine in ("llvm", "torch"):
        found = check_engine(engine, few)
        assert found.ok, str(found)
    assert check_engine("llvm", few).named("skipped") == ["muon"]

    class Late:
        """Steps with the gradient of the step before."""

        name, on_memory = "late", False

        def refuses(self, rule, dtype):
            return None

        def prepare(self, works, guard=False):
            step, last = load("numpy").prepare(works), {}

            def late(threads):
                now = works[0].arrays["g"]
                works[0].arrays["g"] = last.get("g", now)
                last["g"] = [np.array(g) for g in now]
                done = step(threads)
                works[0].arrays["g"] = now
                return done

            return late

    assert check_engine(Late(), few).named("red") == ["adamw", "lion", "muon"]
    with pytest.raises(ValueError, match="unknown engine"):
        check_engine("cuda", few)


def test_a_stranger_s_sophia_is_no_sophia():
    """What the catalogue's rules of that name need is not done to another rule that has it."""

    @rule
    def sophia(p, g, m=zeros, *, lr=0.01):
        m = m + g
        p = p - lr * m
        return p, m

    assert check_rule(sophia, quick=True).ok
    assert check_rule(chain(rules.clip_norm, sophia), quick=True).ok
