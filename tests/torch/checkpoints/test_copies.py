"""Schedulers, optimizers and policies are pickled, copied and saved with ``torch.save``, and go on."""

import copy
import io
import pickle

import pytest
import torch

import descend.torch as ours
from descend import chain, rules, schedules


def saved_and_loaded(thing):
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


ROUTES = {"pickle": lambda x: pickle.loads(pickle.dumps(x)), "deepcopy": copy.deepcopy, "torch.save": saved_and_loaded}
EMA = chain(rules.adam, rules.ema(0.9))


def watch():
    made = schedules.plateau(patience=0)
    made.observe(1.0)
    made.observe(2.0)
    return made


def tensors():
    return [torch.nn.Parameter(torch.linspace(1, 2, 3)), torch.nn.Parameter(torch.linspace(0, 1, 4).reshape(2, 2))]


def run(opt, params, steps, scheduler=None):
    for t in steps:
        for p in params:
            p.grad = torch.sin(torch.arange(float(p.numel())) + t).reshape(p.shape)
        opt.step()
        if scheduler is not None:
            scheduler.step()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("cls", [torch.optim.SGD, ours.SGD], ids=["torch", "ours"])
@pytest.mark.parametrize(("setting", "relative"), [("lr", False), ("lr", True), ("momentum", True)])
def test_schedulers_go_on_as_they_were(cls, setting, relative, route):
    params = tensors()
    opt = cls([{"params": params[:1]}, {"params": params[1:], "lr": 0.02, "momentum": 0.5}], lr=0.01, momentum=0.9)
    scheduler = schedules.torch_scheduler(opt, schedules.linear(20, 1.0, 0.1) * watch(), setting, relative=relative)
    run(opt, params, range(4), scheduler)
    again, other, others = ROUTES[route]((scheduler, opt, params))
    assert type(again) is type(scheduler)
    assert again.optimizer is other
    run(opt, params, range(4, 8), scheduler)
    run(other, others, range(4, 8), again)
    assert again.state_dict() == scheduler.state_dict()
    assert [g[setting] for g in other.param_groups] == [g[setting] for g in opt.param_groups]
    assert all(torch.equal(a, b) for a, b in zip(params, others, strict=True))


MAKERS = {
    "schedules": lambda p: ours.AdamW(p, lr=0.1 * schedules.linear_warmup(3) * watch(), weight_decay=watch()),
    "of a name": lambda p: ours.ScheduleFreeAdamW(p),
    "of a chain": lambda p: ours.optimizer(EMA)(p),
    "switch_at": lambda p: ours.switch_at(ours.AdamW(p), {5: ("sgd", {"lr": 0.1 * schedules.linear(9)})}),
    "switch_at, chains": lambda p: ours.switch_at(
        ours.optimizer(EMA)(p), {2: (EMA, {"lr": 0.2}), 5: ours.optimizer(EMA)}
    ),
    "switch_at, a class": lambda p: ours.switch_at(
        ours.AdamW(p), {5: (ours.optimizer(chain(rules.lion, rules.swa)), {"lr": 0.1 * watch()})}
    ),
    "swats": lambda p: ours.swats(ours.AdamEpsilonHat(p, lr=0.1), lr=0.1 * schedules.cosine(9)),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", MAKERS)
def test_optimizers_and_policies_go_on_as_they_were(kind, route):
    opt = MAKERS[kind](params := tensors())
    run(opt, params, range(4))
    again, others = ROUTES[route]((opt, params))
    run(opt, params, range(4, 9))
    run(again, others, range(4, 9))
    assert again.steps == opt.steps == 9
    assert all(torch.equal(a, b) for a, b in zip(params, others, strict=True))


def test_a_policys_checkpoint_has_what_plateaus_of_later_stages_have_seen():
    def made():
        seen = schedules.plateau(patience=0)
        opt = ours.switch_at(ours.AdamW(tensors()), {3: ("sgd", {"lr": 0.1 * seen})})
        return seen, opt

    (seen, opt), (other, again) = made(), made()
    seen.observe(1.0), seen.observe(2.0)
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert other == seen
    plain = ours.switch_at(ours.AdamW(tensors()), {3: ("sgd", {"lr": 0.1})})
    with pytest.warns(UserWarning, match="1 plateaus, and had 0"):
        again.load_state_dict(plain.state_dict())
