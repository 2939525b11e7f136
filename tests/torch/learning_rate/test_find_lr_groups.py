"""Several groups in `find_lr`, one that stands still, and what `apply` writes into them."""

import json
import math

import pytest
import torch
from range_tests import FEW, regression
from torch.nn.functional import mse_loss

import descend.torch as ours
from descend import schedules
from descend.torch import find_lr


def test_groups_keep_their_ratio_and_get_one_multiplier():
    model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Linear(4, 1))
    _, batches = regression()
    groups = [{"params": model[0].parameters(), "lr": 0.02}, {"params": model[1].parameters(), "lr": 0.002}]
    opt = torch.optim.SGD(groups)
    ratios = set()
    opt.register_step_pre_hook(lambda o, *_: ratios.add(round(o.param_groups[0]["lr"] / o.param_groups[1]["lr"], 6)))
    found = find_lr(model, opt, mse_loss, batches, **FEW)
    assert ratios == {10.0}
    assert found.lrs == pytest.approx([found.lr, found.lr / 10])
    found.apply(opt)
    assert [group["lr"] for group in opt.param_groups] == found.lrs
    with pytest.raises(ValueError, match="found for 2 groups; this optimizer has 1"):
        found.apply(torch.optim.SGD(model.parameters()))


def frozen_group(model, at, **options):
    groups = [{"params": layer.parameters(), "lr": 0.0 if k == at else 0.02} for k, layer in enumerate(model)]
    return ours.SGD(groups, **options)


@pytest.mark.parametrize("at", [0, 1])
def test_a_group_at_zero_stays_where_it_is(at):
    torch.manual_seed(0)
    model, batches = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Linear(4, 1)), regression()[1]
    opt, seen = frozen_group(model, at), set()

    def loss_fn(output, target):
        seen.add(tuple(model[at].weight.flatten().tolist()))
        return mse_loss(output, target)

    found = find_lr(model, opt, loss_fn, batches, **FEW)
    assert len(seen) == 1
    assert found.lr > 0
    assert found.multiplier == found.lr / 0.02
    assert found.lrs == [0.0 if k == at else found.lr for k in range(2)]
    assert math.isfinite(json.loads(found.to_json())["multiplier"])
    found.apply(opt)
    assert [group["lr"] for group in opt.param_groups] == found.lrs


def test_where_all_groups_are_at_zero_the_default_stands_in():
    model, batches = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Linear(4, 1)), regression()[1]
    opt = torch.optim.Adam([{"params": layer.parameters(), "lr": 0.0} for layer in model])
    assert find_lr(model, opt, mse_loss, batches, **FEW).bases == (1e-3, 1e-3)


def test_apply_tells_that_it_replaces_a_schedule():
    model, batches = regression()
    opt = ours.SGD(model.parameters(), lr=0.03 * schedules.cosine(90))
    found = find_lr(model, opt, mse_loss, batches, **FEW)
    with pytest.warns(UserWarning, match=f"replaced by a constant rate; .* lr={found.multiplier:.4g}·schedule"):
        found.apply(opt)
    assert opt.param_groups[0]["lr"] == found.lr


def test_apply_is_where_the_next_scheduler_begins():
    model, batches = regression()
    opt = torch.optim.SGD(model.parameters(), lr=0.5)
    torch.optim.lr_scheduler.CosineAnnealingLR(opt, 100)
    found = find_lr(model, opt, mse_loss, batches, **FEW)
    with pytest.warns(UserWarning, match="make the scheduler anew after apply"):
        found.apply(opt)
    again = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 100)
    assert again.base_lrs == found.lrs != [0.5]


def test_apply_fills_a_tensor_in_place():
    model, batches = regression()
    lr = torch.tensor(0.01)
    opt = torch.optim.Adam(model.parameters(), lr=lr)
    found = find_lr(model, opt, mse_loss, batches, **FEW)
    assert float(lr) == pytest.approx(0.01)
    found.apply(opt)
    assert opt.param_groups[0]["lr"] is lr
    assert float(lr) == pytest.approx(found.lr)
