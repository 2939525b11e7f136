"""step_in_backward in a loop: accumulation, schedulers, groups that change, sparse gradients, autocast, its end."""

import copy
import itertools

import pytest
import torch
from test_release import Net, both, everything, loss, ordinary, released
from torch import nn
from twins import bits, gradient

import descend.torch as ours
from descend.torch import step_in_backward


def test_accumulating_blocks_and_counted_passes():
    (opt, model), (plain, twin) = both("adamw", accumulate=2)
    with opt.accumulating():
        released(opt, model, range(3))
        assert opt.steps == 0
    released(opt, model, [3])  # the first that counts
    assert opt.steps == 0
    released(opt, model, [4])
    ordinary(plain, twin, range(5), 5)
    assert everything(opt, model) == everything(plain, twin)
    assert opt.steps == 1


def test_step_takes_an_incomplete_window():
    (opt, model), (plain, twin) = both("sgd-momentum", accumulate=4)
    released(opt, model, range(6))
    opt.step()
    ordinary(plain, twin, range(4), 4)
    ordinary(plain, twin, range(4, 6), 2)
    assert everything(opt, model) == everything(plain, twin)
    opt.step()  # nothing is left
    assert opt.steps == 2
    released(opt, model, range(3))  # and the window has begun anew
    assert opt.steps == 2


def test_zero_grad_drops_what_was_accumulated():
    (opt, model), (plain, twin) = both("sgd-momentum", accumulate=2)
    released(opt, model, [9])
    opt.zero_grad()
    released(opt, model, range(2))
    ordinary(plain, twin, range(2), 2)
    assert everything(opt, model) == everything(plain, twin)


def test_an_ordinary_loop_needs_no_change():
    (opt, model), theirs = both("adamw")
    for i in range(4):
        opt.zero_grad()
        loss(model, i).backward()
        opt.step()
    ordinary(*theirs, range(4))
    assert everything(opt, model) == everything(*theirs)


def test_a_closure_is_evaluated_once_and_steps_once():
    (opt, model), theirs = both("adamw")

    def closure():
        value = loss(model, 0)
        value.backward()
        return value

    assert opt.step(closure).item() > 0
    ordinary(*theirs, range(1))
    assert everything(opt, model) == everything(*theirs)


def test_torch_s_schedulers_change_lr_without_a_warning():
    (opt, model), (plain, twin) = both("adamw")
    mine, theirs = (torch.optim.lr_scheduler.ExponentialLR(o, 0.5) for o in (opt, plain))
    for i in range(4):
        released(opt, model, [i])
        mine.step()
        ordinary(plain, twin, [i])
        theirs.step()
    assert opt.param_groups[0]["lr"] == 0.02 * 0.5**4
    assert everything(opt, model) == everything(plain, twin)


def test_groups_states_and_memory_that_change_between_passes():
    (opt, model), (plain, twin) = both("adamw")
    for o, m, run in ((opt, model, released), (plain, twin, ordinary)):
        run(o, m, range(2))
        o.param_groups[1]["weight_decay"] = 0.3
        o.param_groups[0]["maximize"] = True
        o.state[m.shared.weight].clear()
        run(o, m, range(2, 3))
        o.state[m.conv.bias]["exp_avg"] = torch.ones_like(m.conv.bias)
        o.state[m.head.bias]["step"].add_(5)
        m.head.weight.data = m.head.weight.data.clone()
        run(o, m, range(3, 5))
        m.frozen.requires_grad_(True)
        run(o, m, range(5, 7))
        m.norm.requires_grad_(False)
        run(o, m, range(7, 9))
    assert everything(opt, model) == everything(plain, twin)


def test_a_new_group_is_stepped_too():
    (opt, model), (plain, twin) = both("adamw")
    for o, m, run in ((opt, model, released), (plain, twin, ordinary)):
        torch.manual_seed(3)
        m.add_module("more", nn.Linear(3, 3))
        o.add_param_group({"params": m.more.parameters(), "lr": 0.3})
        m.head = nn.Sequential(m.head, m.more)
        run(o, m, range(3))
    assert everything(opt, model) == everything(plain, twin)
    assert model.more.weight.grad is None


def test_gradients_put_there_by_hand_are_stepped_at_the_end_of_the_pass():
    (opt, model), (plain, twin) = both("adamw")
    for m in (model, twin):
        m.seldom.weight.grad = gradient(m.seldom.weight, 1)
    released(opt, model, [1])
    ordinary(plain, twin, [1])
    assert everything(opt, model) == everything(plain, twin)


@pytest.mark.parametrize("cls", [ours.SGD, ours.SparseAdam, ours.Adagrad])
def test_sparse_gradients(cls):
    torch.manual_seed(0)
    mine = nn.Embedding(10, 4, sparse=True)
    theirs = copy.deepcopy(mine)
    opt, plain = step_in_backward(mine, cls, lr=0.1), cls(theirs.parameters(), lr=0.1)
    for i in range(5):
        rows = torch.tensor([i, i, 2 * i, 3])[: 2 + i % 3]
        mine(rows).square().sum().backward()
        theirs(rows).square().sum().backward()
        plain.step()
        plain.zero_grad()
    assert everything(opt, mine) == everything(plain, theirs)


def test_autocast_does_not_reach_the_step():
    (opt, model), (plain, twin) = both("muon")
    for i, (o, m) in itertools.product(range(3), ((opt, model), (plain, twin))):
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(m, i)
            if o is opt:
                value.backward()
        if o is plain:
            value.backward()
            o.step()
            o.zero_grad()
    assert everything(opt, model) == everything(plain, twin)


def test_shipped_holds_the_average():
    (opt, model), (plain, twin) = both("chain")
    released(opt, model, range(3))
    ordinary(plain, twin, range(3))
    with opt.shipped(), plain.shipped():
        assert bits(model.head.weight) == bits(twin.head.weight)
    assert everything(opt, model) == everything(plain, twin)


def test_remove_gives_the_gradients_back():
    model = Net()
    with step_in_backward(model, ours.SGD, lr=0.1) as opt:
        released(opt, model, range(1))
    loss(model, 1).backward()
    assert opt.steps == 1
    assert model.head.weight.grad is not None
    opt.step()
    assert opt.steps == 2
    assert model.head.weight.grad is None
    step_in_backward(model, ours.SGD).remove()  # free for another
