"""Parts and shares: four processes over gloo, started once; and what one process can show of it."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

import descend.torch as dt
from descend import chain, rules

pytest.importorskip("torch.distributed.fsdp")
sys.path.insert(0, str(Path(__file__).parent))
import sharded_runs

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo")

# What the four would each take four seconds to load: one process loads it, and they begin as copies of that.
LOADED = ["descend.torch", "torch._dynamo", "torch.distributed.checkpoint", "torch.distributed.fsdp"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Case -> what every process says went wrong."""
    folder = tmp_path_factory.mktemp("world")
    ended = ""
    try:
        multiprocessing.set_forkserver_preload(LOADED)
        mp.start_processes(sharded_runs.work, (str(folder),), nprocs=sharded_runs.WORLD, start_method="forkserver")
    except mp.ProcessRaisedException as error:  # one process that fails leaves the others waiting: say what it said
        ended = f"not run, or not to its end: {error}"
    said = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(sharded_runs.WORLD)]
    return {one.__name__: [of.get(one.__name__, ended) for of in said] for one in sharded_runs.CASES}


@pytest.mark.parametrize("name", [one.__name__ for one in sharded_runs.CASES])
def test_four_processes(found: dict[str, list[str]], name: str):
    assert "\n".join(found[name]).strip() == ""


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Any]:
    """A mesh of this process only."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        from torch.distributed.device_mesh import init_device_mesh

        yield init_device_mesh("cpu", (1,))
    finally:
        dist.destroy_process_group()


@pytest.fixture
def second_of_two() -> Iterator[Any]:
    """A mesh of two processes of which the other is not there: nothing is ever sent."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=1, world_size=2)
    try:
        from torch.distributed.device_mesh import init_device_mesh

        yield init_device_mesh("cpu", (2,))
    finally:
        dist.destroy_process_group()


def _distributed(mesh: Any, *placements: Any, shape: tuple[int, ...] = (5, 3), dtype: Any = None) -> nn.Parameter:
    from torch.distributed.tensor import distribute_tensor

    value = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype or torch.float32)
    return nn.Parameter(distribute_tensor(value, mesh, placements))


def test_alone_every_rule_has_all_of_it(alone: Any):
    from torch.distributed.tensor import Shard

    for name in ("AdamW", "LAMB", "Muon", "Prodigy", "Adafactor"):
        p = _distributed(alone, Shard(0))
        q = nn.Parameter(p.full_tensor().detach().clone())
        opt, ordinary = getattr(dt, name)([p], clip_norm=0.1), getattr(dt, name)([q], clip_norm=0.1)
        for step in range(3):
            q.grad = torch.randn(q.shape, generator=torch.Generator().manual_seed(step))
            p.grad = type(p.data).from_local(q.grad.clone(), alone, [Shard(0)])
            opt.step()
            ordinary.step()
        # LAMB's and Prodigy's kernels find their own sums beside the norm of all
        assert torch.allclose(p.full_tensor(), q, rtol=0, atol=1e-6), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.complex64])
def test_types_on_parts(alone: Any, dtype: torch.dtype):
    from torch.distributed.tensor import Shard

    p = _distributed(alone, Shard(0), dtype=dtype)
    q = nn.Parameter(p.full_tensor().detach().clone())
    opt, ordinary = (dt.AdamW([x], clip_norm=0.1, nonfinite="skip", telemetry=True) for x in (p, q))
    for _ in range(3):
        p.grad, q.grad = torch.ones_like(p), torch.ones_like(q)
        opt.step()
        ordinary.step()
    assert torch.equal(p.full_tensor(), q)
    assert opt.telemetry.tensors[0].gradient_norm == pytest.approx(ordinary.telemetry.tensors[0].gradient_norm)


