"""Methods of search on the parameters of a model: the same iterates as ``minimize``, groups, refusals, checkpoints."""

import copy
import io
import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import descend.torch as ours
from descend import minimize

KINDS = ["NonlinearCG", "BFGS", "SSBroyden", "NewtonCG", "TrustNCG", "TrustKrylov", "TrustExact", "Newton",
         "SaddleFree", "HessianFree"]  # fmt: skip


def valley(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def model_and_closure(name, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)
    x, y = torch.randn(30, 4, dtype=dtype), torch.randint(3, (30,))

    def closure(model=model):
        outputs = model(x)
        loss = cross_entropy(outputs, y) + 1e-2 * sum((p**2).sum() for p in model.parameters())
        return (loss, outputs) if name == "HessianFree" else loss

    return model, closure


@pytest.mark.parametrize("name", [kind for kind in KINDS if kind != "HessianFree"])
def test_iterates_are_those_of_minimize(name):
    start = torch.tensor([-1.2, 1.0, 0.5], dtype=torch.float64)
    x = nn.Parameter(start.clone())
    kind = getattr(ours, name)
    opt = kind([x], max_iter=4, tol=1e-9)
    path = []
    minimize(valley, start, kind.method, tol=1e-9, callback=lambda r: path.append(r.x.numpy()) and None)
    for k in range(3):
        opt.step(lambda: valley(x))
        np.testing.assert_allclose(x.detach().numpy(), path[4 * k + 3], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_loss_never_rises_and_falls_far(name, dtype):
    model, closure = model_and_closure(name, dtype=dtype)
    opt = getattr(ours, name)(model.parameters())
    losses = [float(opt.step(closure)) for _ in range(25)]
    assert all(b <= a + 1e-6 for a, b in itertools.pairwise(losses)), losses
    assert losses[-1] < losses[0] - 0.08
    assert all(p.dtype == dtype for p in model.parameters())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("name", KINDS)
def test_a_checkpoint_goes_on_to_the_bit(name):
    model, closure = model_and_closure(name)
    opt = getattr(ours, name)(model.parameters())
    for _ in range(5):
        opt.step(closure)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "opt": opt.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    other, _ = model_and_closure(name, seed=7)
    other.load_state_dict(saved["model"])
    goes_on = getattr(ours, name)(other.parameters())
    goes_on.load_state_dict(saved["opt"])
    for _ in range(4):
        assert float(opt.step(closure)) == float(goes_on.step(lambda: closure(other)))
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


def test_groups_are_one_vector_and_frozen_parameters_stay():
    model, closure = model_and_closure("NewtonCG")
    other = copy.deepcopy(model)
    for net in (model, other):
        net[0].bias.requires_grad_(False)
    one = ours.NewtonCG(model.parameters())
    two = ours.NewtonCG([{"params": other[0].parameters()}, {"params": other[2].parameters()}])
    before = model[0].bias.clone()
    for _ in range(3):
        one.step(closure)
        two.step(lambda: closure(other))
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
    assert torch.equal(model[0].bias, before)


@pytest.mark.parametrize("name", KINDS)
def test_a_nan_leads_back_to_where_it_was_good(name):
    model, closure = model_and_closure(name)
    opt = getattr(ours, name)(model.parameters())
    opt.step(closure)
    good = [p.detach().clone() for p in model.parameters()]
    with torch.no_grad():
        model[0].weight.fill_(torch.nan)
    opt.step(closure)
    for p, q in zip(model.parameters(), good, strict=True):
        assert torch.equal(p, q)
    assert opt._search.nit == 0  # what was learned where the NaN came from is forgotten
    first = float(opt.step(closure))
    assert float(opt.step(closure)) < first


def test_gauss_newton_products_are_those_of_the_matrix():
    model, closure = model_and_closure("HessianFree")
    opt = ours.HessianFree(model.parameters())
    graph, params = opt._graph, list(model.parameters())
    graph.closure = closure
    x = torch.cat([p.detach().reshape(-1) for p in params]).numpy()
    _, outputs = closure()
    chances = torch.softmax(outputs, 1).detach()
    rows = [torch.autograd.grad(o, params, retain_graph=True) for o in outputs.reshape(-1)]
    J = torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows]).reshape(*outputs.shape, -1)
    H = torch.diag_embed(chances) - chances[:, :, None] * chances[:, None, :]
    G = torch.einsum("bip,bij,bjq->pq", J, H, J) / len(outputs)
    for seed in range(3):
        v = np.random.default_rng(seed).standard_normal(len(x))
        np.testing.assert_allclose(graph.product(x, v), G.numpy() @ v, atol=1e-12)


