"""What trainers, schedulers, scalers and checkpoint code do to an optimizer."""

import copy
import inspect
import pickle

import pytest
import torch
from torch import nn
from torch.nn import Parameter
from torch.optim import lr_scheduler
from torch.optim.swa_utils import SWALR
from twins import (
    CLASSES,
    ENGINES,
    STATEFUL,
    assert_close,
    copies,
    feed,
    gradient,
    parameters,
    snapshot,
    theirs,
    train,
    twin,
)

import descend.torch as ours
from descend.schedules import cosine, linear

SCHEDULERS = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3, gamma=0.5),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 10),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=20),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3, cycle_momentum=False),
    "LinearLR then Exponential": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, total_iters=4), lr_scheduler.ExponentialLR(o, 0.9)], [4]
    ),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (t + 1)),
    "SWALR": lambda o: SWALR(o, swa_lr=0.05, anneal_epochs=5),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_schedulers_as_on_torch(name, scheduler, engine):
    mine, reference = twin(name, engine=engine, lr=0.1, **({"momentum": 0.9} if name == "SGD" else {}))
    schedulers = [SCHEDULERS[scheduler](opt) for opt, _ in (mine, reference)]
    cycled = set()
    for t in range(12):
        train(range(t, t + 1), mine, reference)
        for s in schedulers:
            s.step()
        group = mine[0].param_groups[0]
        assert group["lr"] == reference[0].param_groups[0]["lr"]
        cycled.add(group["momentum"] if name == "SGD" else group["betas"][0])
        assert_close(mine, reference, 1e-14, f"step {t}:")
        if t == 6:  # a scheduler wraps step(); the pair must still survive being copied
            copy.deepcopy(mine[0])
            pickle.loads(pickle.dumps(mine[0]))
    assert (len(cycled) > 5) is (scheduler == "OneCycleLR")


def test_a_scheduler_on_top_of_a_schedule_is_said_and_its_checkpoint_can_be_loaded(tmp_path):
    """A trainer that was given no scheduler attaches one of its own."""
    params, lr = parameters(), 0.01 * (linear(5, 0.0, 1.0) >> cosine(20))
    opt = ours.AdamW(params, lr=lr)
    with pytest.warns(UserWarning, match="the schedule is followed, and what the scheduler writes is not taken"):
        scheduler = lr_scheduler.LambdaLR(opt, lambda k: 1 / (2 + k))
    for t in range(8):
        train(range(t, t + 1), (opt, params))
        scheduler.step()
        assert scheduler.get_last_lr() == [lr(t + 1)]  # what trainers log
    torch.save(scheduler.state_dict(), tmp_path / "scheduler.pt")
    saved = torch.load(tmp_path / "scheduler.pt", weights_only=True)
    assert saved["base_lrs"] == [lr(0)]


def test_a_scheduler_that_has_not_written_yet_is_said_at_the_first_step():
    opt = ours.AdamW(p := parameters(), lr=0.01 * cosine(20))
    lr_scheduler.StepLR(opt, 3)
    with pytest.warns(UserWarning, match="a scheduler of torch is attached, and lr is a schedule already"):
        train(range(1), (opt, p))


def test_a_scheduler_of_others_that_writes_over_a_schedule_is_said():
    opt = ours.AdamW(p := parameters(), lr=0.01 * cosine(20))
    group = opt.param_groups[0]
    group["initial_lr"] = group["lr"]  # as timm's do
    with pytest.warns(UserWarning, match="the schedule has ended"):
        group["lr"] = 0.5 * group["initial_lr"]
    train(range(2), (opt, p))
    assert group["lr"] == 0.005


def test_reduce_on_plateau():
    mine, reference = twin("AdamW", lr=0.1)
    schedulers = [lr_scheduler.ReduceLROnPlateau(opt, patience=1, factor=0.1) for opt, _ in (mine, reference)]
    for t in range(9):
        train(range(t, t + 1), mine, reference)
        for s in schedulers:
            s.step(1.0)
    assert mine[0].param_groups[0]["lr"] == reference[0].param_groups[0]["lr"] < 0.1
    assert_close(mine, reference, 1e-14)


def test_wrong_call_order_of_a_scheduler_is_noticed_as_on_torch():
    opt = ours.SGD(p := parameters())
    scheduler = lr_scheduler.StepLR(opt, 1)
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\)` before `optimizer.step\(\)"):
        scheduler.step()
    train(range(1), (opt, p))


