"""The moments of K-FAC are exact Fisher and Gauss–Newton blocks where the theory says so."""

import itertools

import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from descend.torch import KFAC


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def made(model, **settings):
    """A KFAC whose factors after one step are the moments of that step's batch."""
    model.double()
    return KFAC(model, lr=1e-30, **settings)


def block_of(opt, name):
    """A ⊗ G in the order of a row-major (out, in) matrix."""
    one = opt.factors[name]
    A = torch.diag(one.A) if one.A.dim() == 1 else one.A
    return torch.kron(one.G, A)


def per_term_gradients(model, names, xs, loss_of):
    """(terms, numbers): the gradient of each term, weight and bias of every row side by side."""
    params = dict(model.named_parameters())

    def losses(params):
        return torch.stack([loss_of(functional_call(model, params, (x,)), i) for i, x in enumerate(xs)])

    jacobian = jacrev(losses)(params)
    weight = jacobian[names[0]].flatten(2)
    if len(names) > 1:
        weight = torch.cat([weight, jacobian[names[1]][..., None]], dim=2)
    return weight.flatten(1).detach()


def close(found, expected, rel=1e-12):
    assert float((found - expected).norm()) <= rel * float(expected.norm())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_one_sample_gives_the_exact_empirical_fisher(bias, reduction):
    model = nn.Linear(4, 3, bias=bias)
    opt = made(model, reduction=reduction)
    x = normal(1, 4)
    g = per_term_gradients(model, ["weight", "bias"][: 1 + bias], x, lambda s, i: s.square().sum())
    model(x).square().sum().backward()
    opt.step()
    close(block_of(opt, "weight"), g.T @ g)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_independent_inputs_and_gradients_give_the_exact_empirical_fisher(reduction):
    # every input with every gradient: the two are independent over this batch, so the product is exact (section 3)
    model = nn.Linear(4, 3)
    opt = made(model, reduction=reduction)
    inputs, slopes = normal(5, 4), normal(6, 3, seed=1)
    x, c = map(torch.stack, zip(*itertools.product(inputs, slopes), strict=True))
    g = per_term_gradients(model, ["weight", "bias"], x, lambda s, i: s @ c[i])
    terms = (model(x) * c).sum(1)
    (terms.mean() if reduction == "mean" else terms.sum()).backward()
    opt.step()
    fisher = g.T @ g / (len(x) if reduction == "mean" else 1)
    close(block_of(opt, "weight"), fisher)


def test_tokens_that_are_terms_of_the_loss_count_as_samples():
    grid = [normal(5, 4), normal(6, 3, seed=1)]
    x, c = map(torch.stack, zip(*itertools.product(*grid), strict=True))
    blocks = []
    for shape in ((30,), (6, 5)):  # 30 samples, or 6 sequences of 5 tokens with a loss each
        model = nn.Linear(4, 3)
        with torch.no_grad():
            model.weight.copy_(normal(3, 4, seed=2)), model.bias.zero_()
        opt = made(model, averaged_over=len(shape))
        (model(x.reshape(*shape, 4)) * c.reshape(*shape, 3)).sum(-1).mean().backward()
        opt.step()
        blocks.append(block_of(opt, "weight"))
    close(blocks[1], blocks[0])


def test_positions_that_share_one_loss_are_summed_as_in_a_convolution():
    # 1 sample with 6 positions, independent: its gradient has the covariance T · E[aaᵀ] ⊗ E[ggᵀ]
    model = nn.Linear(4, 3)
    opt = made(model)
    x, c = normal(1, 6, 4), normal(1, 6, 3, seed=1)
    (model(x) * c).sum().backward()
    opt.step()
    a = torch.cat([x[0], torch.ones(6, 1, dtype=torch.float64)], dim=1)
    close(block_of(opt, "weight"), 6 * torch.kron(c[0].T @ c[0] / 6, a.T @ a / 6))


