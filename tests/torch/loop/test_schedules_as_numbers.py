"""What everybody reads of a setting that is a schedule: the number that the next step will use."""

import copy
import io
import json
import pickle

import pytest
import torch
from twins import ENGINES, copies, parameters, train

import descend.torch as ours
from descend import schedules
from descend.schedules import cosine, linear, plateau

WARM = 1e-2 * (linear(5, 0.0, 1.0) >> cosine(10))
BETA = linear(10, 0.8, 0.95)


def made(cls=ours.AdamW, **settings):
    params = parameters()
    return cls(params, **settings), params


def test_it_is_a_number_to_everybody():
    opt, params = made(lr=WARM, betas=(BETA, 0.99), weight_decay=linear(10, 0.1, 0.0), clip_norm=1.0 + cosine(9))
    for t in range(17):
        group = opt.param_groups[0]
        lr = group["lr"]
        assert type(lr) is float
        assert lr == WARM(t) == opt.current("lr") == group.get("lr") == dict(group)["lr"] == {**group}["lr"]
        assert json.loads(json.dumps({k: v for k, v in group.items() if k != "params"}))["lr"] == lr
        assert (f"{lr:.1e}", torch.tensor(lr).item()) == (f"{WARM(t):.1e}", torch.tensor(WARM(t)).item())
        assert group["betas"] == (BETA(t), 0.99) == opt.current("betas")
        assert group["weight_decay"] == linear(10, 0.1, 0.0)(t)
        assert group["clip_norm"] == 1 + cosine(9)(t)
        assert (opt.current("beta1"), opt.current("beta2")) == (BETA(t), 0.99)
        assert opt.state_dict()["param_groups"][0]["lr"] == lr
        train(range(t, t + 1), (opt, params))


def test_each_group_has_its_own():
    a, b, *_ = parameters()
    opt = ours.AdamW([{"params": [a]}, {"params": [b], "lr": 0.1 * cosine(4)}], lr=WARM)
    train(range(3), (opt, [a, b]))
    assert opt.current("lr") == [WARM(3), 0.1 * cosine(4)(3)] == [group["lr"] for group in opt.param_groups]
    opt.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], "lr": 0.5 * linear(10)})
    assert opt.current("lr")[2] == 0.5 * linear(10)(3)
    with pytest.raises(ValueError, match=r"has no setting 'lrr'. Did you mean 'lr'"):
        opt.current("lrr")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_number_ends_it_and_a_schedule_begins(engine):
    (opt, params), (ref, others) = made(lr=WARM, engine=engine), made(lr=0.0, engine=engine)
    group, wanted = opt.param_groups[0], ref.param_groups[0]
    for t in range(9):
        if t == 3:
            group["lr"] = 0.02
        if t == 6:
            group["lr"] = 0.3 * cosine(20)
            assert opt.current("lr") == group["lr"] == 0.3 * cosine(20)(6)
        wanted["lr"] = WARM(t) if t < 3 else 0.02 if t < 6 else 0.3 * cosine(20)(t)
        assert group["lr"] == wanted["lr"]
        train(range(t, t + 1), (opt, params), (ref, others))
    assert all(map(torch.equal, params, others))


def test_the_same_number_written_by_hand_ends_it_and_the_one_that_was_read_does_not():
    opt, params = made(lr=0.01 * cosine(10))
    group = opt.param_groups[0]
    read = group["lr"]
    group["lr"] = 0.0  # as distributed checkpoints do around a dry step
    train(range(1), (opt, params))
    group["lr"] = read
    train(range(2), (opt, params))
    assert group["lr"] == 0.01 * cosine(10)(3)
    group["lr"] = float(repr(group["lr"]))
    train(range(2), (opt, params))
    assert group["lr"] == 0.01 * cosine(10)(3)


def test_one_entry_of_a_tuple_ends_alone():
    opt, params = made(betas=(BETA, linear(10, 0.9, 0.99)))
    group = opt.param_groups[0]
    group["betas"] = (0.5, group["betas"][1])
    train(range(2), (opt, params))
    assert group["betas"] == (0.5, linear(10, 0.9, 0.99)(2))


def test_a_plain_group_that_somebody_holds_says_the_same_as_the_one_that_follows():
    opt, params = made(lr=0.5)
    held = opt.param_groups[0]
    assert type(held) is dict  # all that Dynamo knows
    held["lr"] = WARM
    train(range(2), (opt, params))
    assert held["lr"] == opt.param_groups[0]["lr"] == WARM(2)
    held["lr"] = 0.25
    train(range(1), (opt, params))
    opt.param_groups[0]["lr"] = 0.125
    assert opt.current("lr") == 0.125
    train(range(1), (opt, params))
    assert held["lr"] == opt.param_groups[0]["lr"] == 0.125