@pytest.mark.parametrize("engine", ENGINES)
def test_grad_scaler_skips_infinite_gradients_and_unscales_others(engine):
    mine, reference = twin("Adam", torch.float32, engine)
    scalers = [torch.amp.GradScaler("cpu", init_scale=8.0) for _ in range(2)]
    for t in range(4):
        for (opt, params), scaler in zip((mine, reference), scalers, strict=True):
            scaler.scale(torch.ones(1))  # makes the scale, as scaling a loss does
            feed(params, t)
            for p in params:
                p.grad.mul_(scaler.get_scale())
            if t in (0, 2):
                params[1].grad[3] = float("inf")
            before = snapshot(opt)
            scaler.step(opt)
            scaler.update()
            assert (snapshot(opt) == before) is (t in (0, 2))
    assert scalers[0].get_scale() == scalers[1].get_scale() == 2.0
    assert_close(mine, reference, 5e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_scaler_that_leaves_the_unscaling_to_the_optimizer(engine):
    """Attributes grad_scale and found_inf, for an optimizer that says it supports them."""
    mine, reference = twin("Adam", torch.float32, engine)
    if not getattr(mine[0], "_step_supports_amp_scaling", False):
        assert "grad_scaler" not in inspect.signature(type(mine[0]).step).parameters
        return
    mine[0].grad_scale, mine[0].found_inf = torch.tensor(4.0), torch.tensor(1.0)
    feed(mine[1], 0)
    before = snapshot(mine[0])
    mine[0].step()
    assert snapshot(mine[0]) == before
    mine[0].found_inf = torch.tensor(0.0)
    for p in mine[1]:
        p.grad.mul_(4)
    mine[0].step()
    train(range(1), reference)
    assert_close(mine, reference, 5e-7)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CLASSES)
def test_accelerate_swaps_the_parameters_of_the_groups(name, engine):
    """prepare(): load(state_dict()), placeholders whose data_ptr is an int, then the real parameters."""
    settings = {"lr": 0.01, **STATEFUL.get(name, {})}
    p = parameters()
    opt = getattr(ours, name)(p, engine=engine, **settings)
    opt.load_state_dict(opt.state_dict())
    fresh = {x.data_ptr() + i: Parameter(x.detach().clone()) for i, x in enumerate(p)}
    for group in opt.param_groups:
        for i, x in enumerate(group["params"]):
            group["params"][i] = torch.empty(1, dtype=x.dtype)
            group["params"][i].data_ptr = x.data_ptr() + i
    for group in opt.param_groups:
        group["params"] = [fresh[x.data_ptr] for x in group["params"]]
    new = list(fresh.values())
    q = copies(new)
    ref = theirs(name, q, **settings)
    train(range(4), (opt, new), (ref, q))
    assert_close((opt, new), (ref, q), 1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_step_rebound_on_the_instance_and_state_moved(engine):
    """accelerate wraps step on the instance; Lightning replaces every state tensor but ``step``."""
    mine, reference = twin("AdamW", engine=engine)
    opt = mine[0]
    inner, calls = opt.step, []

    def patched(*args, **kwargs):
        calls.append(1)
        return inner(*args, **kwargs)

    opt.step = patched
    train(range(2), mine, reference)
    opt.step = inner
    for state in opt.state.values():
        for key, value in state.items():
            if key != "step" and isinstance(value, torch.Tensor):
                state[key] = value.clone().to("cpu")
    train(range(2, 5), mine, reference)
    assert len(calls) == 2
    assert_close(mine, reference, 1e-14)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CLASSES)
