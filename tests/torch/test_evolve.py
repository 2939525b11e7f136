"""A population of models: one call where vmap can, any executor where it cannot, and the best one is kept."""

import threading
import weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from descend.torch import evolve
from descend.torch.population import Population, one_by_one

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


class Live(TorchDispatchMode):
    """The most bytes of what was computed within and is still there, at any time."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and (at := leaf.untyped_storage()).data_ptr() not in self.seen:
                self.seen.add(at.data_ptr())
                self.now += at.nbytes()
                weakref.finalize(at, self.gone, at.data_ptr(), at.nbytes())
        self.most = max(self.most, self.now)
        return result

    def gone(self, at, size):
        self.seen.discard(at)
        self.now -= size


@pytest.mark.parametrize("memory", [200_000, 2_000_000])
def test_the_memory_is_kept_and_used(memory):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
    names = [name for name, _ in model.named_parameters()]
    population = Population(model, xor, names, memory, None)
    vectors = torch.randn(60, sum(p.numel() for p in model.parameters()))
    population.losses(vectors[:1])
    with Live() as live:
        live.seen |= {one.untyped_storage().data_ptr() for one in (vectors, X, Y, *model.parameters())}
        population.losses(vectors)
    assert 1 <= population.chunk < 60
    assert memory / 8 < live.most <= memory


def test_dropout_is_the_same_for_a_generation_and_the_seed_decides():
    def noisy():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.Tanh(), nn.Linear(4, 1))

    vectors = torch.randn(1, 17, generator=torch.Generator().manual_seed(1)).expand(9, 17)
    names = [name for name, _ in noisy().named_parameters()]
    before = torch.get_rng_state()
    for loss, memory in ((xor, 2**30), (xor, 20_000), (xor_by_item, 2**30)):
        population = Population(noisy(), loss, names, memory, None, seed=3)
        one, other = population.losses(vectors), population.losses(vectors)
        np.testing.assert_allclose(one, one[0].expand(9), rtol=1e-6)
        assert abs(float(one[0] - other[0])) > 1e-6  # another generation, other masks
    runs = [evolve(noisy(), xor, budget=60, seed=1) for _ in range(2)]
    assert torch.equal(runs[0].x, runs[1].x)
    assert runs[0].fun == runs[1].fun
    assert "its lowest value was lucky" in runs[0].message
    assert "lucky" not in evolve(noisy().eval(), xor, budget=20, seed=1).message
    assert torch.equal(torch.get_rng_state(), before)


def test_batch_norm_in_training_is_evaluated_at_once_and_said():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 1))
    names = [name for name, _ in model.named_parameters()]
    vectors = torch.randn(5, sum(p.numel() for p in model.parameters()), generator=torch.Generator().manual_seed(1))
    population = Population(model, xor, names, 2**30, None)
    together = population.losses(vectors)
    assert population.chunk > 1
    np.testing.assert_allclose(together, one_by_one(population, vectors), rtol=1e-5)
    assert "before eval()" in evolve(model, xor, budget=20, seed=1).message
    assert "before eval()" not in evolve(model.eval(), xor, budget=20, seed=1).message


def test_a_worker_that_dies_is_raised_and_the_model_stays():
    model = net()
    before = [p.detach().clone() for p in model.parameters()]

    def mistaken(of):
        if threading.current_thread() is not threading.main_thread():
            raise NameError("no such thing")
        return xor_by_item(of)

    with ThreadPoolExecutor(2) as pool, pytest.raises(NameError, match="no such thing"):
        evolve(model, mistaken, budget=60, executor=pool, seed=1)
    assert all(map(torch.equal, model.parameters(), before))

    class Interrupted(ThreadPoolExecutor):
        def submit(self, f, *given):
            task = super().submit(f, *given)
            task.result = lambda timeout=None: (_ for _ in ()).throw(KeyboardInterrupt())
            cancelled.append(task)
            return task

    cancelled = []
    with Interrupted(1) as pool, pytest.raises(KeyboardInterrupt):
        evolve(model, xor_by_item, budget=60, executor=pool, seed=1)
    assert all(map(torch.equal, model.parameters(), before))


def test_the_callback_sees_each_generation_and_may_end_it():
    model, seen = net(), []

    def watch(result):
        seen.append((result.nfev, result.fun))
        if len(seen) == 3:
            raise StopIteration

    found = evolve(model, xor, budget=10_000, callback=watch, seed=1)
    assert found.status == 3
    assert [n for n, _ in seen] == sorted({n for n, _ in seen})
    assert float(xor(model).detach()) == pytest.approx(found.fun, rel=1e-5)


class Tied(nn.Module):
    """A layer that occurs twice, and a weight that two layers share."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.both = nn.Sequential(self.first, nn.Tanh(), self.first)
        self.other, self.last = nn.Linear(2, 2, bias=False), nn.Linear(2, 1)
        self.other.weight = self.first.weight

    def forward(self, x):
        return self.last(self.other(self.both(x)))


@pytest.mark.parametrize("how", [xor_by_item, xor])
def test_tied_and_double_parameters(how):
    torch.manual_seed(0)
    model = Tied().double()

    def loss(of):
        return how(lambda x: of(x.double()).float())

    def exact(of):
        return nn.functional.mse_loss(of(X.double()), Y.double())

    start = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    names = [name for name, _ in model.named_parameters()]
    vectors = torch.stack([start, start + 1])
    found = Population(model, exact, names, 2**30, None).losses(vectors)
    assert float(found[0]) == pytest.approx(float(exact(model).detach()), rel=1e-14)
    with torch.no_grad():
        for p in model.parameters():
            p += 1
    assert float(found[1]) == pytest.approx(float(exact(model).detach()), rel=1e-12)
    result = evolve(model, loss, budget=40, seed=1)
    assert result.x.dtype == torch.float64
    assert result.x.shape == (9,)
    assert float(loss(model).detach()) == pytest.approx(result.fun, rel=1e-6)
    assert model.other.weight is model.first.weight


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
        (nn.Linear(2, 1, dtype=torch.complex64), xor, {}, ValueError, "weight is complex"),
        (xor, xor, {}, TypeError, "takes a model"),
        (net(), None, {}, TypeError, "loss_fn must be a function"),
        (net(), xor, {"executor": 3}, TypeError, r"executor must have submit\(\)"),
        (net(), xor, {"memory": "1 GB"}, ValueError, "got '1 GB'"),
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
