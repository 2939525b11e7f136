"""``zero_grad``: what torch's does, without the region for a profiler that does not listen."""

import pytest
import torch
from torch.nn import Parameter

import descend.torch as ours


def pair(of):
    params = [Parameter(torch.ones(3)), Parameter(torch.ones(2)), Parameter(torch.ones(1))]
    return params, of([{"params": params[:1]}, {"params": params[1:], "lr": 0.1}], lr=0.01)


@pytest.mark.parametrize("how", [(), (True,), (False,)])
def test_gradients_are_left_as_torch_leaves_them(how):
    left = []
    for of in (ours.AdamW, torch.optim.AdamW):
        params, opt = pair(of)
        twice = torch.autograd.grad((params[0] ** 3).sum(), params[0], create_graph=True)[0]
        params[0].grad, params[1].grad = twice, (kept := torch.ones(2))
        opt.zero_grad(*how)
        left.append([None if p.grad is None else (p.grad.tolist(), p.grad.grad_fn) for p in params] + [kept.tolist()])
    assert left[0] == left[1]


def test_a_profiler_sees_it_under_torchs_name():
    params, opt = pair(ours.AdamW)
    params[0].grad = torch.ones(3)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        opt.zero_grad()
    assert "Optimizer.zero_grad#AdamW.zero_grad" in [event.name for event in seen.events() or ()]
    assert params[0].grad is None
