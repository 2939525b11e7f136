"""KFAC against a plain transcription of its paper, sample by sample, and over layers of every kind."""

import numpy as np
import pytest
import torch
from torch import nn

from descend.torch import KFAC


def kfac_transcribed(
    W, x, y, steps, *, lr, momentum, weight_decay, damping, clip, decay, every, invert_every, reduction="mean"
):
    """Martens & Grosse 2015 for two tanh layers and half the squared error; every block inverted as one full matrix.

    W: two matrices (out, in + 1) with the bias as their last column. Section 3: Ā_{i-1,j-1} ⊗ G_{i,j}, block diagonal;
    section 5: averages with ε = min(1 - 1/k, decay); section 6.3: factored Tikhonov damping; Ba et al. 2017: the clip.
    """
    W, velocity, averages, inverses, k = [w.copy() for w in W], None, None, None, 0
    for t in range(steps):
        n = len(x)
        grads, A, G = [0 * w for w in W], [0.0, 0.0], [0.0, 0.0]
        for sample, target in zip(x, y, strict=True):
            a0 = np.append(sample, 1.0)
            s1 = W[0] @ a0
            a1 = np.append(np.tanh(s1), 1.0)
            s2 = W[1] @ a1
            g2 = s2 - target
            g1 = (1 - np.tanh(s1) ** 2) * (W[1][:, :-1].T @ g2)
            for i, (a, g) in enumerate(((a0, g1), (a1, g2))):
                grads[i] = grads[i] + np.outer(g, a) / (n if reduction == "mean" else 1)
                A[i] = A[i] + np.outer(a, a) / n
                G[i] = G[i] + np.outer(g, g) / (n if reduction == "mean" else 1)
        if t % every == 0:
            k += 1
            epsilon = min(1 - 1 / k, decay)
            new = list(zip(A, G, strict=True))
            averages = new if averages is None else [
                tuple(epsilon * old + (1 - epsilon) * now for old, now in zip(o, m, strict=True))
                for o, m in zip(averages, new, strict=True)
            ]  # fmt: skip
        if t % invert_every == 0:
            inverses = []
            for a, g in averages:
                pi = np.sqrt((np.trace(a) / len(a)) / (np.trace(g) / len(g)))
                full = np.kron(g + np.sqrt(damping) / pi * np.eye(len(g)), a + pi * np.sqrt(damping) * np.eye(len(a)))
                inverses.append(np.linalg.inv(full))
        steps_taken = [(F @ g.reshape(-1)).reshape(g.shape) for F, g in zip(inverses, grads, strict=True)]
        length = lr**2 * sum(np.sum(d * g) for d, g in zip(steps_taken, grads, strict=True))
        nu = min(1.0, np.sqrt(clip / length))
        pulled = [nu * d + weight_decay * w for d, w in zip(steps_taken, W, strict=True)]
        velocity = pulled if velocity is None else [momentum * v + d for v, d in zip(velocity, pulled, strict=True)]
        W = [w - lr * v for w, v in zip(W, velocity, strict=True)]
    return W


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def two_layers():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            p.copy_(0.5 * normal(*p.shape, seed=i))
    return model


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("every", "invert_every"), [(1, 1), (2, 3)])
@pytest.mark.parametrize("clip", [1e-2, 1e9])
def test_steps_are_those_of_the_transcription(reduction, every, invert_every, clip):
    x, y = normal(9, 3, seed=10), normal(9, 2, seed=11)
    settings = {"lr": 0.07, "momentum": 0.8, "weight_decay": 0.02, "damping": 0.03}
    model = two_layers()
    matrices = [torch.cat([m.weight, m.bias[:, None]], 1).detach().numpy() for m in (model[0], model[2])]
    expected = kfac_transcribed(
        matrices, x.numpy(), y.numpy(), 8, clip=clip, decay=0.6, every=every, invert_every=invert_every,
        reduction=reduction, **settings,
    )  # fmt: skip
    opt = KFAC(
        model, kl_clip=clip, factor_decay=0.6, factor_update_steps=every, inv_update_steps=invert_every,
        reduction=reduction, **settings,
    )  # fmt: skip
    for _ in range(8):
        opt.zero_grad()
        terms = 0.5 * (model(x) - y).square().sum(1)
        (terms.mean() if reduction == "mean" else terms.sum()).backward()
        opt.step()
    for layer, matrix in zip((model[0], model[2]), expected, strict=True):
        found = torch.cat([layer.weight, layer.bias[:, None]], 1).detach().numpy()
        np.testing.assert_allclose(found, matrix, rtol=1e-10, atol=1e-12)


