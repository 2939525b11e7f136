"""Cells of ``descend bench``: contestants do the same work on the same numbers, and the arithmetic is right."""

import importlib.util
import json
import math
import subprocess
import sys

import pytest
import torch

from descend import chain, rules
from descend.bench import bits, speed, tail
from descend.bench.measures import of_cells
from descend.bench.peers import FUSED, OPTAX, PEERS, PYTORCH_OPTIMIZER, UNFUSED, renewed, torch_forms
from descend.bench.speed import Bench, moved
from descend.bench.waits import start
from descend.bench.workloads import Tensors, parameters, workloads
from descend.engines.llvm.engine import cut
from descend.torch import optimizer

TINY = {"tiny": [(40, 30), (7,)], "vector": [(1000,)]}


def tiny(**options) -> Bench:
    return Bench(3, block=0.0, shapes=TINY, **options)


def stepped(call, times: int = 3) -> list[torch.Tensor]:
    """The parameters after some steps. torch's foreach SGD adds Nesterov's term to ``.grad``: it is set anew."""
    params = [p for group in call.__self__.param_groups for p in group["params"]]
    grads = [p.grad.clone() for p in params]
    for _ in range(times):
        for p, g in zip(params, grads, strict=True):
            p.grad.copy_(g)
        call()
    return [p.detach() for p in params]


def test_workloads_are_the_models():
    made = workloads()
    assert parameters(made["resnet18"]) == 11_689_512
    assert parameters(made["vit_small"]) == 22_050_664
    assert {name: parameters(made[name]) for name in ("20M", "1000x1000", "100000x16", "mlp")} == {
        "20M": 20_000_000, "1000x1000": 1_000_000, "100000x16": 1_600_000, "mlp": 4810,
    }  # fmt: skip


def test_contestants_have_equal_tensors_and_memory_of_their_own():
    tensors = Tensors(TINY["tiny"])
    a, b = tensors.copies(), tensors.copies()
    assert [p.shape for p in a] == [torch.Size(shape) for shape in TINY["tiny"]]
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x, y)
        assert x.grad is not None
        assert y.grad is not None
        assert torch.equal(x.grad, y.grad)
        assert x.grad.stride() == x.stride()
    assert len({t.data_ptr() for p in (*a, *b) for t in (p, p.grad)}) == 8
    assert torch.equal(Tensors([(5,)], 1).pairs[0][0], Tensors([(5,)], 1).pairs[0][0])
    assert not torch.equal(Tensors([(5,)], 1).pairs[0][0], Tensors([(5,)], 2).pairs[0][0])


@pytest.mark.parametrize("name", PEERS)
def test_every_form_of_torch_does_what_ours_does(name: str):
    tensors = Tensors(TINY["tiny"])
    peer, arguments = PEERS[name]
    import descend.torch

    expected = stepped(getattr(descend.torch, peer)(tensors.copies(), **arguments).step, 7)
    forms = dict(torch_forms(name, tensors))
    assert {"torch loop", "torch foreach"} <= set(forms)
    for call in forms.values():
        for x, y in zip(stepped(call, 7), expected, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-5, atol=1e-6)


def test_the_rules_torch_fuses_are_four_and_the_others_seven():
    forms = {name: set(dict(torch_forms(name, Tensors([(3,)])))) for name in (*FUSED, *UNFUSED)}
    assert {name for name, found in forms.items() if "torch fused" in found} == set(FUSED)
    assert len(UNFUSED) == 7


def test_the_rules_named_exist():
    assert set(PEERS) | set(OPTAX) | set(PYTORCH_OPTIMIZER) <= set(rules.all())


@pytest.mark.skipif(importlib.util.find_spec("pytorch_optimizer") is None, reason="pytorch_optimizer is not installed")
@pytest.mark.filterwarnings("ignore")  # what it says at import is its own business
@pytest.mark.parametrize("name", PYTORCH_OPTIMIZER)
def test_pytorch_optimizer_steps(name: str):
    import pytorch_optimizer

    peer, arguments = PYTORCH_OPTIMIZER[name]
    params = Tensors(TINY["tiny"]).copies()
    before = [p.detach().clone() for p in params]
    stepped(getattr(pytorch_optimizer, peer)(params, **arguments).step)
    assert any(not torch.equal(p, old) for p, old in zip(params, before, strict=True))


