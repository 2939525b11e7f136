"""LBFGS beside torch.optim.LBFGS: same numbers, same state, and back from a NaN."""

import copy
import io

import pytest
import torch
from torch import nn

from descend.torch import LBFGS

ARGUMENTS = [
    {},
    {"line_search_fn": "strong_wolfe"},
    {"lr": 0.3, "history_size": 3},
    {"line_search_fn": "strong_wolfe", "history_size": 2, "max_iter": 5},
    {"line_search_fn": "strong_wolfe", "max_eval": 7},
    {"max_iter": 1},
    {"line_search_fn": "strong_wolfe", "max_iter": 4, "lr": 0.5, "tolerance_grad": 1e-3},
    {"tolerance_grad": 0.0, "tolerance_change": 0.0, "max_iter": 3},
    {"line_search_fn": "strong_wolfe", "tolerance_grad": 0.0, "tolerance_change": 0.0, "max_iter": 3},
    {"tolerance_change": 1e-2, "max_iter": 4, "lr": 0.2},
    {"line_search_fn": "strong_wolfe", "tolerance_change": 1e-2, "max_iter": 4, "lr": 0.2},
    {"tolerance_grad": 5e-2, "max_eval": 3},
    {"line_search_fn": "strong_wolfe", "history_size": 1, "lr": 2.0, "max_eval": 25, "max_iter": 3},
]


def task(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()
    x, y = torch.randn(40, 5, dtype=torch.float64), torch.randint(3, (40,))

    def closure_of(opt, model):
        def closure():
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y) + 1e-2 * sum((p**2).sum() for p in model.parameters())
            loss.backward()
            return loss

        return closure

    return model, closure_of


@pytest.mark.parametrize("given", ARGUMENTS)
def test_twenty_steps_are_torchs(given):
    model, closure_of = task()
    other = copy.deepcopy(model)
    mine = LBFGS(model.parameters(), **given)
    theirs = torch.optim.LBFGS(other.parameters(), **given)
    for _ in range(20):
        a, b = mine.step(closure_of(mine, model)), theirs.step(closure_of(theirs, other))
        assert float(a.detach()) == pytest.approx(float(b.detach()), abs=1e-10)
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=1e-10)
    counts = [next(iter(opt.state.values())) for opt in (mine, theirs)]
    assert counts[0]["func_evals"] == counts[1]["func_evals"]
    assert counts[0]["n_iter"] == counts[1]["n_iter"]


@pytest.mark.parametrize("given", [*ARGUMENTS[:3], {"line_search_fn": "strong_wolfe", "history_size": 9}])
def test_twenty_steps_in_float32_are_torchs(given):
    """At first, and at the end: lengths are float64 here and float32 in torch, and last places grow on the way."""
    model, _ = task()
    model.float()
    other = copy.deepcopy(model)
    mine, theirs = LBFGS(model.parameters(), **given), torch.optim.LBFGS(other.parameters(), **given)
    x, y = torch.randn(40, 5, generator=torch.Generator().manual_seed(1)), torch.arange(40) % 3

    def closure_in_float32(opt, model):
        def closure():
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y) + 1e-2 * sum((p**2).sum() for p in model.parameters())
            loss.backward()
            return loss

        return closure

    for k in range(20):
        a, b = mine.step(closure_in_float32(mine, model)), theirs.step(closure_in_float32(theirs, other))
        if k < 2 or k == 19:
            assert float(a.detach()) == pytest.approx(float(b.detach()), rel=1e-6), k
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_rosenbrocks_valley_is_followed_as_torch_does():
    def run(kind):
        x = nn.Parameter(torch.tensor([-1.2, 1.0, -1.2, 1.0], dtype=torch.float64))
        opt = kind([x], line_search_fn="strong_wolfe", max_iter=4)
        path = []

        def closure():
            opt.zero_grad()
            loss = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
            loss.backward()
            return loss

        for _ in range(20):
            opt.step(closure)
            path.append(x.detach().clone())
        return torch.stack(path)

    torch.testing.assert_close(run(LBFGS), run(torch.optim.LBFGS), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("first", "then"), [(torch.optim.LBFGS, LBFGS), (LBFGS, torch.optim.LBFGS)])
def test_checkpoints_go_both_ways(first, then):
    model, closure_of = task(1)
    opt = first(model.parameters(), line_search_fn="strong_wolfe", max_iter=3)
    for _ in range(4):
        opt.step(closure_of(opt, model))
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(model)
    goes_on = then(other.parameters(), line_search_fn="strong_wolfe", max_iter=3)
    goes_on.load_state_dict(torch.load(file))
    for _ in range(3):
        opt.step(closure_of(opt, model))
        goes_on.step(closure_of(goes_on, other))
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-10)


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_a_nan_leads_back_to_the_best_point_and_is_forgotten(search):
    x = nn.Parameter(torch.tensor([3.0]))
    opt = LBFGS([x], lr=1.0, max_iter=10, line_search_fn=search)
    broken = []

    def closure():
        opt.zero_grad()
        loss = ((x - 1) ** 2).sum() * (float("nan") if broken and float(x.detach()) != broken[0] else 1.0)
        loss.backward()
        return loss

    opt.step(closure)
    good = float(x.detach())
    assert good == pytest.approx(1, abs=1e-3)
    with torch.no_grad():
        x.fill_(5.0)
    broken.append(5.0)  # every other point is NaN from now on
    opt.step(closure)
    assert float(x.detach()) == 5.0
    broken[0] = -77.0  # and now this point too
    opt.step(closure)
    assert torch.isfinite(x).all()
    broken.clear()
    for _ in range(3):
        opt.step(closure)
    assert float(x.detach()) == pytest.approx(1, abs=1e-3)


def test_several_groups_are_one_vector():
    model, closure_of = task(2)
    other = copy.deepcopy(model)
    one = LBFGS(model.parameters(), line_search_fn="strong_wolfe")
    two = LBFGS([{"params": other[0].parameters()}, {"params": other[2].parameters()}], line_search_fn="strong_wolfe")
    for _ in range(3):
        one.step(closure_of(one, model))
        two.step(closure_of(two, other))
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


def test_what_cannot_be_meant_is_refused():
    x, z = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2, dtype=torch.float64))
    with pytest.raises(ValueError, match="lr must be the same in all"):
        LBFGS([{"params": [x]}, {"params": [nn.Parameter(torch.ones(1))], "lr": 0.1}])
    with pytest.raises(ValueError, match=r"torch.float32 on cpu, torch.float64 on cpu"):
        LBFGS([x, z])
    with pytest.raises(ValueError, match="'strong_wolfe' or None, got 'wolfe'"):
        LBFGS([x], line_search_fn="wolfe")
    with pytest.raises(ValueError, match="max_iter must be a whole number"):
        LBFGS([x], max_iter=0)
    with pytest.raises(ValueError, match="lr must be"):
        LBFGS([x], lr=float("nan"))
    with pytest.raises(ValueError, match="no parameter needs a gradient"):
        LBFGS([torch.ones(2)])
    with pytest.raises(ValueError, match="complex64"):
        LBFGS([nn.Parameter(torch.ones(2, dtype=torch.complex64))])
    with pytest.raises(TypeError, match="needs a closure"):
        LBFGS([x]).step()
