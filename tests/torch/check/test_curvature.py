"""Estimates of the Hessian's diagonal: against exact ones, by their means and within their standard errors."""

import itertools
import math

import pytest
import torch
from torch.nn import Parameter
from torch.nn.functional import cross_entropy

from descend.torch.curvature import gauss_newton_bartlett, hutchinson


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64).to(dtype)


# ---------------------------------------------------------------- Hutchinson


def bowl(params, curvatures):
    return sum(0.5 * (h * p * p).sum() for p, h in zip(params, curvatures, strict=True))


def test_a_diagonal_hessian_comes_times_the_square_of_a_normal_number():
    """u * (H u) = h u^2: u^2 has the mean 1 and the variance 2, where random signs would have none."""
    p, h = Parameter(normal(200_000)), normal(200_000, seed=1)
    (estimate,) = hutchinson(bowl([p], [h]), [p], generator=seeded())
    squares = estimate / h
    n = squares.numel()
    assert (squares >= 0).all()
    assert abs(squares.mean() - 1) < 5 * math.sqrt(2 / n)
    assert abs(((squares - 1) ** 2).mean() - 2) < 5 * math.sqrt((60 - 4) / n)  # E (u^2 - 1)^4 = 60
    assert abs((squares < 1).double().mean() - math.erf(math.sqrt(0.5))) < 5 * 0.5 / math.sqrt(n)


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_samples_are_averaged(samples):
    p, h = Parameter(normal(100_000)), normal(100_000, seed=1)
    (estimate,) = hutchinson(bowl([p], [h]), [p], generator=seeded(), samples=samples)
    squares = estimate / h
    n, variance = squares.numel(), 2 / samples
    assert abs(squares.mean() - 1) < 5 * math.sqrt(variance / n)
    # the mean of k squares is chi-squared with k degrees of freedom over k: fourth moment 12/k^2 + 48/k^3
    spread = math.sqrt((12 / samples**2 + 48 / samples**3 - variance**2) / n)
    assert abs(((squares - 1) ** 2).mean() - variance) < 5 * spread


def test_a_full_hessian_is_met_within_five_standard_errors():
    """Var u_i (H u)_i = sum_j H_ij^2 + H_ii^2; the parameters' blocks meet through H."""
    H = normal(7, 7, seed=2)
    H = H + H.T
    a, b = Parameter(normal(2, 2)), Parameter(normal(3, seed=1))
    x = torch.cat([a.reshape(-1), b])
    samples = 4000
    blocks = hutchinson(0.5 * x @ H @ x, [a, b], generator=seeded(), samples=samples)
    assert [e.shape for e in blocks] == [a.shape, b.shape]
    estimate = torch.cat([e.reshape(-1) for e in blocks])
    error = ((H**2).sum(1) + H.diagonal() ** 2).div(samples).sqrt()
    assert ((estimate - H.diagonal()).abs() < 5 * error).all()


def test_the_hessian_is_taken_where_the_parameters_are():
    p = Parameter(normal(50_000))
    (estimate,) = hutchinson((p**4).sum() / 12, [p], generator=seeded())
    squares = estimate / p.detach() ** 2
    assert abs(squares.mean() - 1) < 5 * math.sqrt(2 / p.numel())


def test_different_parameters_get_independent_numbers():
    params = [Parameter(torch.zeros(50_000, dtype=torch.float64)) for _ in range(2)]
    a, b = hutchinson(bowl(params, [torch.ones(50_000), torch.ones(50_000)]), params, generator=seeded())
    assert abs(((a - 1) * (b - 1)).mean()) < 5 * 2 / math.sqrt(50_000)


def test_a_linear_loss_has_no_curvature():
    p, q = Parameter(normal(3)), Parameter(normal(4))
    for estimate in hutchinson((2 * p).sum() + (3 * q).sum(), [p, q]):
        assert torch.equal(estimate, torch.zeros_like(estimate))
    a, b = hutchinson((2 * p).sum() + (q**2).sum(), [p, q])
    assert torch.equal(a, torch.zeros_like(p))
    assert (b > 0).all()


# ---------------------------------------------------------------- Gauss–Newton–Bartlett


def regression(batch=(6,), features=3, classes=4):
    W, b = Parameter(normal(classes, features)), Parameter(normal(classes, seed=1))
    x = normal(*batch, features, seed=2)
    return W, b, x, lambda: x @ W.T + b


@pytest.mark.parametrize("batch", [(1,), (2,), (2, 1), (1, 2), ()])
def test_one_draw_is_b_times_the_square_of_a_gradient_of_the_mean_loss(batch):
    """There are only classes**B outcomes; the estimate must be one of them, to the last digits."""
    W, b, _, logits = regression(batch, classes=3)
    count = math.prod(batch)
    outcomes = []
    for labels in itertools.product(range(3), repeat=count):
        loss = cross_entropy(logits().reshape(-1, 3), torch.tensor(labels))
        outcomes.append(count * torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, [W, b])]) ** 2)
    seen = set()
    for seed in range(40):
        estimate = gauss_newton_bartlett(logits(), [W, b], generator=seeded(seed))
        flat = torch.cat([e.reshape(-1) for e in estimate])
        gaps = [float((flat - o).abs().max()) for o in outcomes]
        assert min(gaps) <= 1e-14 * float(flat.abs().max()) + 1e-16
        seen.add(gaps.index(min(gaps)))
    assert len(seen) > 1


def test_labels_are_drawn_with_the_model_s_own_probabilities():
    logits = Parameter(torch.tensor([[0.0, 1.0, -1.0, 2.0]], dtype=torch.float64))
    chance = torch.softmax(logits.detach()[0], 0)
    generator, n = seeded(), 3000
    counts = torch.zeros(4, dtype=torch.float64)
    candidates = (chance - torch.eye(4, dtype=torch.float64)) ** 2
    for _ in range(n):
        (estimate,) = gauss_newton_bartlett(logits * 1.0, [logits], generator=generator)
        counts[(estimate - candidates).abs().sum(1).argmin()] += 1
    assert ((counts / n - chance).abs() < 5 * (chance * (1 - chance) / n).sqrt()).all()


@pytest.mark.parametrize("batch", [(6,), (2, 3)])
def test_the_mean_is_the_diagonal_of_the_gauss_newton_matrix(batch):
    """Of the mean loss of a softmax regression: mean of x_k^2 p_c (1 - p_c), and without x for the bias."""
    W, b, x, logits = regression(batch)
    p = torch.softmax(logits().detach(), -1).reshape(-1, 4)
    flat = x.reshape(-1, 3)
    exact = torch.cat([((p * (1 - p)).T @ flat**2 / len(p)).reshape(-1), (p * (1 - p)).mean(0)])
    generator, draws = seeded(3), []
    for _ in range(4000):
        estimate = gauss_newton_bartlett(logits(), [W, b], generator=generator)
        draws.append(torch.cat([e.reshape(-1) for e in estimate]))
    drawn = torch.stack(draws)
    error = drawn.std(0) / math.sqrt(len(drawn))
    assert (error < 0.1 * exact).all()
    assert ((drawn.mean(0) - exact).abs() < 5 * error).all()


def test_labels_of_one_batch_are_independent():
    """Were one label drawn for the whole batch, the mean for equal rows would be B times as large."""
    W = Parameter(torch.zeros(2, 1, dtype=torch.float64))
    x = torch.ones(400, 1, dtype=torch.float64)
    (estimate,) = gauss_newton_bartlett(x @ W.T, [W], generator=seeded())
    assert estimate.max() < 0.25 * 25  # chi-squared with one degree of freedom, times p (1 - p): 5 deviations