def test_a_convolution_over_whole_pictures_is_a_linear_layer():
    conv, linear = nn.Conv2d(2, 3, (4, 5)).double(), nn.Linear(40, 3).double()
    with torch.no_grad():
        linear.weight.copy_(conv.weight.flatten(1)), linear.bias.copy_(conv.bias)
    x, c = normal(7, 2, 4, 5), normal(7, 3, seed=1)
    blocks = []
    for model, batch in ((conv, x), (linear, x.flatten(1))):
        opt = made(model)
        (model(batch).flatten(1).tanh() * c).sum(1).mean().backward()
        opt.step()
        blocks.append(block_of(opt, "weight"))
    close(blocks[0], blocks[1])


@pytest.mark.parametrize(
    "how",
    [
        {"stride": 2},
        {"padding": 1},
        {"padding": "same", "dilation": 2},
        {"padding": (2, 1), "padding_mode": "circular"},
    ],
    ids=str,
)
def test_the_rows_of_a_convolution_are_those_its_gradient_is_made_of(how):
    from descend.torch.kronecker.layers import entering, leaving

    conv = nn.Conv2d(2, 3, 3, **how).double()
    for x in (normal(4, 2, 7, 6), normal(2, 7, 6)):
        output = conv(x)
        g = normal(*output.shape, seed=1)
        (weight,) = torch.autograd.grad(output, conv.weight, g)
        close(leaving(conv, g).T @ entering(conv, x), weight.flatten(1))


def test_an_embedding_is_a_linear_layer_of_unit_vectors():
    table, c = nn.Embedding(6, 3, padding_idx=2), normal(10, 3, seed=1)
    opt = made(table)
    index = torch.tensor([0, 5, 1, 1, 3, 2, 2, 4, 0, 5])
    (table(index) * c).sum(1).mean().backward()
    opt.step()
    kept = index != 2  # the padding has no gradient
    one = opt.factors["weight"]
    close(one.A, torch.bincount(index[kept], minlength=6).double() / int(kept.sum()))
    g = c[kept] / 10
    close(one.G, 10 * g.T @ g)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", "bce"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_drawn_moments_average_to_the_gauss_newton_matrix(loss, reduction):
    functions = {
        "mse": nn.functional.mse_loss,
        "cross_entropy": nn.functional.cross_entropy,
        "bce": nn.functional.binary_cross_entropy_with_logits,
    }
    x, target = normal(1, 2), torch.tensor([1]) if loss == "cross_entropy" else torch.full((1, 3), 0.25).double()
    model = nn.Linear(2, 3, bias=False)
    # one sample, a model linear in its weights: the Hessian of the loss is the Gauss–Newton matrix
    opt = made(model, reduction=reduction, factor_decay=0.999999)

    def of(weight):
        return functions[loss](x @ weight.T, target)

    hessian = torch.autograd.functional.hessian(of, model.weight.detach()).reshape(6, 6)
    generator = torch.Generator().manual_seed(0)
    n = 1500
    for _ in range(n):
        out = model(x)
        opt.draw(out, loss, generator)
        opt.zero_grad()
        functions[loss](out, target).backward()
        opt.step()
    found = block_of(opt, "weight")
    # 5 standard errors of a mean of n: the fourth moments of these draws are at most 3 times the squared second
    assert float((found - hessian).norm()) <= 5 * (3 / n) ** 0.5 * float(hessian.norm())
    # half or twice the scale, the classic mistake, is 10 times further away
    assert float((2 * found - hessian).norm()) > 0.5 * float(hessian.norm())


def test_accumulated_batches_give_the_moments_of_the_whole():
    x, y = normal(12, 4), normal(12, 3, seed=1)
    weights, blocks = normal(3, 4, seed=2), []
    for parts in (1, 3):
        model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3))
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(
                    weights[: len(p), : p.shape[-1]].reshape(-1)[: p.numel()].reshape(p.shape) if p.dim() > 1 else 0
                )
        opt = made(model)
        for a, b in zip(x.chunk(parts), y.chunk(parts), strict=True):
            (nn.functional.mse_loss(model(a), b) / parts).backward()
        opt.step()
        blocks.append([block_of(opt, name) for name in ("0.weight", "2.weight")])
    for one, other in zip(*blocks, strict=True):
        close(other, one)