@pytest.mark.parametrize("write", [
    lambda g, v: g.update(lr=v), lambda g, v: g.__ior__({"lr": v}),
    lambda g, v: (g.pop("lr"), g.setdefault("lr", v)), lambda g, v: (g.__delitem__("lr"), g.update({"lr": v})),
])  # fmt: skip
@pytest.mark.parametrize("value", [0.02, 0.2 * cosine(9)])
def test_however_it_is_written(write, value):
    opt, params = made(lr=WARM)
    write(opt.param_groups[0], value)
    train(range(3), (opt, params))
    assert opt.param_groups[0]["lr"] == (value(3) if callable(value) else value)


def test_a_momentum_that_begins_at_zero_keeps_the_rule_of_one_that_does_not():
    (opt, params), (ref, others) = made(ours.SGD, lr=0.1, momentum=linear(4, 0.0, 0.8)), made(ours.SGD, lr=0.1)
    for t in range(6):
        train(range(t, t + 1), (opt, params))
        ref.param_groups[0]["momentum"] = linear(4, 0.0, 0.8)(t) or 1e-300
        train(range(t, t + 1), (ref, others))
    for p, q in zip(params, others, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-13, atol=0)
    opt, params = made(ours.SGD, lr=0.1)  # a schedule that is 0 now asks for another rule than 0 does
    train(range(1), (opt, params))
    opt.param_groups[0]["momentum"] = linear(4, 0.0, 0.8).shift(1)
    train(range(1), (opt, params))
    assert type(opt.param_groups[0]["momentum"]) is float
    assert "momentum_buffer" in opt.state[params[0]]


@pytest.mark.parametrize("copied", [
    copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt)),
    lambda opt: torch.load(_file(opt), weights_only=False),
])  # fmt: skip
def test_copies_follow_it_on_their_own(copied):
    opt, params = made(lr=WARM, betas=(BETA, 0.99))
    train(range(3), (opt, params))
    other = copied(opt)
    rest = other.param_groups[0]["params"]
    train(range(3, 8), (opt, params), (other, rest))
    assert all(map(torch.equal, params, rest))
    assert other.param_groups[0]["lr"] == WARM(8)
    other.param_groups[0]["lr"] = 0.5
    train(range(2), (opt, params), (other, rest))
    assert (opt.current("lr"), other.current("lr")) == (WARM(10), 0.5)


def _file(opt):
    torch.save(opt, file := io.BytesIO())
    file.seek(0)
    return file


def test_a_checkpoint_holds_numbers_and_goes_on():
    opt, params = made(lr=WARM, betas=(BETA, 0.99))
    train(range(6), (opt, params))
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    assert (saved["param_groups"][0]["lr"], saved["param_groups"][0]["betas"]) == (WARM(6), (BETA(6), 0.99))
    other, rest = made(lr=WARM, betas=(BETA, 0.99))
    other.load_state_dict(saved)
    assert other.param_groups[0]["lr"] == WARM(6)  # before any step, as a trainer logs it
    train(range(2), (other, rest))
    assert other.param_groups[0]["lr"] == WARM(8)
    plain, rest = made(lr=0.5)  # a run that has no schedule goes on with the number
    plain.load_state_dict(saved)
    train(range(1), (plain, rest))
    assert plain.param_groups[0]["lr"] == WARM(6)


def test_distributed_checkpoint_sees_numbers_and_leaves_the_schedule():
    dcp = pytest.importorskip("torch.distributed.checkpoint.state_dict")
    model = torch.nn.Linear(3, 2)
    opt = ours.AdamW(model.parameters(), lr=WARM)
    options = dcp.StateDictOptions(flatten_optimizer_state_dict=True)
    flat = dcp.get_optimizer_state_dict(model, opt, options=options)  # takes a dry step at a rate of 0
    assert flat["param_groups.weight.lr"] == WARM(opt.steps)
    fresh = opt.steps
    train(range(3), (opt, list(model.parameters())))
    assert opt.param_groups[0]["lr"] == WARM(fresh + 3)
    other_model = copy.deepcopy(model)
    other = ours.AdamW(other_model.parameters(), lr=WARM)
    dcp.set_optimizer_state_dict(other_model, other, dcp.get_optimizer_state_dict(model, opt))
    assert other.param_groups[0]["lr"] == WARM(fresh + 3)
    train(range(1), (other, list(other_model.parameters())))
    assert other.param_groups[0]["lr"] == WARM(fresh + 4)


def test_a_schedule_that_raises_at_the_next_step_leaves_this_one_whole():
    rates = [0.1, 0.2]
    opt, params = made(lr=lambda step: rates[step])
    train(range(2), (opt, params))
    before = [p.detach().clone() for p in params]
    assert (opt.steps, opt.param_groups[0]["lr"]) == (2, 0.2)
    with pytest.raises(IndexError):
        train(range(1), (opt, params))
    assert opt.steps == 2
    assert all(map(torch.equal, before, params))
    opt.param_groups[0]["lr"] = 0.3
    train(range(1), (opt, params))
    assert opt.steps == 3