def test_the_preconditioner_is_the_mean_of_the_squared_gradients_of_the_samples():
    model, closure = model_and_closure("HessianFree")
    opt = ours.HessianFree(model.parameters(), exponent=0.75, probes=2_000)
    params = list(model.parameters())
    loss, outputs = closure()
    (shares,) = torch.autograd.grad(loss, outputs, retain_graph=True)  # the loss is a mean: of each sample, 1/n
    each = [torch.autograd.grad(o, params, share, retain_graph=True) for o, share in zip(outputs, shares, strict=True)]
    rows = torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in each])
    expected = len(rows) * rows.square().sum(0)
    opt.step(closure)
    found = torch.from_numpy(opt._search.squares / opt._search.weight)
    assert float((found - expected).norm() / expected.norm()) < 0.05  # its spread is √(2/2000) of each entry at most
    np.testing.assert_allclose(float(found.sum() / expected.sum()), 1, atol=0.03)


def test_a_preconditioner_changes_the_way_and_not_the_end_of_conjugate_gradients():
    model, closure = model_and_closure("HessianFree")
    steps = []
    for exponent in (0.0, 0.75):
        net = copy.deepcopy(model)
        opt = ours.HessianFree(net.parameters(), exponent=exponent, iterations=10_000, damping=0.1)
        opt._search.iterations = 10_000
        opt.step(lambda net=net: closure(net))
        steps.append((opt._search.last, opt._search.damping))
    assert steps[0][1] == steps[1][1]
    assert np.linalg.norm(steps[0][0] - steps[1][0]) < 0.05 * np.linalg.norm(steps[0][0])


def test_the_curvature_of_other_samples_is_that_closures():
    model, closure = model_and_closure("HessianFree")
    twin, _ = model_and_closure("HessianFree")
    one, other = (ours.HessianFree(m.parameters(), exponent=0.75) for m in (model, twin))
    for _ in range(4):  # the same samples: the same steps to the bit
        a = one.step(closure)
        assert torch.equal(a, other.step(lambda: closure(twin), lambda: closure(twin)))
    assert all(map(torch.equal, model.parameters(), twin.parameters()))

    seen, outputs_of = [], twin[0].weight.new_zeros(5, 4).normal_(generator=torch.Generator().manual_seed(3))

    def fewer():
        seen.append(0)
        outputs = twin(outputs_of)
        return cross_entropy(outputs, torch.arange(5) % 3), outputs

    before = float(other.step(lambda: closure(twin), fewer))
    assert seen
    assert float(other.step(lambda: closure(twin))) < before  # value and gradient are still of all
    held, state = [p.detach().clone() for p in twin.parameters()], other._search.state_dict()["began"]["damping"]
    with pytest.raises(ZeroDivisionError):
        other.step(lambda: closure(twin), lambda: 1 / 0)
    assert all(map(torch.equal, twin.parameters(), held))
    assert other._search.state_dict()["began"]["damping"] == state


@pytest.mark.parametrize("name", KINDS)
def test_a_loss_may_take_gradients_itself(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    x = torch.linspace(0, 1, 12, dtype=torch.float64)[:, None].requires_grad_()

    def closure():  # u' = -u, u(0) = 1
        u = 1 + x * model(x)
        (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        residual = slope + u
        loss = residual.square().mean()
        return (loss, residual) if name == "HessianFree" else loss

    opt = getattr(ours, name)(model.parameters(), max_iter=10)
    with torch.no_grad():  # a loop may stand in it
        losses = [float(opt.step(closure)) for _ in range(4)]
    assert losses[-1] < losses[0] / 100


def test_what_cannot_be_meant_is_refused():
    x = nn.Parameter(torch.ones(2))
    opt = ours.NewtonCG([x])
    with pytest.raises(TypeError, match="needs a closure"):
        opt.step()
    with pytest.raises(TypeError, match="a tensor of one real number; got shape"):
        opt.step(lambda: x * 2)
    with pytest.raises(TypeError, match="got 3"):
        opt.step(lambda: 3)
    with pytest.raises(ValueError, match="does not depend on the parameters"):
        opt.step(lambda: torch.ones(()))
    with pytest.raises(TypeError, match="got None"):
        opt.step(lambda: None)

    def backward():
        loss = (x**2).sum()
        loss.backward(retain_graph=True)
        return loss

    with pytest.raises(ValueError, match="leave backward to the optimizer"):
        opt.step(backward)
    assert torch.equal(x, torch.ones(2))
    with pytest.raises(TypeError, match=r"no option 'lr'"):
        ours.NewtonCG([x], lr=0.1)
    with pytest.raises(ValueError, match="a group cannot have its own lr"):
        ours.NewtonCG([{"params": [x], "lr": 0.1}])
    with pytest.raises(ValueError, match="max_iter"):
        ours.NewtonCG([x], max_iter=0)
    with pytest.raises(ValueError, match="no state of NewtonCG"):
        opt.load_state_dict(torch.optim.SGD([x], lr=0.1).state_dict())
    with pytest.raises(TypeError, match=r"\(loss, outputs\)"):
        ours.HessianFree([x]).step(lambda: (x**2).sum())
    with pytest.raises(ValueError, match="memory_limit"):
        ours.BFGS([nn.Parameter(torch.zeros(100_000))])
