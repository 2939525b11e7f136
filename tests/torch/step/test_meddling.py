"""Tensors replaced behind the optimizer's back between two steps: the numbers stay torch's."""

import pytest
import torch
from torch.nn import Parameter
from twins import ENGINES, assert_close, bits, feed, gradient, parameters, refusal, snapshot, theirs, twin

import descend.torch as ours

F64 = torch.float64


def replace_data(opt, params):
    params[0].data = params[0].data.clone()


def share_parameter(opt, params):
    params[0].data.share_memory_()


def share_state(opt, params):
    for state in opt.state.values():
        for value in state.values():
            if isinstance(value, torch.Tensor):
                value.share_memory_()


def replace_state(opt, params):
    opt.state[params[0]]["exp_avg"] = torch.full_like(params[0], 0.25)


def strided_state(opt, params):
    old = opt.state[params[0]]["exp_avg_sq"]
    opt.state[params[0]]["exp_avg_sq"] = torch.stack([old, old], -1)[..., 0]


def edit_state_in_place(opt, params):
    opt.state[params[0]]["exp_avg"].mul_(2)


def drop_state(opt, params):
    del opt.state[params[0]]


def freeze(opt, params):
    params[0].requires_grad_(not params[0].requires_grad)


def swap_parameter_in_group(opt, params):
    fresh = Parameter(params[0].detach().clone())
    opt.param_groups[0]["params"][0] = params[0] = fresh


def resize(opt, params):
    params[0].data = params[0].data[:4].clone()
    params[0].grad = None
    opt.state.pop(params[0], None)


MEDDLING = [
    replace_data, share_parameter, share_state, replace_state, strided_state, edit_state_in_place,
    drop_state, freeze, swap_parameter_in_group, resize,
]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("meddle", MEDDLING, ids=lambda f: f.__name__)
def test_tensors_replaced_between_steps_as_torch(meddle, engine):
    """No pointer of an earlier step may be used again."""
    mine, reference = twin("Adam", F64, engine, lr=0.01)
    stale = []
    for t in range(12):
        for opt, params in (mine, reference):
            if t and t % 3 == 0:
                stale.append((params[0].data, bits(params[0])) if meddle in (replace_data, resize) else None)
                meddle(opt, params)
            feed(params, t)
            opt.step()
        assert_close(mine, reference, 1e-14, f"step {t}:")
    for left in filter(None, stale):
        assert bits(left[0]) == left[1], "a step wrote into the storage a parameter had before"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("reuse", [True, False])
def test_gradients_in_place_or_reallocated(reuse, engine):
    """Whether zero_grad frees or zeroes the gradients, no state may alias them."""
    mine, reference = twin("SGD", F64, engine, lr=0.01, momentum=0.9)
    for t in range(8):
        for opt, params in (mine, reference):
            opt.zero_grad(set_to_none=not reuse)
            for i, p in enumerate(params):
                g = gradient(p, 100 * t + i)
                p.grad = g if p.grad is None else p.grad.copy_(g)
            opt.step()
        assert_close(mine, reference, 1e-14, f"step {t}:")


@pytest.mark.parametrize("engine", ENGINES)
def test_one_gradient_tensor_for_two_parameters(engine):
    built = []
    for build in (
        lambda ps: ours.SGD(ps, lr=0.1, weight_decay=0.1, maximize=True, engine=engine),
        lambda ps: theirs("SGD", ps, lr=0.1, weight_decay=0.1, maximize=True),
    ):
        params = parameters(shapes=((4, 3), (4, 3)))
        built.append((build(params), params))
    for opt, params in built:
        params[0].grad = params[1].grad = gradient(params[0], 1)
        opt.step()
        opt.step()
    assert_close(*built, 1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_model_cast_after_state_exists_is_refused_whole_or_continues(engine):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    params = list(model.parameters())
    opt = ours.Adam(params, lr=0.1, engine=engine)
    feed(params, 0)
    opt.step()
    model.double()
    feed(params, 1)
    before = snapshot(opt)
    if message := refusal(opt.step):
        assert "float64" in message
        assert "float32" in message
        assert snapshot(opt) == before
    else:
        assert snapshot(opt)[0] != before[0]
        assert all(torch.isfinite(p).all() for p in params)
