"""step_in_backward: the ordinary loop's bits, with each gradient freed as it arrives."""

import io
import itertools

import pytest
import torch
from torch import nn
from twins import ENGINES, HALVES, bits

import descend.torch as ours
from descend import chain, rules, schedules
from descend.torch import step_in_backward


class Net(nn.Module):
    """Convolution, embedding-like sharing, vectors, a matrix used twice, a frozen tensor and one seldom used."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 3)
        self.shared = nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)
        self.frozen = nn.Linear(16, 16)
        self.frozen.requires_grad_(False)
        self.seldom = nn.Linear(16, 16)
        self.head = nn.Linear(16, 3)
        self.to(dtype)

    def forward(self, x, seldom=False):
        x = torch.tanh(self.conv(x)).flatten(1)
        x = torch.tanh(self.shared(x))
        x = self.frozen(self.norm(torch.tanh(self.shared(x))))
        return self.head(self.seldom(x) if seldom else x)


def data(i, dtype=torch.float32):
    g = torch.Generator().manual_seed(i)
    return torch.randn(5, 1, 4, 4, generator=g, dtype=torch.float64).to(dtype)


def loss(model, i):
    x = data(i, next(model.parameters()).dtype)
    return model(x, seldom=i % 3 == 0).square().mean()


def everything(opt, model):
    params = list(model.parameters())
    state = [{k: bits(v) for k, v in sorted(opt.state.get(p, {}).items())} for p in params]
    return [bits(p) for p in params], state, opt.steps


def ordinary(opt, model, passes, accumulate=1):
    for n, i in enumerate(passes, 1):
        loss(model, i).backward()
        if n % accumulate == 0:
            opt.step()
            opt.zero_grad()


def released(opt, model, passes):
    for i in passes:
        loss(model, i).backward()


def groups_of(model):
    return [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1, "lr": 0.02},
        {"params": [p for p in model.parameters() if p.dim() < 2], "lr": 0.005},
    ]


CASES = {
    "adamw": (ours.AdamW, {"lr": 0.01}, groups_of),
    "adamw-amsgrad-maximize": (ours.AdamW, {"amsgrad": True, "maximize": True}, groups_of),
    "sgd": (ours.SGD, {"lr": 0.05}, nn.Module.parameters),
    "sgd-momentum": (ours.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}, groups_of),
    "lion": (ours.Lion, {"lr": 0.001}, groups_of),
    "muon": (ours.Muon, {}, lambda model: ours.muon_groups(model, show=False)),
    "adafactor": (ours.Adafactor, {}, groups_of),
    "lamb": (rules.lamb, {"lr": 0.01}, groups_of),
    "novograd": (rules.novograd, {"lr": 0.01}, groups_of),
    "rprop": (ours.Rprop, {}, nn.Module.parameters),
    "soap": (rules.soap, {"lr": 0.01}, nn.Module.parameters),
    "chain": (
        chain(rules.clip_tensor(0.1), rules.adam, rules.cautious, rules.ema(0.9)),
        {"lr": 0.01},
        nn.Module.parameters,
    ),
    "schedule": (
        ours.AdamW,
        {"lr": 0.01 * schedules.linear_warmup(4), "betas": (0.9, lambda t: 0.9 + 0.001 * t)},
        groups_of,
    ),
}


def class_of(rule):
    return rule if isinstance(rule, type) else ours.optimizer(rule)


def both(case, model=Net, accumulate=1, **more):
    rule, settings, params = CASES[case]
    mine, theirs = model(), model()
    opt = step_in_backward(params(mine), rule, accumulate=accumulate, **settings, **more)
    return (opt, mine), (class_of(rule)(params(theirs), **settings, **more), theirs)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_the_bits_are_those_of_the_ordinary_loop(case, accumulate):
    mine, theirs = both(case, accumulate=accumulate)
    released(*mine, range(12))
    ordinary(*theirs, range(12), accumulate)
    assert everything(*mine) == everything(*theirs)
    assert all(p.grad is None for p in mine[1].parameters())
    assert mine[0].steps == 12 // accumulate


@pytest.mark.parametrize(
    ("engine", "dtype"),
    [*itertools.product(ENGINES, (torch.float64, *HALVES)), ("numpy", torch.float64)],
    ids=str,
)
def test_the_bits_in_every_engine_and_type(engine, dtype):
    mine, theirs = both("adamw", lambda: Net(dtype), engine=engine)
    released(*mine, range(4))
    ordinary(*theirs, range(4))
    assert everything(*mine) == everything(*theirs)
    assert mine[0].engine == engine


@pytest.mark.parametrize("case", ["adamw", "sgd-momentum", "lion", "muon", "adafactor", "chain"])
def test_checkpoints_go_to_the_ordinary_form_and_back(case):
    rule, settings, params = CASES[case]
    (opt, model), theirs = both(case)
    released(opt, model, range(3))
    ordinary(*theirs, range(3))
    for first in (3, 7):  # saved by one form, loaded by the other, twice
        file = io.BytesIO()
        torch.save(opt.state_dict(), file)
        file.seek(0)
        opt.remove()
        opt = class_of(rule)(params(model), **settings)
        opt.load_state_dict(torch.load(file, weights_only=True))
        ordinary(opt, model, range(first, first + 2))
        saved = opt.state_dict()
        opt = step_in_backward(params(model), rule, **settings)
        opt.load_state_dict(saved)
        released(opt, model, range(first + 2, first + 4))
        ordinary(*theirs, range(first, first + 4))
        assert everything(opt, model)[:2] == everything(*theirs)[:2]


def test_a_checkpoint_with_names_fits_the_class_without():
    model = Net()
    opt = step_in_backward(model, ours.AdamW)
    released(opt, model, range(2))
    plain = ours.AdamW(model.parameters())
    plain.load_state_dict(opt.state_dict())
    assert bits(plain.state[model.head.weight]["exp_avg"]) == bits(opt.state[model.head.weight]["exp_avg"])
    torch.optim.AdamW(model.parameters()).load_state_dict(opt.state_dict())


def test_each_gradient_is_gone_before_the_next_layer_s_arrives():
    model = nn.Sequential(*[nn.Linear(8, 8) for _ in range(6)])
    opt = step_in_backward(model, ours.AdamW)
    standing = []
    for p in model.parameters():
        p.register_post_accumulate_grad_hook(
            lambda _: standing.append(sum(q.grad is not None for q in model.parameters()))
        )
    for _ in range(3):
        model(torch.ones(2, 8)).sum().backward()
    assert len(standing) == 36
    assert set(standing) == {0}
    assert opt.steps == 3