class Everything(nn.Module):
    """Layers with factors, without, shared, tied, parametrised, and one that nobody calls."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(11, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.depthwise = nn.Conv2d(4, 4, 3, groups=4)
        self.batch = nn.BatchNorm2d(4)
        self.twice = nn.Linear(8, 8)
        self.one, self.other = nn.Linear(8, 8), nn.Linear(8, 8, bias=False)
        self.other.weight = self.one.weight
        self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))
        self.functional = nn.Linear(8, 8)
        self.recurrent = nn.GRU(8, 8, batch_first=True)
        self.scale = nn.Parameter(torch.ones(8))
        self.unused = nn.Linear(8, 8)
        self.frozen = nn.Linear(8, 8)
        self.frozen.requires_grad_(False)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.table.weight

    def forward(self, index, picture):
        h = self.table(index)
        h = h + self.attention(h, h, h, need_weights=False)[0]
        h = self.norm(h) * self.scale
        h = self.twice(self.twice(h).tanh()).tanh()
        h = self.other(self.one(h).tanh())
        h = torch.nn.functional.linear(self.normed(h), self.functional.weight, self.functional.bias)
        h = self.frozen(self.recurrent(h)[0])
        c = self.batch(self.depthwise(self.conv(picture).relu_())).mean((1, 2, 3))
        return self.head(h) + c[:, None, None]


def batch():
    generator = torch.Generator().manual_seed(3)
    index = torch.randint(11, (4, 5), generator=generator)
    return index, torch.randn(4, 1, 6, 6, generator=generator)


def train(opt, model, steps, **backward):
    index, picture = batch()
    losses = []
    for _ in range(steps):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(index, picture).flatten(0, 1), index.flip(1).flatten())
        loss.backward()
        opt.step()
        losses.append(float(loss.detach()))
    return losses


def test_every_layer_is_trained_and_listed():
    torch.manual_seed(0)
    model = Everything()
    opt = KFAC(model, averaged_over=2, fallback_settings={"lr": 0.02})
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    losses = train(opt, model, 12)
    assert losses[-1] < 0.95 * losses[0]
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert set(before) - moved == {"unused.weight", "unused.bias", "frozen.weight", "frozen.bias"}
    heard = set(opt.factors)
    assert heard == {
        "attention.in_proj_weight[query]", "attention.in_proj_weight[key]", "attention.in_proj_weight[value]",
        "attention.out_proj.weight", "conv.weight", "twice.weight", "one.weight",
    }  # fmt: skip
    told = dict(line.split(None, 1) for line in map(str.strip, repr(opt).splitlines()) if line)
    assert told["table.weight"] == "fallback  (shared by Embedding and Linear)"
    assert told["depthwise.weight"] == "fallback  (Conv2d with groups > 1)"
    assert told["norm.weight"] == "fallback  (no factors for a parameter of LayerNorm)"
    assert told["one.bias"] == "fallback  (no factors for a parameter of Linear)"  # only one of the two has it
    assert told["functional.weight"] == "A 9×9, G 8×8  (Linear and bias; not heard yet, so it keeps its gradient)"
    assert told["twice.weight"] == "A 9×9, G 8×8  (Linear and bias)"
    assert "recurrent.weight_ih_l0" in told
    assert "normed.parametrizations.weight.original1" in told
    assert "frozen.weight" not in told


@pytest.mark.parametrize("fallback", ["adamw", "sgd", "lion"])
def test_the_fallback_steps_with_the_bits_of_its_own_class(fallback):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    opt = KFAC(net, fallback=fallback, fallback_settings={"lr": 0.01, "weight_decay": 0.1})
    from descend.torch import optimizer

    twin = nn.LayerNorm(4)
    other = optimizer(fallback)(twin.parameters(), lr=0.01, weight_decay=0.1)
    for seed in range(5):
        net(normal(6, 4, seed=seed).float()).square().sum(1).mean().backward()
        for p, q in zip(twin.parameters(), net[1].parameters(), strict=True):
            q.grad.add_(0.1)
            p.grad = q.grad.clone()
        opt.step(), other.step()
        opt.zero_grad()
        for p, q in zip(twin.parameters(), net[1].parameters(), strict=True):
            assert torch.equal(p, q)


def test_it_goes_down_faster_than_its_own_gradient_on_an_ill_conditioned_problem():
    x = normal(200, 6) @ torch.diag(torch.logspace(0, -3, 6, dtype=torch.float64))
    y = x @ torch.diag(torch.logspace(0, 3, 6, dtype=torch.float64)) @ normal(6, 2, seed=1)
    model = nn.Linear(6, 2, bias=False).double()
    opt = KFAC(model, lr=1.0, momentum=0.0, damping=1e-16, kl_clip=None)
    for _ in range(5):
        out = model(x)
        opt.draw(out, "mse", torch.Generator().manual_seed(0))
        opt.zero_grad()
        loss = nn.functional.mse_loss(out, y)
        loss.backward()
        opt.step()
    # a quadratic with the curvature A ⊗ I: one step would do, were G not drawn; the gradient has a condition of 1e6
    assert float(nn.functional.mse_loss(model(x), y).detach()) < 1e-4