def test_distributed_checkpoint_takes_state_before_and_after_steps(name, engine):
    """get_optimizer_state_dict steps an optimizer without state, at lr = 0 with zero gradients."""
    dcp = pytest.importorskip("torch.distributed.checkpoint.state_dict")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    settings = {"lr": 0.01, "weight_decay": 0.1, **STATEFUL.get(name, {})}
    opt = getattr(ours, name)(model.parameters(), engine=engine, **settings)
    before = snapshot(opt)[0]
    dcp.get_optimizer_state_dict(model, opt)
    assert snapshot(opt)[0] == before
    params = list(model.parameters())
    train(range(3), (opt, params))
    saved = copy.deepcopy(dcp.get_optimizer_state_dict(model, opt))
    other_model = copy.deepcopy(model)
    other = getattr(ours, name)(other_model.parameters(), engine=engine, **settings)
    dcp.set_optimizer_state_dict(other_model, other, saved)
    rest = list(other_model.parameters())
    assert snapshot(other)[0] == snapshot(opt)[0]
    train(range(3, 6), (opt, params), (other, rest))
    assert snapshot(other)[:2] == snapshot(opt)[:2]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_zero_redundancy_optimizer(tmp_path):
    dist = torch.distributed
    if not dist.is_available() or dist.is_initialized():
        pytest.skip("needs a process group of its own")
    from torch.distributed.optim import ZeroRedundancyOptimizer

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        p, q = parameters(), parameters()
        sharded = ZeroRedundancyOptimizer(p, optimizer_class=ours.AdamW, lr=0.01)
        train(range(3), (sharded, p), (ref := theirs("AdamW", q, lr=0.01), q))
        assert_close((sharded.optim, p), (ref, q), 1e-14)
        sharded.consolidate_state_dict()
        sharded.load_state_dict(sharded.state_dict())
        train(range(3, 5), (sharded, p), (ref, q))
        assert_close((sharded.optim, p), (ref, q), 1e-14)
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("engine", ENGINES)
def test_micro_batches_and_goes_down(engine):
    """Gradients accumulated over four micro-batches are one batch's; and a real loss falls."""
    x = gradient(torch.empty(8, 5, dtype=torch.float64), 1).sign()
    models = [nn.Linear(5, 1).double() for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    opts = [ours.AdamW(m.parameters(), lr=0.05, engine=engine) for m in models]
    losses = []
    for _ in range(30):
        for model, opt, parts in zip(models, opts, (1, 4), strict=True):
            opt.zero_grad()
            for part in x.chunk(parts):
                loss = (model(part) - part.sum(1, keepdim=True)).pow(2).mean() / parts
                loss.backward()
            opt.step()
            losses.append(float(loss.detach()))
    assert torch.allclose(models[0].weight, models[1].weight, rtol=1e-9)
    assert losses[-2] < 0.2 * losses[0]


# ---------------------------------------------------------------- keys that frameworks put into every group

NOTHING = [
    {"weight_decay": 0.0}, {"weight_decay": None}, {"momentum": 0}, {"nesterov": False}, {"foreach": None},
    {"fused": None}, {"amsgrad": False}, {"betas": None}, {"rho": None}, {"correct_bias": True}, {"lr_scale": 0.5},
    {"name": "head"}, {"swap": 3}, {"group_name": "decay"}, {"initial_lr": 0.1}, {"is_last_layer": True},
    {"whatever": "a text"},
]  # fmt: skip


@pytest.mark.parametrize("name", ["Rprop", "DoG", "GradientDescent"])
@pytest.mark.parametrize("extra", NOTHING, ids=str)
def test_keys_that_ask_for_nothing_are_carried(name, extra):
    opt = getattr(ours, name)([{"params": (p := parameters()), "lr": 0.01, **extra}])
    reference = getattr(ours, name)(q := copies(p), lr=0.01)
    train(range(3), (opt, p), (reference, q))
    assert all(map(torch.equal, p, q))
    saved = opt.state_dict()["param_groups"][0]
    assert extra.items() <= saved.items()
    opt.load_state_dict(opt.state_dict())
    assert extra.items() <= opt.param_groups[0].items()


@pytest.mark.parametrize(("extra", "says"), [
    ({"weight_decay": 0.1}, "has no setting 'weight_decay'.*decay_l2"),
    ({"weight_decay": cosine(9)}, "has no setting 'weight_decay'"),
    ({"momentum": 0.9}, "has no setting 'momentum'"), ({"betas": (0.9, 0.99)}, "has no setting 'betas'"),
    ({"nesterov": True}, "has no setting 'nesterov'"), ({"correct_bias": False}, "has no setting 'correct_bias'"),
    ({"lrr": 0.0}, "has no setting 'lrr'. Did you mean 'lr'"), ({"step_size": None}, "Did you mean 'step_sizes'"),
    ({"weigth_decay": 0.0}, "has no setting 'weigth_decay'"), ({"temperature": 1.0}, "has no setting 'temperature'"),
])  # fmt: skip
def test_keys_that_ask_for_something_are_refused_by_name(extra, says):
    with pytest.raises(TypeError, match=says):
        ours.Rprop([{"params": parameters(), **extra}])


def test_a_decay_that_comes_later_is_refused_where_the_rule_has_none():
    opt = ours.DoG([{"params": (p := parameters()), "weight_decay": 0.0}])
    train(range(1), (opt, p))
    before = [x.detach().clone() for x in p]
    opt.param_groups[0]["weight_decay"] = 0.1
    with pytest.raises(TypeError, match="DoG has no setting 'weight_decay'"):
        train(range(1), (opt, p))
    assert all(map(torch.equal, before, p))
    opt.param_groups[0]["weight_decay"] = 0.0
    train(range(1), (opt, p))


# ---------------------------------------------------------------- rates a rounding error below 0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["SGD", "AdamW", "ScheduleFreeAdamW"])
def test_a_rate_a_rounding_error_below_0_is_0(name, engine, caplog, monkeypatch):
    monkeypatch.setattr("descend.stepping._said", set())
    opt = getattr(ours, name)(p := parameters(), lr=0.1, engine=engine)
    other = getattr(ours, name)(q := copies(p), lr=0.1, engine=engine)
    scheduler = lr_scheduler.LambdaLR(opt, lambda k: 1 - 0.5 * k if k < 2 else -1e-12)
    for t in range(5):
        train(range(t, t + 1), (opt, p))
        scheduler.step()
    for t in range(5):
        other.param_groups[0]["lr"] = (0.1, 0.05, 0.0, 0.0, 0.0)[t]
        train(range(t, t + 1), (other, q))
    assert all(map(torch.equal, p, q))
    assert [r.message for r in caplog.records].count(f"{name}: lr fell a rounding error below 0, so 0 is used") == 1
    with opt.shipped():
        pass
    fresh = getattr(ours, name)(copies(p), lr=0.1)
    fresh.load_state_dict(opt.state_dict())


def test_a_rate_that_is_truly_negative_is_refused():
    opt = ours.SGD(p := parameters(), lr=0.1)
    scheduler = lr_scheduler.LambdaLR(opt, lambda k: 1.0 if k == 0 else -1e-5)
    train(range(1), (opt, p))
    scheduler.step()
    with pytest.raises(ValueError, match=r"Invalid learning rate: -1\.0"):
        train(range(1), (opt, p))
    with pytest.raises(ValueError, match="Invalid learning rate"):
        ours.SGD(p, lr=-1e-12)


# ---------------------------------------------------------------- state in memory that processes share


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["AdamW", "Adagrad", "Prodigy"])
def test_shared_state_is_counted_where_it_is_shared(name, engine):
    """As torch's: the step is a tensor that every process adds to."""
    opt = getattr(ours, name)(p := parameters(), lr=0.01, engine=engine)
    reference = getattr(ours, name)(q := copies(p), lr=0.01, engine=engine)
    train(range(3), (opt, p), (reference, q))
    for state in opt.state.values():
        for value in state.values():
            value.share_memory_()
    steps = [state["step"] for state in opt.state.values()]
    for t in range(3, 8):
        train(range(t, t + 1), (opt, p), (reference, q))
        assert all(map(torch.equal, p, q))
        assert all(step.is_shared() and float(step) == t + 1 for step in steps)
        assert all(state["step"] is step for state, step in zip(opt.state.values(), steps, strict=True))
    for step in steps:
        step += 5  # another process
    for state in reference.state.values():
        state["step"] += 5
    train(range(8, 10), (opt, p), (reference, q))
    assert all(map(torch.equal, p, q))
    assert all(float(step) == 15 for step in steps)


