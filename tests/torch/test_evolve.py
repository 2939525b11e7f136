"""A population of models: one call where vmap can, any executor where it cannot, and the best one is kept."""

import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from torch import nn

from descend.torch import evolve
from descend.torch.population import Population

X = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
Y = (X[:, :1] * X[:, 1:] > 0).float()


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))


def xor(model):
    return nn.functional.binary_cross_entropy_with_logits(model(X), Y)


def xor_by_item(model):
    loss = xor(model)
    return loss if loss.item() < 100 else 2 * loss


def test_a_network_learns_xor_and_keeps_the_best_parameters():
    model = net()
    before = float(xor(model).detach())
    found = evolve(model, xor, budget=4_000, seed=1)
    assert found.fun < 0.3 * before
    assert float(xor(model).detach()) == pytest.approx(found.fun, rel=1e-5, abs=1e-6)
    assert "models were evaluated at once" in found.message
    assert found.x.shape == (17,)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_all_ways_of_evaluating_give_the_same_losses():
    vectors = torch.randn(7, 17, generator=torch.Generator().manual_seed(1))
    names = [name for name, _ in net().named_parameters()]
    whole = Population(net(), xor, names, 2**30, None).losses(vectors)
    small = Population(net(), xor, names, 1, None)
    np.testing.assert_allclose(small.losses(vectors), whole, rtol=1e-6)
    assert small.chunk == 1
    alone = Population(net(), xor_by_item, names, 2**30, None)
    np.testing.assert_allclose(alone.losses(vectors), whole, rtol=1e-6)
    assert "one by one" in alone.how
    assert "item()" in alone.how
    with ThreadPoolExecutor(2) as pool:
        threads = Population(net(), xor_by_item, names, 2**30, pool)
        np.testing.assert_allclose(threads.losses(vectors), whole, rtol=1e-6)
        assert "on ThreadPoolExecutor" in threads.how


MEET = threading.Barrier(2)


class Met(nn.Module):
    """Lets no thread go on before another one is here, too."""

    def forward(self, x):
        if threading.current_thread() is not threading.main_thread():
            MEET.wait(30)
        return x


def test_threads_have_a_model_each():
    model = nn.Sequential(nn.Linear(2, 4), Met(), nn.Tanh(), nn.Linear(4, 1))
    vectors = torch.randn(2, 17, generator=torch.Generator().manual_seed(1))
    names = [name for name, _ in model.named_parameters()]
    alone = Population(model, xor_by_item, names, 2**30, None).losses(vectors)
    with ThreadPoolExecutor(2) as pool:
        together = Population(model, xor_by_item, names, 2**30, pool).losses(vectors)
    np.testing.assert_allclose(together, alone, rtol=1e-6)


@pytest.mark.slow
def test_processes_evaluate_what_cannot_be_vmapped():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = evolve(net(), xor_by_item, budget=60, executor=pool, seed=1)
    assert found.fun == evolve(net(), xor_by_item, budget=60, seed=1).fun


def test_frozen_parameters_and_buffers_stay():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)).eval()
    model[0].requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = evolve(model, xor, "snes", budget=100, seed=1)
    assert found.x.shape == (10,)
    after = model.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {"0.weight", "0.bias", "1.running_mean", "1.running_var"} <= same
    assert "2.weight" not in same


def test_buffers_that_a_layer_writes_into_stay():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)).train()
    before = [buffer.clone() for buffer in model.buffers()]
    found = evolve(model, xor, "snes", budget=30, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(before, model.buffers(), strict=True))
    assert found.nbad == 0


def test_the_memory_counts_what_a_forward_pass_computes():
    names = [name for name, _ in net().named_parameters()]
    population = Population(net(), xor, names, 1_000_000, None)
    population.losses(torch.zeros(2, 17))
    per_model = 1_000_000 // population.chunk
    assert 64 * 4 * 4 < per_model < 20 * 64 * 4 * 4


def test_losses_that_fail_are_counted_and_never_chosen():
    def sometimes(model):
        loss = xor(model).item()
        if loss > 0.75:
            raise ArithmeticError("too high")
        return torch.tensor(loss)

    found = evolve(net(), sometimes, budget=200, seed=1)
    assert found.nbad > 0
    assert found.fun <= 0.75


@pytest.mark.parametrize(
    ("model", "loss", "options", "error", "says"),
    [
        (nn.Tanh(), xor, {}, ValueError, "no parameter with requires_grad"),
        (net(), xor, {"memory": 0}, ValueError, "memory must be a number of bytes"),
        (net(), lambda model: model(X), {}, TypeError, "a tensor of one number"),
        (net(), lambda model: 1.0, {}, TypeError, "a tensor of one number"),
        (net(), xor, {"method": "cma"}, None, ""),
        (net(), xor, {"budget": 0}, ValueError, "budget must be"),
    ],
)
def test_what_cannot_be_meant_is_refused(model, loss, options, error, says):
    if error is None:
        evolve(model, loss, **options, budget=30)
        return
    with pytest.raises(error, match=says):
        evolve(model, loss, **options)