def test_a_value_that_is_not_admitted_is_refused_where_it_is_assigned():
    opt, params = made(lr=WARM)
    with pytest.raises(ValueError, match="lr must not be negative"):
        opt.param_groups[0]["lr"] = -1 * cosine(4)
    train(range(2), (opt, params))
    assert opt.param_groups[0]["lr"] == WARM(2)


def test_a_plateau_counts_in_the_step_after_its_metric():
    watch = plateau(patience=0, factor=0.5)
    opt, params = made(lr=0.1 * watch)
    train(range(1), (opt, params))
    watch.observe(1.0)
    watch.observe(1.0)
    assert opt.current("lr") == 0.05 == opt.param_groups[0]["lr"] == opt.state_dict()["param_groups"][0]["lr"]
    other, rest = made(lr=0.1)
    train(range(1), (other, rest))
    other.param_groups[0]["lr"] = 0.05
    train(range(1, 2), (opt, params), (other, rest))
    assert all(map(torch.equal, params, rest))


def test_steps_in_the_backward_show_it_too():
    model = torch.nn.Linear(3, 2)
    opt = ours.step_in_backward(model, ours.AdamW, lr=WARM)
    for t in range(6):
        assert opt.param_groups[0]["lr"] == WARM(t)
        model(torch.ones(4, 3)).square().sum().backward()
    opt.param_groups[0]["lr"] = 0.5
    model(torch.ones(4, 3)).square().sum().backward()
    assert (opt.steps, opt.param_groups[0]["lr"]) == (7, 0.5)


def test_a_switch_takes_the_schedule_along():
    opt, params = made(lr=WARM)
    train(range(4), (opt, params))
    opt = ours.switch(opt, "nadamw")
    assert opt.param_groups[0]["lr"] == WARM(4)
    train(range(4, 6), (opt, params))
    assert opt.param_groups[0]["lr"] == WARM(6)
    policy = ours.switch_at(ours.AdamW(params, lr=WARM), {2: ("sgd", {"lr": 0.1 * cosine(10)})})
    train(range(4), (policy, params))
    assert policy.param_groups[0]["lr"] == 0.1 * cosine(10)(4)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_zero_redundancy_optimizer_shows_and_follows_it(tmp_path):
    dist = torch.distributed
    if not dist.is_available() or dist.is_initialized():
        pytest.skip("needs a process group of its own")
    from torch.distributed.optim import ZeroRedundancyOptimizer

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        sharded = ZeroRedundancyOptimizer(p := parameters(), optimizer_class=ours.AdamW, lr=WARM)
        for t in range(4):
            assert sharded.param_groups[0]["lr"] == WARM(t)
            train(range(t, t + 1), (sharded, p))
        sharded.consolidate_state_dict()
        other = ZeroRedundancyOptimizer(q := copies(p), optimizer_class=ours.AdamW, lr=2 * WARM)
        other.load_state_dict(copy.deepcopy(sharded.state_dict()))
        train(range(2), (other, q))
        assert other.param_groups[0]["lr"] == 2 * WARM(6)  # the schedule is the program's, as ever
        sharded.param_groups[0]["lr"] = 0.25
        train(range(2), (sharded, p))
        assert sharded.param_groups[0]["lr"] == sharded.optim.param_groups[0]["lr"] == 0.25
    finally:
        dist.destroy_process_group()


def test_a_list_of_groups_given_to_two_optimizers_in_turn():
    a, b, *_ = parameters()
    groups = [{"params": iter([a])}, {"params": [b], "lr": 0.5}]
    first, second = ours.AdamW(groups, lr=0.1 * cosine(5)), ours.SGD(groups, lr=0.2, momentum=0.9)
    assert [g["lr"] for g in second.param_groups] == [0.2, 0.5]
    assert [g["lr"] for g in first.param_groups] == [0.1, 0.5]
    assert all(first.param_groups[0]["params"][0] is a is second.param_groups[0]["params"][0] for _ in "x")
    assert set(groups[0]) == {"params"}


def test_torch_schedulers_of_ours_want_a_number():
    opt, _ = made(lr=WARM)
    with pytest.raises(ValueError, match="'lr' is a schedule already"):
        schedules.torch_scheduler(opt, WARM)


def test_finding_a_rate_leaves_the_schedule_and_its_advice_ends_it():
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    data = [(torch.randn(8, 4), torch.randn(8, 1)) for _ in range(40)]
    opt = ours.AdamW(model.parameters(), lr=WARM)
    found = ours.find_lr(model, opt, torch.nn.functional.mse_loss, data, steps=20, repeats=1, probes=0)
    assert found.bases == (0.01,)  # its peak, though it begins at 0
    assert opt.current("lr") == 0.0
    train(range(2), (opt, list(model.parameters())))
    assert opt.current("lr") == WARM(2)
    with pytest.warns(UserWarning, match="the schedule of lr is replaced"):
        found.apply(opt)
    train(range(1), (opt, list(model.parameters())))
    assert opt.current("lr") == found.lr