OPTAX_STEPS = """
import jax, json, numpy as np, torch
jax.config.update("jax_disable_most_optimizations", True)  # compiling is most of the time
from descend.bench import peers
from descend.bench.workloads import Tensors
from descend import rules
from descend.torch import optimizer
far = {}
for name, call in peers.OPTAX.items():
    tensors = Tensors([(40, 30), (7,)])
    step = peers.optax_step(call, tensors)
    ours = optimizer(rules.all()[name])(tensors.copies())
    for _ in range(3):
        step(); ours.step()
    theirs = next(
        c.cell_contents[0] for c in step.__closure__ if isinstance(c.cell_contents, list) and len(c.cell_contents) == 2)
    start = [p.numpy() for p, _ in tensors.pairs]
    mine = [p.detach().numpy() for p in ours.param_groups[0]["params"]]
    moves = [(np.linalg.norm(np.asarray(a) - s), np.linalg.norm(b - s)) for a, b, s in zip(theirs, mine, start)]
    far[name] = float(max(a / b for a, b in moves)) if all(b for _, b in moves) else None
print(json.dumps(far))
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("optax") is None, reason="optax is not installed")
def test_optax_does_the_same_work():
    """Dialects differ (ε, warm-up of moments), so: every transformation moves, and as far as ours within a factor."""
    done = subprocess.run([sys.executable, "-c", OPTAX_STEPS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ratios = json.loads(done.stdout.splitlines()[-1])
    assert set(ratios) == set(OPTAX)
    assert {name: x for name, x in ratios.items() if x is None or not 0.2 < x < 5} == {}


@pytest.mark.parametrize(
    ("rule", "bytes_per_parameter"),
    [
        (rules.gradient_descent, 12),
        (rules.adamw, 28),
        (tail.TAIL, 40),
        (tail.gradient_norm, 4),
        (rules.adafactor, None),  # works on whole matrices
    ],
)
def test_bytes_are_the_programs(rule, bytes_per_parameter):
    assert moved(rule, TINY["tiny"]) == bytes_per_parameter


def test_bytes_are_those_of_the_engines_own_passes():
    """The engine sums in the pass that writes where only the next step asks for the sum, and the bytes follow."""
    for name, rule in rules.all().items():
        made = speed.traced(rule)
        if made is not None:
            assert [k.loads for k in made.kernels] == [k.loads for k in cut(rule, False).kernels], name


def test_bytes_where_vectors_have_a_rule_of_their_own():
    assert moved(chain(rules.adaptive_clip, rules.adamw), [(1000,)]) == 28 + 8
    assert moved(chain(rules.adaptive_clip, rules.adamw), TINY["tiny"]) is None


def test_a_cell_of_a_small_run():
    cell = tiny().rule("tiny", "adamw")
    assert (cell.workload, cell.rule, cell.tensors, cell.parameters) == ("tiny", "adamw", 2, 1207)
    assert {"torch loop", "torch foreach", "torch fused"} == {peer.name for peer in cell.peers}
    assert cell.rounds == 3
    assert cell.bytes_per_param == 28
    assert cell.share is None  # so few parameters say nothing of memory
    assert json.loads(json.dumps(cell.record(), allow_nan=False))["best"].startswith("torch ")


def test_new_gradients_are_elsewhere_and_equal():
    params = Tensors(TINY["tiny"]).copies()
    optimizer_ = torch.optim.SGD(params)
    call, seen, values = renewed(optimizer_.step), [], [p.grad.clone() for p in params if p.grad is not None]
    for _ in range(4):
        call()
        seen.append([p.grad.data_ptr() for p in params if p.grad is not None])
        for p, g in zip(params, values, strict=True):
            assert p.grad is not None
            assert torch.equal(p.grad, g)
    assert seen[0] == seen[2] != seen[1] == seen[3]
    cell = tiny().new_gradients("tiny", "adamw")
    assert (cell.rule, [peer.name for peer in cell.peers]) == ("adamw, new gradients", ["torch fused"])


@pytest.mark.parametrize("name", ["lion", "lamb", "muon", "radam"])
def test_rules_of_every_kind_are_measured(name: str):
    cell = tiny().rule("tiny", name)
    assert cell.ns_per_param > 0
    assert (cell.bytes_per_param is None) == (name == "muon")


def test_the_arithmetic_of_a_cell(monkeypatch):
    monkeypatch.setattr(speed, "STREAMED", 0)
    times = {
        "descend": [2e-6, 2e-6, 2e-6], "limit": [1e-6, 1.5e-6, 2e-6],
        "torch loop": [9e-6], "torch foreach": [4e-6, 6e-6, 8e-6], "torch fused": [8e-6, 8e-6, 8e-6],
    }  # fmt: skip
    monkeypatch.setattr(speed, "interleaved", lambda contestants, *a, **k: {name: times[name] for name in contestants})
    cell = tiny().rule("vector", "adamw")
    assert cell.ns_per_param == pytest.approx(2.0)
    assert cell.gb_per_s == pytest.approx(28 * 1000 / 2e-6 / 1e9)
    assert cell.share == pytest.approx(0.75)
    assert cell.limit_ns == pytest.approx(1.5)
    assert cell.best is not None
    assert (cell.best.name, cell.best.speedup) == ("torch foreach", pytest.approx(3.0))
    loop = cell.peer("torch loop")
    assert loop is not None
    assert (loop.rounds, loop.speedup) == (1, pytest.approx(4.5))
    assert math.isnan(loop.spread)
    assert cell.record()["peers"][0]["spread"] is None


def test_the_tail_is_what_torch_composes():
    tensors = Tensors(TINY["tiny"])
    mine = optimizer(tail.TAIL)(tensors.copies())
    for _ in range(4):
        mine.step()
    for _, call in tail.compositions(tensors):
        for _ in range(4):
            call()
        step = getattr(call, "__wrapped__", call)
        seen = dict(zip(step.__code__.co_freevars, (c.cell_contents for c in step.__closure__), strict=True))
        inner = seen["average"]
        average = dict(zip(inner.__code__.co_freevars, (c.cell_contents for c in inner.__closure__), strict=True))[
            "average"
        ]
        averages = average if isinstance(average, list) else list(average.parameters())
        for p, own, average in zip(seen["parameters"], mine.param_groups[0]["params"], averages, strict=True):
            torch.testing.assert_close(p.detach(), own.detach(), rtol=1e-5, atol=1e-6)
            assert average.shape == mine.state[own]["ema"].shape


def test_the_global_norm_is_the_norm():
    bench = tiny()
    tensors, _ = bench.inputs("tiny")
    mine = optimizer(tail.gradient_norm)(tensors.copies())
    mine.step()
    p = mine.param_groups[0]["params"][0]
    found = next(float(v) for k, v in mine.state[p].items() if k == "length")
    assert found == pytest.approx(float(torch.nn.utils.get_total_norm([g for _, g in tensors.pairs])))
    assert torch.equal(p, tensors.pairs[0][0])
    cell = tail.global_norm(bench, "tiny")
    assert (cell.bytes_per_param, [peer.name for peer in cell.peers]) == (4, ["torch get_total_norm"])


def test_bits_that_differ_are_named(monkeypatch):
    monkeypatch.setattr(bits, "digest", lambda name, threads: f"{name}{threads if name == 'lion' else ''}")
    assert bits.differing(["adam", "lion"], processes=False) == ["lion"]


def test_bits_of_a_new_process_are_compared(monkeypatch):
    monkeypatch.setattr(bits, "digest", lambda name, threads: name)
    monkeypatch.setattr(bits, "fresh", lambda *a, **k: {"adam": ["adam"], "lion": ["other"]})
    assert bits.differing(["adam", "lion"]) == ["lion"]


@pytest.mark.slow
def test_bits_do_not_depend_on_threads_or_processes():
    before = torch.get_num_threads()
    assert bits.differing(["adamw", "lamb"]) == []
    assert torch.get_num_threads() == before


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match="ended with 1: ValueError: no such thing"):
        start.fresh("raise ValueError('no such thing')")


def test_bars_are_about_rules_that_exist():
    assert {bar.value for bar in of_cells({}, speed.streaming())} == {None}
    assert len(speed.streaming()) > 40
