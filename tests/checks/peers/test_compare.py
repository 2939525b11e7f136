"""`descend list --compare`: the names are those of the peers, and the page says so at any width."""

import importlib.metadata
import importlib.util
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peers import PROBED, found, need
from peers_dialects import DIALECTS
from rich.cells import cell_len
from test_cli import call, printed

from descend import rules
from descend.checks.traces import STANDS_FOR
from descend.explain import compare

CATALOGUE = {**rules.all(), **rules.modifiers()}
DATA = compare.data()
PEERS = list(DATA["versions"])
HERE = Path(__file__).parent
# Written in another language, or not for gradients alone.
NOT_OURS = {"LBFGS", "Optimizer"}


def names_of(peer: str) -> list[str]:
    """The functions and classes that the data names in a library."""
    calls = [str(compare.entry(name)[peer]["call"]) for name in compare.names() if peer in compare.entry(name)]
    return sorted({said.partition("(")[0] for said in calls})


def test_the_data_is_of_rules_and_peers_that_there_are():
    assert list(DATA["rules"]) == [name for name in CATALOGUE if name in DATA["rules"]]
    assert set(DATA["compared"]) < set(PEERS)
    for name, peers in DATA["rules"].items():
        assert list(peers) == [peer for peer in PEERS if peer in peers], name


@pytest.mark.parametrize("peer", DATA["compared"])
def test_the_versions_compared_are_those_installed(peer: str):
    need(peer)
    assert importlib.metadata.version(peer).partition("+")[0] == DATA["versions"][peer]


@pytest.mark.parametrize("peer", [peer for peer in DATA["compared"] if peer != "optax"])
def test_a_peer_has_what_is_named(peer: str):
    need(peer)
    for name in names_of(peer):
        assert callable(found(peer, name))


@pytest.mark.parametrize("peer", ["optax", "heavyball", "timm"])
def test_a_peer_that_changes_the_process_has_what_is_named(peer: str):
    """JAX starts threads; HeavyBall sets options of torch's compiler. timm is rarely there: it wants torchvision."""
    if peer != "optax" and importlib.util.find_spec(peer) is None:
        pytest.skip(f"{peer} is not installed")
    need(peer)
    program = f"""
import sys
from peers import found
names = {names_of(peer)!r}
if {peer!r} == "timm":
    from timm.optim import list_optimizers
    names = [n for n in names if "." in n or n not in list_optimizers()]
for name in names:
    assert callable(found({peer!r}, name))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=HERE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1000:]


def test_no_class_of_torch_is_left_out():
    classes = {name for name, thing in vars(torch.optim).items() if inspect.isclass(thing)}
    assert classes - NOT_OURS == {name.removeprefix("optim.") for name in names_of("torch")} & classes


# Differences


def different() -> list[tuple[str, str]]:
    return [(name, peer) for name in compare.names() for peer, said in compare.entry(name).items() if said["differs"]]


def test_what_differs_is_shown_to_differ_and_nothing_else():
    compared = {pair for pair in different() if pair[1] in DATA["compared"]}
    assert {(name, peer) for name, peer in DIALECTS if "," not in peer} == compared - PROBED


@pytest.mark.parametrize(("name", "peer"), [pair for pair in different() if pair[1] in DATA["compared"]])
def test_a_difference_is_in_the_dialect_line(name: str, peer: str):
    spoken = peer in (CATALOGUE[STANDS_FOR.get(name, name)].dialect or "")
    assert spoken, f"the Dialect line of {name} does not name {peer}, which differs: --compare --json says how"


# The page


@pytest.mark.parametrize("width", [40, 50, 80, 120])
def test_the_page_keeps_to_the_width_and_loses_no_name(width: int):
    page = printed("list", "--compare", width=width)
    for line in page.splitlines():
        assert cell_len(line) <= width, line
        assert line == line.rstrip(), repr(line)
        assert "\x1b" not in line
    joined = "".join(page.split())
    for name in CATALOGUE:
        assert name + "".join("".join(compare.words(name)).split()) in joined, name


def test_the_page_says_who_has_a_rule_and_under_what_name():
    page = printed("list", "--compare", width=120)
    (line,) = (line for line in page.splitlines() if line.startswith("  lion "))
    assert line.split() == ["lion", "optax.lion", "pytorch_optimizer.Lion", "timm.lion"]
    (line,) = (line for line in page.splitlines() if line.startswith("  momentum_velocity "))
    assert line.split() == ["momentum_velocity", "–"]
    (line,) = (line for line in page.splitlines() if line.startswith("  rprop "))
    assert line.split() == ["rprop", "torch.optim.Rprop", "≠", "optax.rprop"]
    assert "torch 2." in page
    assert "By name only: timm 1.0.31, HeavyBall" in page


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("SGD", "optax.SGD"),
        ("signum(beta=beta)", "optax.signum"),
        ("scale(step_size=-1)", "optax.scale(step_size=-1)"),
        ("adam(eps=0, eps_root=eps)", "optax.adam(eps=0,eps_root=eps)"),
        ("chain(ema(beta), scale(-lr))", "optax.chain(ema(beta),scale(-lr))"),
    ],
)
def test_arguments_that_only_translate_names_are_not_shown(said: str, shown: str):
    assert compare.shown("optax", said) == shown


def test_programs_get_everything():
    rows = json.loads(printed("list", "--compare", "--json"))
    assert [row["name"] for row in rows] == list(CATALOGUE)
    (rprop,) = (row for row in rows if row["name"] == "rprop")
    assert rprop["peers"]["torch"]["differs"] is None
    assert rprop["peers"]["optax"]["differs"] == "every step is taken one gradient late"
    lines = printed("list", "--compare", "--quiet").splitlines()
    assert [line.split()[0] for line in lines] == list(CATALOGUE)
    assert "momentum_velocity" in lines


def test_comparing_loads_no_framework():
    program = """
import sys
from descend.cli import descend
descend(["list", "--compare"], standalone_mode=False)
print(*({"torch", "llvmlite", "jax", "optax"} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_compare_is_in_the_help():
    assert "--compare" in call("list", "--help").output