def test_gradients_and_state_that_do_not_fit_are_refused_by_name(alone: Any):
    from torch.distributed.tensor import DTensor, Partial, Shard

    p = _distributed(alone, Shard(0))
    opt = dt.AdamW([("w", p)])
    stood = p.full_tensor().detach().clone()
    p.grad = torch.ones_like(p)
    opt.step()
    moved = p.full_tensor().detach().clone()
    assert not torch.equal(stood, moved)
    opt.state[p]["exp_avg"] = opt.state[p]["exp_avg"].full_tensor()
    with pytest.raises(ValueError, match=r"state 'exp_avg' of 'w'.*expected a DTensor placed like the parameter"):
        opt.step()
    pending = nn.Parameter(DTensor.from_local(torch.ones(2), alone, [Partial()]))
    pending.grad = torch.ones_like(pending)
    with pytest.raises(ValueError, match="pending"):
        dt.AdamW([pending]).step()
    assert torch.equal(p.full_tensor(), moved)


def test_loaded_state_is_placed_like_the_parameter(alone: Any):
    from torch.distributed.tensor import Replicate, Shard

    p, q = _distributed(alone, Shard(0)), nn.Parameter(torch.ones(5, 3))
    opt, ordinary = dt.AdamW([p]), dt.AdamW([q])
    p.grad, q.grad = torch.ones_like(p), torch.ones_like(q)
    opt.step()
    ordinary.step()
    saved = ordinary.state_dict()
    opt.load_state_dict(saved)  # whole tensors, as one process saves them
    held = opt.state[p]["exp_avg"]
    assert held.placements == (Shard(0),)
    assert torch.equal(held.full_tensor(), ordinary.state[q]["exp_avg"])
    assert held.to_local().data_ptr() != saved["state"][0]["exp_avg"].data_ptr()
    saved["state"][0]["exp_avg"] = held.redistribute(placements=[Replicate()])
    opt.load_state_dict(saved)
    assert opt.state[p]["exp_avg"].placements == (Shard(0),)
    saved["state"][0]["exp_avg"] = torch.ones(2, 2)
    with pytest.raises(ValueError, match=r"'exp_avg'.*expected shape"):
        opt.load_state_dict(saved)


def test_the_second_of_two_steps_its_part(second_of_two: Any):
    from torch.distributed.tensor import DTensor, Replicate, Shard

    whole = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    p = nn.Parameter(DTensor.from_local(whole[3:].clone(), second_of_two, [Shard(0)], shape=(5, 3), stride=(3, 1)))
    q = nn.Parameter(whole.clone())
    opt, ordinary = dt.AdamW([p], lr=0.1), dt.AdamW([q], lr=0.1)
    for step in range(4):
        q.grad = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
        p.grad = DTensor.from_local(q.grad[3:].clone(), second_of_two, [Shard(0)], shape=(5, 3), stride=(3, 1))
        opt.step()
        ordinary.step()
    assert opt.engine == "llvm"
    assert torch.equal(p.to_local(), q[3:])
    state = opt.state[p]["exp_avg"]
    assert (state.shape, state.placements) == (torch.Size([5, 3]), (Shard(0),))
    with pytest.raises(ValueError, match=r"LAMB: lamb takes a norm.*part of parameter 0.*AdamW"):
        dt.LAMB([p]).step()
    with pytest.raises(ValueError, match="clip_norm= to the class"):
        dt.optimizer(chain(rules.clip_norm(1.0), rules.adamw))([p]).step()
    spare = nn.Parameter(DTensor.from_local(torch.ones(2), second_of_two, [Replicate()]))
    spare.grad = torch.ones_like(spare)
    dt.LAMB([spare]).step()  # whole on every process


def test_fake_tensors_are_called_so():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        model = nn.Linear(3, 2)
        opt = dt.AdamW(model.parameters())
        model(torch.ones(1, 3)).sum().backward()
        with pytest.raises(RuntimeError, match="inside FakeTensorMode"):
            opt.step()
    with pytest.raises(RuntimeError, match=r"parameter 0 of group 0 is a FakeTensor.*no numbers"):
        opt.step()
    assert opt.steps == 0


def test_options_of_the_optimizer_may_stand_in_a_group_that_repeats_them():
    p = nn.Parameter(torch.ones(2))
    opt = dt.AdamW([{"params": [p], "nonfinite": "skip", "telemetry": True}], nonfinite="skip", telemetry=True)
    assert opt._options["nonfinite"] == "skip"
    with pytest.raises(ValueError, match="engine is of the whole optimizer, which has 'auto'"):
        dt.AdamW([{"params": [p], "engine": "torch"}])