def test_two_processes_count_in_one_place():
    model = nn.Linear(3, 2)
    model.share_memory()
    opt = ours.AdamW(model.parameters(), lr=0.01)
    train(range(1), (opt, list(model.parameters())))
    context = torch.multiprocessing.get_context("spawn")
    process = context.Process(target=steps_elsewhere, args=(opt, list(model.parameters())))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert {float(state["step"]) for state in opt.state.values()} == {4.0}
    train(range(1), (opt, list(model.parameters())))
    assert {float(state["step"]) for state in opt.state.values()} == {5.0}


def steps_elsewhere(opt, params):
    opt.param_groups[0]["params"][:] = params
    train(range(3), (opt, params))


# ---------------------------------------------------------------- a model that is converted after steps


@pytest.mark.parametrize("convert", [nn.Module.double, nn.Module.half, nn.Module.bfloat16], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["SGD", "AdamW", "Shampoo"])
def test_a_converted_model_goes_on_or_the_message_names_the_way(name, convert):
    model = nn.Linear(4, 3, bias=False)
    opt = getattr(ours, name)(model.parameters(), lr=0.1, **({"momentum": 0.9} if name == "SGD" else {}))
    params = list(model.parameters())
    train(range(2), (opt, params))
    convert(model)
    for p in params:
        p.grad = None
    if convert is nn.Module.double:
        with pytest.raises(ValueError, match=r"opt.load_state_dict\(opt.state_dict\(\)\) takes its state along"):
            train(range(1), (opt, params))
        opt.load_state_dict(opt.state_dict())
    train(range(1), (opt, params))
    assert {float(state["step"]) for state in opt.state.values()} == {3.0}
