"""Length and momentum of K-FAC from the quadratic model, against matrices written out."""

import copy
import itertools

import pytest
import torch
from test_kfac import normal, two_layers
from torch import nn

from descend.torch import KFAC

LOSSES = {
    "mse": nn.functional.mse_loss,
    "cross_entropy": nn.functional.cross_entropy,
    "bce": nn.functional.binary_cross_entropy_with_logits,
}
X = normal(7, 3, seed=11)


def target(loss):
    return torch.arange(7) % 2 if loss == "cross_entropy" else torch.sigmoid(normal(7, 2, seed=12))


def gauss_newton(model, loss, reduction):
    """Jᵀ H J of the mean or the sum over samples of the loss, by plain autograd, output by output."""
    params, outputs = list(model.parameters()), model(X)
    rows = [torch.autograd.grad(o, params, retain_graph=True) for o in outputs.reshape(-1)]
    J = torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows])

    def of(flat):
        return LOSSES[loss](flat.reshape(outputs.shape), target(loss))

    H = torch.autograd.functional.hessian(of, outputs.detach().reshape(-1))
    return J.T @ H @ J * (1 if reduction == "mean" else len(X))


def flat(model, which=lambda p: p.detach()):
    return torch.cat([which(p).reshape(-1) for p in model.parameters()]).clone()


def one_step(opt, model, loss, reduction="mean"):
    out = model(X)
    opt.draw(out, loss, torch.Generator().manual_seed(opt.steps))
    opt.zero_grad()
    value = LOSSES[loss](out, target(loss)) * (1 if reduction == "mean" else len(X))
    value.backward()
    opt.step()
    return float(value.detach())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_steps_are_those_of_the_model_written_out(loss, reduction):
    model = two_layers()
    opt = KFAC(model, quadratic=True, damping=0.05, reduction=reduction, factor_update_steps=2, inv_update_steps=1)
    plain, last = None, None
    for _ in range(4):
        before, B = flat(model), gauss_newton(model, loss, reduction)
        B = B + 0.05 * torch.eye(len(B), dtype=B.dtype)
        one_step(opt, model, loss, reduction)
        gradient, moved = flat(model, lambda p: p.grad), flat(model) - before
        blocks = opt._found.blocks
        divided = {p: torch.zeros_like(p) for p in model.parameters()}
        for block in blocks:
            of = {p: p.grad for p in model.parameters()}
            block.write(opt._factors[block].divided(block.matrix(of)), divided)
        plain = -flat(model, lambda p, divided=divided: divided[p])
        basis = torch.stack([plain] if last is None else [plain, last], dim=1)
        # the normal equations of the smallest value of g·s + ½ s·B s for s in the span of the basis
        best = basis @ torch.linalg.solve(basis.T @ B @ basis, -basis.T @ gradient)
        torch.testing.assert_close(moved, best, rtol=1e-8, atol=1e-12)
        last = moved


def test_the_rate_multiplies_the_step_and_schedulers_may_set_it():
    one, other = two_layers(), two_layers()
    a, b = KFAC(one, quadratic=True), KFAC(other, lr=0.5, quadratic=True)
    start = flat(one)
    one_step(a, one, "mse")
    one_step(b, other, "mse")
    torch.testing.assert_close(flat(other) - start, 0.5 * (flat(one) - start))


def test_a_mean_over_accumulated_batches():
    one, other = two_layers(), two_layers()
    a, b = (KFAC(m, quadratic=True, factor_update_steps=3) for m in (one, other))
    for opt, model in ((a, one), (b, other)):
        one_step(opt, model, "mse")  # the factors are the same from here on, whatever is drawn
    one_step(a, one, "mse")
    b.zero_grad()
    for _ in range(2):
        out = other(X)
        b.draw(out, "mse")
        (LOSSES["mse"](out, target("mse")) / 2).backward()
    b.step()
    torch.testing.assert_close(flat(one), flat(other))


def test_it_falls_resumes_to_the_bit_and_skips():
    model = two_layers()
    opt = KFAC(model, quadratic=True, damping=0.01)
    losses = [one_step(opt, model, "cross_entropy") for _ in range(8)]
    assert all(b < a for a, b in itertools.pairwise(losses))
    twin = copy.deepcopy(model)
    other = KFAC(twin, quadratic=True, damping=0.01)
    other.load_state_dict(opt.state_dict())
    for _ in range(3):
        assert one_step(opt, model, "cross_entropy") == one_step(other, twin, "cross_entropy")
    assert torch.equal(flat(model), flat(twin))


def test_what_cannot_be_meant_is_refused():
    model = two_layers()
    with pytest.raises(ValueError, match="leave momentum out"):
        KFAC(model, quadratic=True, momentum=0.9)
    opt = KFAC(model, quadratic=True)
    before = flat(model)
    LOSSES["mse"](model(X), target("mse")).backward()
    with pytest.raises(RuntimeError, match=r"needs opt\.draw"):
        opt.step()
    assert torch.equal(flat(model), before)
    assert opt.steps == 0
    one_step(opt, model, "mse")
    saved = opt.state_dict()
    saved["last"] = {"nobody": torch.ones(1)}
    with pytest.raises(ValueError, match="a step of 'nobody'"):
        opt.load_state_dict(saved)
