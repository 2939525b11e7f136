"""Estimates of curvature: reproducible, without side effects, and refused by name where they make no sense."""

import pytest
import torch
from torch.nn import Parameter
from torch.nn.functional import cross_entropy

from descend.torch.curvature import gauss_newton_bartlett, hutchinson


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


def both(params, seed=0, **more):
    """Each estimate once, as (name, call)."""
    generator = {} if seed is None else {"generator": seeded(seed)}
    x = normal(5, params[0].shape[1], seed=9, dtype=params[0].dtype)
    yield "hutchinson", lambda: hutchinson((x @ params[0].T).exp().mean(), params, **generator, **more)
    yield "gauss_newton_bartlett", lambda: gauss_newton_bartlett(x @ params[0].T, params, **generator, **more)


def test_the_same_generator_gives_the_same_bits_another_one_others():
    params = [Parameter(normal(4, 3))]
    for _ in range(2):
        runs = [dict((name, call()[0]) for name, call in both(params, seed)) for seed in (1, 1, 2)]
    for name in runs[0]:
        assert torch.equal(runs[0][name], runs[1][name])
        assert not torch.equal(runs[0][name], runs[2][name])


def test_a_generator_moves_on_from_call_to_call():
    p, generator = Parameter(normal(4, 3)), seeded()
    a, b = (hutchinson((p**2).sum(), [p], generator=generator)[0] for _ in range(2))
    assert not torch.equal(a, b)


def test_the_global_generator_is_left_alone_where_one_is_given_and_used_where_not():
    params = [Parameter(normal(4, 3))]
    for _, call in both(params):
        before = torch.get_rng_state()
        call()
        assert torch.equal(before, torch.get_rng_state())
    for _, call in both(params, seed=None):
        torch.manual_seed(5)
        before, first = torch.get_rng_state(), call()
        assert not torch.equal(before, torch.get_rng_state())
        torch.manual_seed(5)
        assert all(torch.equal(a, b) for a, b in zip(first, call(), strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_have_the_parameters_shapes_and_types_and_no_graph(dtype):
    params = [Parameter(normal(4, 3, dtype=dtype)), Parameter(normal(2, 5, dtype=dtype))]
    for name, call in both(params):
        results = call()
        assert isinstance(results, list)
        for p, result in zip(params, results, strict=True):
            assert type(result) is torch.Tensor, name
            assert result.shape == p.shape
            assert result.dtype == dtype
            assert not result.requires_grad
            assert result.grad_fn is None
        assert results[0].abs().max() > 0
        assert torch.equal(results[1], torch.zeros_like(params[1])), name  # it is not in the graph


def test_gradients_are_left_alone():
    params = [Parameter(normal(4, 3)), Parameter(normal(2, 5))]
    params[1].grad = torch.ones_like(params[1])
    for _, call in both(params):
        call()
        assert params[0].grad is None
        assert torch.equal(params[1].grad, torch.ones_like(params[1]))
    params[0].grad = kept = torch.full_like(params[0], 3.0)
    for _, call in both(params):
        call()
        assert params[0].grad is kept
        assert torch.equal(kept, torch.full_like(kept, 3.0))


def test_the_graph_can_be_used_afterwards():
    p = Parameter(normal(4, 3))
    loss = (p**3).sum()
    hutchinson(loss, [p], samples=3)
    hutchinson(loss, [p])
    loss.backward()
    assert torch.allclose(p.grad, 3 * p.detach() ** 2)
    x = normal(5, 3)
    logits = x @ p.T
    gauss_newton_bartlett(logits, [p])
    cross_entropy(logits, torch.zeros(5, dtype=torch.long)).backward()


def test_parameters_may_come_as_an_iterator_and_be_frozen():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    model[0].bias.requires_grad_(False)
    logits = model(normal(5, 3))
    squares = logits.square().mean()
    for results in (hutchinson(squares, model.parameters()), gauss_newton_bartlett(logits, model.parameters())):
        assert [r.shape for r in results] == [p.shape for p in model.parameters()]
        assert torch.equal(results[1], torch.zeros_like(results[1]))
        assert all(r.abs().max() > 0 for i, r in enumerate(results) if i != 1)


# ---------------------------------------------------------------- refusals


def test_a_loss_that_is_no_scalar_or_has_no_graph_is_refused():
    p = Parameter(normal(4, 3))
    for loss in (p.sum(0), p, (p * 0).detach().sum(), torch.tensor(1.0)):
        with pytest.raises(ValueError, match="loss"):
            hutchinson(loss, [p])
    for logits in (normal(5, 4), (p * 2).detach()):
        with pytest.raises(ValueError, match="logits"):
            gauss_newton_bartlett(logits, [p])


def test_no_parameters_are_refused():
    p = Parameter(normal(4, 3))
    with pytest.raises(ValueError, match="params"):
        hutchinson(p.sum(), [])
    with pytest.raises(ValueError, match="params"):
        gauss_newton_bartlett(p * 1, [])


@pytest.mark.parametrize("samples", [0, -1])
def test_a_mean_over_no_samples_is_refused(samples):
    p = Parameter(normal(4, 3))
    with pytest.raises(ValueError, match="samples"):
        hutchinson((p**2).sum(), [p], samples=samples)


def test_a_number_is_no_logits():
    p = Parameter(normal(4, 3))
    with pytest.raises(ValueError, match="logits"):
        gauss_newton_bartlett(p.sum(), [p])
