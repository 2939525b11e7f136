"""What four processes do together, case by case; ``test_sharded.py`` starts them once and reads what they found.

Where the gradients come from is no matter here: the ordinary optimizer of a copy gets the sharded ones, gathered.
"""

from __future__ import annotations

import copy
import datetime
import io
import json
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

import descend.torch as dt
from descend import chain, rules, schedules
from descend.stepping import NonFiniteGradient

WORLD = 4
CASES: list[Callable[[int, Path], None]] = []


def case(function: Callable[[int, Path], None]) -> Callable[[int, Path], None]:
    CASES.append(function)
    return function


def work(rank: int, folder: str) -> None:
    """All cases in one process; what went wrong is written, case by case."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    at = Path(folder)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{at / 'store'}",
        rank=rank,
        world_size=WORLD,
        timeout=datetime.timedelta(seconds=60),
    )
    found: dict[str, str] = {}
    for one in CASES:
        try:
            one(rank, at)
            found[one.__name__] = ""
        except Exception:
            found[one.__name__] = traceback.format_exc()
        (at / f"{rank}.json").write_text(json.dumps(found))
        dist.barrier()
    dist.destroy_process_group()


# ---------------------------------------------------------------- what the cases share


def net(wide: int = 7) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, wide), nn.Tanh(), nn.Linear(wide, 1))


def batch(step: int, rank: int) -> torch.Tensor:
    return torch.randn(3, 5, generator=torch.Generator().manual_seed(10 * step + rank))


def meshes(*shape: int, names: tuple[str, ...] = ("replicate", "shard")) -> Any:
    from torch.distributed.device_mesh import init_device_mesh

    return init_device_mesh("cpu", shape, mesh_dim_names=names[-len(shape) :])


def some(*ranks: int) -> Any:
    """A mesh of some of the processes, all of which must make it."""
    from torch.distributed.device_mesh import DeviceMesh

    return DeviceMesh("cpu", list(ranks))


def fsdp(model: nn.Sequential, mesh: Any, **how: Any) -> nn.Sequential:
    from torch.distributed.fsdp import fully_shard

    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer, mesh=mesh, **how)
    return fully_shard(model, mesh=mesh, **how)


def whole(t: Any) -> torch.Tensor:
    return (t.full_tensor() if hasattr(t, "full_tensor") else t).detach().clone()


def alike(a: Any, b: Any, error: float = 0.0) -> None:
    a, b = whole(a), whole(b)
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert torch.equal(a, b) if not error else torch.allclose(a, b, rtol=error, atol=error), (a, b)


def twins(sharded: nn.Module, make: Callable[[Any], Any], steps: int, rank: int) -> tuple[Any, Any]:
    """Train, and step a whole copy by the gathered gradients beside it. Parameters, state and telemetry agree."""
    params = list(sharded.parameters())
    copies = [nn.Parameter(whole(p)) for p in params]
    opt, ordinary = make(params), make(copies)
    for step in range(steps):
        sharded(batch(step, rank)).square().mean().backward()
        for p, q in zip(params, copies, strict=True):
            q.grad = None if p.grad is None else whole(p.grad)
        opt.step()
        ordinary.step()
        opt.zero_grad()
    error = 1e-6 if opt.param_groups[0]["clip_norm"] else 0.0  # the norm is added in other chunks
    for p, q in zip(params, copies, strict=True):
        alike(p, q, error)
        mine, theirs = opt.state[p], ordinary.state[q]
        assert list(mine) == list(theirs)
        for name in mine:
            alike(mine[name], theirs[name], error)
    assert opt.steps == ordinary.steps
    if opt._options["telemetry"]:
        compare_telemetry(opt.telemetry, ordinary.telemetry)
    return opt, ordinary


def compare_telemetry(mine: Any, theirs: Any) -> None:
    assert len(mine.tensors) == len(theirs.tensors)
    for a, b in zip([*mine.tensors, mine.total], [*theirs.tensors, theirs.total], strict=True):
        assert (a.name, a.elements) == (b.name, b.elements)
        for name in ("gradient_norm", "update_norm", "weight_norm", "nonfinite", "cosine"):
            x, y = getattr(a, name), getattr(b, name)
            assert (x is None) == (y is None)
            # sums over other chunks round otherwise; float32
            assert x is None or x == y or (x != x and y != y) or abs(x - y) <= 1e-5 * abs(y), (name, x, y)


@contextmanager
def refused(*words: str, kind: type[Exception] = ValueError) -> Iterator[None]:
    try:
        yield
    except kind as error:
        said = str(error)
    else:
        said = "nothing"
    if not all(word in said for word in words):
        raise AssertionError(f"expected a refusal with {words}, got: {said}")


MAKES: dict[str, Callable[[Any], Any]] = {
    "AdamW": lambda p: dt.AdamW(p, lr=0.01 * schedules.cosine(8)),
    "SGD": lambda p: dt.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1, nesterov=True),
    "plain": lambda p: dt.SGD(p, lr=0.1 * schedules.cosine(8)),  # no state but its step
    "Lion": lambda p: dt.Lion(p, lr=1e-3),
    "NAdam": lambda p: dt.NAdam(p, lr=1e-3),
    "Rprop": lambda p: dt.Rprop(p),
    "ScheduleFree": lambda p: dt.ScheduleFreeAdamW(p, lr=0.01),
    "averaged": lambda p: dt.optimizer(chain(rules.adamw, rules.ema(0.9)))(p, lr=0.01),
    "clipped": lambda p: dt.AdamW(p, lr=0.01, clip_norm=0.05),
    "watched": lambda p: dt.SGD(p, lr=0.1, clip_norm=0.05, nonfinite="skip", telemetry="cosine"),
    "eager": lambda p: dt.SGD(p, lr=0.1, clip_norm=0.05, nonfinite="skip", telemetry="cosine", engine="torch"),
    "oracle": lambda p: dt.AdamW(p, lr=0.1, clip_norm=0.05, telemetry=True, engine="numpy"),
}  # fmt: skip


# ---------------------------------------------------------------- the cases


@case
def fsdp2_has_the_bits_of_one_process(rank: int, at: Path) -> None:
    mesh = meshes(WORLD)  # of 7 rows two, two, two and one; of one row one process has all, the others none
    for name, make in MAKES.items():
        try:
            opt, _ = twins(fsdp(net(), mesh), make, 5, rank)
        except AssertionError as error:
            raise AssertionError(name) from error
        if name == "AdamW":
            assert opt.engine == "llvm"
            assert type(opt.state[next(iter(opt.state))]["exp_avg"]).__name__ == "DTensor"


@case
def hybrid_shards_and_tensor_parallel(rank: int, at: Path) -> None:
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    mesh = meshes(2, 2)
    both = MAKES["watched"]
    twins(fsdp(net(), mesh), both, 4, rank)  # each part stands in two processes, and counts once
    plan = {"0": ColwiseParallel(), "2": RowwiseParallel()}
    twins(parallelize_module(net(8), mesh["shard"], plan), both, 4, 0)
    twins(fsdp(parallelize_module(net(8), mesh["shard"], plan), mesh["replicate"]), both, 4, rank // 2)


@case
def mixed_placements(rank: int, at: Path) -> None:
    from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

    mesh, line = meshes(2, 2), some(0, 1, 2, 3)
    placed = [
        (mesh, [Replicate(), Shard(0)]),
        (mesh, [Shard(1), Replicate()]),
        (line, [Replicate()]),
        (line, [Shard(0)]),
    ]
    for make in (MAKES["watched"], MAKES["clipped"]):
        values = [torch.randn(3, 4, generator=torch.Generator().manual_seed(i)) for i in range(6)]
        params = [nn.Parameter(distribute_tensor(v, *how)) for v, how in zip(values, placed, strict=False)]
        params += [nn.Parameter(distribute_tensor(values[4], line, [Replicate()])), nn.Parameter(values[5].clone())]
        copies = [nn.Parameter(v.clone()) for v in values]
        opt, ordinary = make(params), make(copies)
        for step in range(4):
            grads = [torch.randn(3, 4, generator=torch.Generator().manual_seed(100 * step + i)) for i in range(6)]
            for p, (on, how), g in zip(params, placed, grads, strict=False):
                p.grad = distribute_tensor(g, on, how)
            # a sum that is pending over four processes
            params[4].grad = DTensor.from_local(grads[4] / 4, line, [Partial()])
            params[5].grad = grads[5].clone()
            for q, g in zip(copies, grads, strict=True):
                q.grad = g
            opt.step()
            ordinary.step()
        for p, q in zip(params, copies, strict=True):
            alike(p, q, error=1e-6)
        compare_telemetry(opt.telemetry, ordinary.telemetry) if opt._options["telemetry"] else None


@case
def all_skip_or_raise_together(rank: int, at: Path) -> None:
    for what in ("skip", "raise"):
        model = fsdp(net(), meshes(2, 2))
        opt = dt.AdamW(model.parameters(), lr=0.01, nonfinite=what)
        for step in range(3):
            model(batch(step, rank)).square().mean().backward()
            before = [p.to_local().clone() for p in model.parameters()]
            if step == 1 and rank == 3:
                model[0].weight.grad._local_tensor[0, 0] = float("nan")
            try:
                opt.step()
                assert what == "skip" or step != 1
            except NonFiniteGradient:
                assert (what, step) == ("raise", 1)
            if step == 1:
                assert all(torch.equal(a, p.to_local()) for a, p in zip(before, model.parameters(), strict=True))
            opt.zero_grad()
        assert (opt.steps, opt.skipped) == (2, 1)
        assert {int(s["step"]) for s in opt.state.values()} == {2}


@case
def one_without_gradients_keeps_nobody_waiting(rank: int, at: Path) -> None:
    model = fsdp(net(), meshes(WORLD))
    opt = dt.AdamW(model.parameters(), lr=0.01 * schedules.cosine(8), clip_norm=0.1, nonfinite="skip", telemetry=True)
    for step in range(3):
        model(batch(step, rank)).square().mean().backward()
        if rank == 1:
            opt.zero_grad()
        opt.step()
        opt.zero_grad()
        assert opt.steps == step + 1  # the schedule goes on together
    opt.step()  # nobody has any
    assert opt.steps == 3


@case
def one_refusal_is_everybodys(rank: int, at: Path) -> None:
    model = fsdp(net(), meshes(WORLD))
    opt = dt.AdamW(model.parameters(), lr=0.01, clip_norm=0.1)
    for step in range(3):
        model(batch(step, rank)).square().mean().backward()
        before = [p.to_local().clone() for p in model.parameters()]
        if step == 1:
            held = opt.state[model[0].weight].pop("exp_avg") if rank == 2 else None
            with refused("no 'exp_avg'") if rank == 2 else refused("another process", kind=RuntimeError):
                opt.step()
            assert all(torch.equal(a, p.to_local()) for a, p in zip(before, model.parameters(), strict=True))
            if rank == 2:
                opt.state[model[0].weight]["exp_avg"] = held
        opt.step()
        opt.zero_grad()
    assert opt.steps == 3


REDUCING = {
    "LAMB": "norm", "LARS": "norm", "NovoGrad": "norm", "Adafactor": "matri", "CAME": "matri", "Muon": "matri",
    "NorMuon": "matri", "Shampoo": "matri", "SOAP": "matri", "PsgdKron": "matri", "Prodigy": "total",
    "DoG": "total", "DoWG": "total", "DAdaptAdam": "total", "DAdaptSGD": "total",
}  # fmt: skip


@case
def rules_that_need_whole_tensors_are_refused(rank: int, at: Path) -> None:
    model = fsdp(net(), meshes(WORLD))
    model(batch(0, rank)).square().mean().backward()
    before = [p.to_local().clone() for p in model.parameters()]
    makes = {name: (getattr(dt, name), word) for name, word in REDUCING.items()}
    makes["a cautious chain"] = (dt.optimizer(chain(rules.adamw, rules.cautious)), "norm, sum or mean")
    makes["a clipping chain"] = (dt.optimizer(chain(rules.clip_norm(1.0), rules.adamw)), "give clip_norm= to the class")
    for name, (cls, word) in makes.items():
        for options in ({}, {"clip_norm": 1.0}):
            opt = cls(model.parameters(), **options)
            with refused(cls.spec.name, word, "Elementwise rules work", "AdamW"):
                opt.step()
            assert (dict(opt.state), opt.steps) == ({}, 0), name
    assert all(torch.equal(a, p.to_local()) for a, p in zip(before, model.parameters(), strict=True))
    opt = dt.AdamW(model.parameters())
    opt.step()
    with refused("lamb", "a norm"):
        dt.switch(opt, "lamb", lr=0.1)
    opt.step()


@case
def whole_tensors_take_every_rule(rank: int, at: Path) -> None:
    from torch.distributed.tensor import Replicate, distribute_module

    def everywhere(name: str, module: nn.Module, mesh: Any) -> None:
        from torch.distributed.tensor import distribute_tensor

        for key, p in list(module.named_parameters(recurse=False)):
            module.register_parameter(key, nn.Parameter(distribute_tensor(p.data, mesh, [Replicate()])))

    line = some(0, 1, 2, 3)
    for name in ("LAMB", "Muon", "Adafactor", "Prodigy", "SOAP"):
        model = distribute_module(net(), line, everywhere)
        params, copies = list(model.parameters()), [nn.Parameter(p.data) for p in net().parameters()]
        opt, ordinary = getattr(dt, name)(params, clip_norm=0.1), getattr(dt, name)(copies, clip_norm=0.1)
        for step in range(3):
            for i, (p, q) in enumerate(zip(params, copies, strict=True)):
                q.grad = torch.randn(q.shape, generator=torch.Generator().manual_seed(10 * step + i))
                p.grad = type(p.data).from_local(q.grad.clone(), line, [Replicate()])
            opt.step()
            ordinary.step()
        for p, q in zip(params, copies, strict=True):
            alike(p, q)
        again = getattr(dt, name)(params, clip_norm=0.1)
        again.load_state_dict(opt.state_dict())
        opt.step()
        stood = [whole(p) for p in params]
        for p, q in zip(params, copies, strict=True):
            p.data.copy_(distributed(q.data, p))
        again.step()
        for p, q in zip(params, stood, strict=True):
            alike(p, q)


def distributed(value: torch.Tensor, like: Any) -> Any:
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value, like.device_mesh, like.placements)


@case
def uses_around_the_step(rank: int, at: Path) -> None:
    mesh = meshes(WORLD)
    model = fsdp(net(), mesh)
    opt, ordinary = twins(model, MAKES["averaged"], 3, rank)
    with opt.shipped(), ordinary.shipped():
        shipped = [whole(p) for p in model.parameters()]
        for a, q in zip(shipped, ordinary.param_groups[0]["params"], strict=True):
            alike(a, q)
    for p, q in zip(model.parameters(), ordinary.param_groups[0]["params"], strict=True):
        alike(p, q)

    copied = copy.deepcopy(opt)
    saved = io.BytesIO()
    torch.save(copied.state_dict(), saved)
    assert {type(s["exp_avg"]).__name__ for s in copied.state.values()} == {"DTensor"}

    nxt, after = dt.switch(opt, "lion", lr=1e-3), dt.switch(ordinary, "lion", lr=1e-3)
    for step in range(3):
        model(batch(step, rank)).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        for p, q in zip(model.parameters(), after.param_groups[0]["params"], strict=True):
            q.grad = whole(p.grad)
        nxt.step()
        after.step()
        nxt.zero_grad()
    for p, q in zip(model.parameters(), after.param_groups[0]["params"], strict=True):
        alike(p, q)
        alike(nxt.state[p]["exp_avg"], after.state[q]["exp_avg"])
    with refused("DTensors", "ordinary class"):
        dt.step_in_backward(model, dt.AdamW, lr=0.1)
    with refused("DTensors", "find_lr"):
        dt.find_lr(model, dt.AdamW, lambda out, y: out.mean(), [(batch(i, 0), batch(i, 0)) for i in range(30)])
    with refused("DTensors", "Accumulator"):
        dt.Accumulator(nxt)


@case
def policies_of_fsdp2(rank: int, at: Path) -> None:
    from torch.distributed.fsdp import MixedPrecisionPolicy

    mesh = meshes(WORLD)
    half = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    twins(fsdp(net(), mesh, mp_policy=half), MAKES["clipped"], 3, rank)
    twins(fsdp(net(), mesh, reshard_after_forward=False), MAKES["clipped"], 3, rank)
    twins(fsdp(net().bfloat16(), mesh, mp_policy=half), MAKES["AdamW"], 3, rank)

    model = fsdp(net(), mesh)  # gradients that come late, and are accumulated
    model[0].requires_grad_(False)
    opt = dt.AdamW(model.parameters(), lr=0.01, clip_norm=0.1)
    for step in range(4):
        if step == 2:
            model[0].requires_grad_(True)
        model.set_requires_gradient_sync(step % 2 == 1)
        model(batch(step, rank)).square().mean().backward()
        if step % 2:
            opt.step()
            opt.zero_grad()
    assert opt.steps == 2
    assert all("exp_avg" in opt.state[p] for p in model.parameters())


@case
def checkpoints_go_to_other_worlds(rank: int, at: Path) -> None:
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_model_state_dict,
        get_optimizer_state_dict,
        set_model_state_dict,
        set_optimizer_state_dict,
    )  # fmt: skip

    groups = {n: dist.new_group(list(range(n))) for n in (1, 2, 3)}
    held = {n: some(*range(n)) for n in (1, 2, 3)}

    def made(n: int, name: str) -> tuple[nn.Sequential, Any]:
        model = fsdp(net(), held[n])
        return model, MAKES[name](model.parameters())

    def step(model: nn.Module, opt: Any, k: int) -> None:
        for i, p in enumerate(model.parameters()):
            g = torch.randn(p.shape, generator=torch.Generator().manual_seed(10 * k + i))
            p.grad = distributed(g, p)
        opt.step()
        opt.zero_grad()

    for name in ("AdamW", "NAdam", "clipped", "plain"):
        folder = str(at / name)
        expected: list[torch.Tensor] = []
        if rank < 2:
            model, opt = made(2, name)
            for k in range(3):
                step(model, opt, k)
            saved = {"model": get_model_state_dict(model), "opt": get_optimizer_state_dict(model, opt)}
            dcp.save(saved, checkpoint_id=folder, process_group=groups[2])
            full = get_optimizer_state_dict(model, opt, options=StateDictOptions(full_state_dict=True))
            if rank == 0:
                torch.save(full, at / f"{name}.full")
            before = {i: {k: whole(v) for k, v in s.items()} for i, s in enumerate(opt.state.values())}
            if rank == 0:
                torch.save(before, at / f"{name}.state")
            for k in range(3, 5):
                step(model, opt, k)
            expected = [whole(p) for p in model.parameters()]
            if rank == 0:
                torch.save(expected, at / f"{name}.expected")
        dist.barrier()
        for n in (1, 3):
            if rank >= n:
                continue
            model, opt = made(n, name)
            loaded = {"model": get_model_state_dict(model), "opt": get_optimizer_state_dict(model, opt)}
            dcp.load(loaded, checkpoint_id=folder, process_group=groups[n])
            set_model_state_dict(model, loaded["model"])
            set_optimizer_state_dict(model, opt, loaded["opt"])
            assert opt.steps == 3, (name, n, opt.steps)
            for s, then in zip(opt.state.values(), torch.load(at / f"{name}.state").values(), strict=True):
                for key in then:
                    alike(s[key], then[key])
            for k in range(3, 5):
                step(model, opt, k)
            error = 1e-6 if name == "clipped" else 0.0  # the norm is added in other chunks
            for p, q in zip(model.parameters(), torch.load(at / f"{name}.expected"), strict=True):
                alike(p, q, error)
            if name == "AdamW":  # a whole checkpoint, as of one process, gives each its part
                model, opt = made(n, name)
                plain = copy.deepcopy(torch.load(at / f"{name}.full", weights_only=True))
                set_model_state_dict(model, loaded["model"])
                set_optimizer_state_dict(model, opt, plain, options=StateDictOptions(full_state_dict=True))
                for s, then in zip(opt.state.values(), torch.load(at / f"{name}.state").values(), strict=True):
                    alike(s["exp_avg"], then["exp_avg"])
        dist.barrier()


@case
def zero_sees_all_gradients(rank: int, at: Path) -> None:
    from torch.distributed.optim import ZeroRedundancyOptimizer as Zero

    def trained(make: Callable[[Any], Any], steps: int = 3) -> tuple[list[torch.Tensor], Any]:
        model = net()
        opt = make(model.parameters())
        for step in range(steps):
            opt.zero_grad()
            model(batch(step, 0)).square().mean().backward()
            opt.step()
        return [p.detach().clone() for p in model.parameters()], opt

    settings: list[tuple[Any, dict[str, Any]]] = [
        (dt.SGD, {"lr": 0.1, "clip_norm": 0.05}),
        (dt.SGD, {"lr": 0.1, "clip_norm": 0.05, "engine": "torch"}),
        (dt.AdamW, {"lr": 0.1, "nonfinite": "skip", "telemetry": True, "engine": "llvm", "clip_norm": 0.1}),
        (dt.Muon, {"lr": 0.1}),
        (dt.LAMB, {"lr": 0.1, "clip_norm": 0.05}),
    ]
    for cls, given in settings:
        for view in (False, True):
            one, _ = trained(lambda p, cls=cls, given=given: cls(p, **given))
            shares, opt = trained(
                lambda p, cls=cls, given=given, view=view: Zero(
                    p, optimizer_class=cls, parameters_as_bucket_view=view, **given
                )
            )
            for a, b in zip(one, shares, strict=True):
                # LAMB finds the norm of all in another kernel when it finds its own beside it
                assert torch.allclose(a, b, rtol=0, atol=1e-6 if cls.spec.name == "LAMB" else 0), (cls, given, view)
            assert opt.optim._options["nonfinite"] == given.get("nonfinite", "propagate")
    for name in ("Prodigy", "DoG", "DAdaptAdam"):
        with refused(name, "total", "ZeroRedundancyOptimizer"):
            trained(lambda p, name=name: Zero(p, optimizer_class=getattr(dt, name)))
    with refused("functional"):
        Zero(net().parameters(), optimizer_class=dt.AdamW, overlap_with_ddp=True, lr=0.1)
    with refused("nonfinite", "whole optimizer"):
        Zero([{"params": list(net().parameters()), "nonfinite": "raise"}], optimizer_class=dt.AdamW, nonfinite="skip")


@case
def zero_skips_together_and_saves(rank: int, at: Path) -> None:
    from torch.distributed.optim import ZeroRedundancyOptimizer as Zero

    def made(model: nn.Module) -> Any:
        return Zero(
            model.parameters(), optimizer_class=dt.AdamW, lr=0.1 * schedules.cosine(9), nonfinite="skip", clip_norm=0.1
        )

    def step(model: nn.Module, opt: Any, k: int, bad: bool = False) -> None:
        opt.zero_grad()
        model(batch(k, 0)).square().mean().backward()
        if bad and rank == 3:
            for p in model.parameters():
                p.grad[...] = float("nan")
        opt.step()

    model, twin = net(), net()
    opt, ordinary = made(model), dt.AdamW(twin.parameters(), lr=0.1 * schedules.cosine(9), clip_norm=0.1)
    for k in range(3):
        step(model, opt, k, bad=k == 1)
        if k != 1:
            step(twin, ordinary, k)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        alike(p, q)
    opt.consolidate_state_dict(to=0)
    saved = [opt.state_dict() if rank == 0 else None]
    saved[0] = {"state": saved[0]["state"], "param_groups": [{"params": [0, 1, 2, 3]}]} if rank == 0 else None
    dist.broadcast_object_list(saved, src=0)
    again = net()
    again.load_state_dict(model.state_dict())
    fresh = made(again)
    fresh.load_state_dict(saved[0])
    for k in range(3, 5):
        step(again, fresh, k)
        step(twin, ordinary, k)
    for p, q in zip(again.parameters(), twin.parameters(), strict=True):
        alike(p, q)

    few = nn.Linear(3, 1)  # two parameters: two of the four processes have no share
    opt = Zero(few.parameters(), optimizer_class=dt.SGD, lr=0.1, clip_norm=0.1)
    few(torch.ones(2, 3)).sum().backward()
    opt.step()
    opt.add_param_group({"params": [nn.Parameter(torch.ones(2))]})
    opt.step()


@case
def fsdp1_takes_elementwise_rules(rank: int, at: Path) -> None:
    from torch.distributed.fsdp import FullyShardedDataParallel as Flat

    for original in (True, False):

        def sharded(original: bool = original) -> Any:
            return Flat(net(), use_orig_params=original, device_id=torch.device("cpu"))

        def flat(model: Any) -> list[torch.Tensor]:
            with Flat.summon_full_params(model):
                return [p.detach().clone() for p in model.parameters()]

        results = []
        for cls in (dt.AdamW, torch.optim.AdamW):
            model = sharded()
            opt = cls(model.parameters(), lr=0.01)
            for step in range(3):
                model(batch(step, rank)).square().mean().backward()
                model.clip_grad_norm_(0.1)
                opt.step()
                opt.zero_grad()
            results.append(flat(model))
        for a, b in zip(*results, strict=True):
            alike(a, b, error=5e-7)

        model = sharded()
        model(batch(0, rank)).square().mean().backward()
        stood = flat(model)
        for name, word in REDUCING.items():
            with refused(getattr(dt, name).spec.name, word if word != "matri" else "this process holds a part"):
                getattr(dt, name)(model.parameters()).step()
        for options, word in (
            ({"clip_norm": 0.1}, "clip_grad_norm_"),
            ({"nonfinite": "skip"}, "nonfinite"),
            ({"telemetry": True}, "FSDP2"),
        ):
            with refused("FullyShardedDataParallel", word):
                dt.AdamW(model.parameters(), **options).step()
        for a, b in zip(stood, flat(model), strict=True):
            alike(a, b)
        with refused("flattened", "step_in_backward"):
            dt.step_in_backward(model, dt.AdamW, lr=0.1)


@case
def ddp_is_equal_everywhere(rank: int, at: Path) -> None:
    from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import fp16_compress_hook
    from torch.nn.parallel import DistributedDataParallel

    for hook in (False, True):
        model = DistributedDataParallel(net())
        if hook:
            model.register_comm_hook(None, fp16_compress_hook)
        opt = dt.Prodigy(model.parameters(), clip_norm=0.1, nonfinite="skip")
        for step in range(4):
            model(batch(step, rank)).square().mean().backward()
            if step == 2:
                next(model.parameters()).grad[0] = float("nan")
            opt.step()
            opt.zero_grad()
        mine = torch.cat([p.detach().flatten() for p in model.parameters()])
        found = [torch.empty_like(mine) for _ in range(WORLD)]
        dist.all_gather(found, mine)
        assert all(torch.equal(mine, other) for other in found)
        assert opt.steps == 3


@case
def kfac_under_ddp_is_that_of_the_whole_batch(rank: int, at: Path) -> None:
    """A quarter of the batch on each process: means of the factors are those of the whole."""
    from torch.nn.parallel import DistributedDataParallel

    def made() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()

    x, y = torch.randn(8, 3, dtype=torch.float64), torch.randn(8, 2, dtype=torch.float64)
    dist.broadcast(x, 0)
    dist.broadcast(y, 0)
    mine = slice(2 * rank, 2 * rank + 2)
    for quadratic in (False, True):
        alone, inside = made(), made()
        shared = DistributedDataParallel(inside)
        options: dict[str, Any] = {"quadratic": quadratic, "factor_update_steps": 2, "inv_update_steps": 2}
        opts = dt.KFAC(alone, **options), dt.KFAC(shared, **options)
        for step in range(4):
            for model, opt, rows in ((alone, opts[0], slice(0, 8)), (shared, opts[1], mine)):
                opt.zero_grad()
                out = model(x[rows])
                loss = nn.functional.mse_loss(out, y[rows])
                if quadratic:
                    opt.draw(out, "mse", torch.Generator().manual_seed(step))
                loss.backward()
                if quadratic and opt is opts[0]:  # what is drawn differs: the shares take the moments of the whole
                    theirs = {block.name: block for block in opts[1]._found.blocks}
                    seen = {theirs[block.name]: pair for block, pair in opt._moments(1.0).items()}
                    opts[1]._moments = lambda scale, seen=seen: seen
                opt.step()
        for a, b in zip(alone.parameters(), inside.parameters(), strict=True):
            alike(a.detach(), b.detach(), error=1e-12)
        found: list[Any] = [None] * WORLD
        dist.all_gather_object(found, [p.detach() for p in inside.parameters()])
        assert all(torch.equal(p, q) for other in found for p, q in zip(found[0], other, strict=True))
    inside = made()
    shared = DistributedDataParallel(inside)
    opt = dt.KFAC(shared)
    for _ in range(2):
        shared.train(rank != 1)  # a process that hears nothing takes part all the same
        opt.zero_grad()
        nn.functional.mse_loss(shared(x[mine]), y[mine]).backward()
        opt.step()
    assert len(opt.factors) == 2
    dist.all_gather_object(found, [p.detach() for p in inside.parameters()])
    assert all(torch.equal(p, q) for other in found for p, q in zip(found[0], other, strict=True))