def test_a_layer_called_often_in_one_pass_sees_the_same_terms_each_time():
    layer = nn.Linear(3, 3)
    opt = made(layer)
    x, c = normal(5, 3), normal(5, 3, seed=1)
    h = x
    seen, slopes = [], []
    for _ in range(4):
        seen.append(h)
        h = layer(h)
        h.register_hook(slopes.append)
        h = h.tanh()
    (h * c).sum(1).mean().backward()
    opt.step()
    a = torch.cat([torch.cat(seen).detach(), torch.ones(20, 1, dtype=torch.float64)], dim=1)
    g = torch.cat(slopes[::-1])  # gradients of the mean: 5 terms, 20 rows
    close(opt.factors["weight"].A, a.T @ a / 20)
    close(opt.factors["weight"].G, 5 * g.T @ g)


ATTENTION = {
    "self": (8, {}),
    "batch first": (8, {"batch_first": True}),
    "others": (8, {"kdim": 6, "vdim": 5}),
    "no bias": (8, {"bias": False}),
}


@pytest.mark.parametrize("case", ATTENTION)
@pytest.mark.parametrize("weights", [True, False], ids=["weights", "fused"])
def test_the_projections_of_attention_are_heard(case, weights):
    width, how = ATTENTION[case]
    attention = nn.MultiheadAttention(width, 2, **how)
    opt = made(attention)
    query = normal(5, 3, width)
    key = query if case in ("self", "batch first") else normal(5, 3, how.get("kdim", width), seed=1)
    value = key if "vdim" not in how else normal(5, 3, how["vdim"], seed=2)
    output, _ = attention(query, key, value, need_weights=weights)
    slopes = normal(*output.shape, seed=3)
    (output * slopes).sum().backward()
    opt.step()
    into = {"query": query, "key": key, "value": value}
    packed = "in_proj_weight[{}]" if case != "others" else "{:.1}_proj_weight"
    for name, x in into.items():
        a = x.reshape(15, -1)
        block = next(b for b in opt._found.blocks if b.name == packed.format(name))
        if block.bias is not None:
            a = torch.cat([a, torch.ones(15, 1, dtype=torch.float64)], dim=1)
        close(opt.factors[block.name].A, a.T @ a / 15)
    # for the last projection, what comes in is what its gradient is made of: ∇W = Σ g aᵀ
    g = slopes.reshape(15, width)
    terms = 5 if how.get("batch_first") else 3
    close(opt.factors["out_proj.weight"].G, terms * g.T @ g)
    assert len(opt.factors) == 4


def test_cross_attention_with_packed_weights_has_its_rows_apart():
    attention = nn.MultiheadAttention(4, 2)
    opt = made(attention)
    query, memory = normal(5, 3, 4), normal(6, 3, 4, seed=1)
    attention(query, memory, memory)[0].square().sum().backward()
    expected = attention.in_proj_weight.grad.clone()
    inputs = {"query": query, "key": memory, "value": memory}
    seen = opt._recorder.moments
    for i, (name, x) in enumerate(inputs.items()):
        block = next(b for b in opt._found.blocks if b.name == f"in_proj_weight[{name}]")
        assert block.rows == slice(4 * i, 4 * i + 4)
        x = x.reshape(-1, 4)
        close(seen[block].inward[:4, :4], x.T @ x)
        assert seen[block].rows == len(x)
        # ⟨G, ·⟩: the gradient's rows lie in the range of G
        null = torch.eye(4) - torch.linalg.pinv(seen[block].outward) @ seen[block].outward
        assert float((null.double() @ expected[block.rows]).norm()) < 1e-8
