"""Sharpness along trainings: eigenvalues of known matrices, limits at which the rules' own steps begin to grow."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

import descend.torch
from descend.core.rule import Rule
from descend.engines.eager.alone import Alone
from descend.lab.surface.landscape import Trail, flat, sharpness, top_eigenvalue
from descend.lab.surface.landscape.edge import EDGES
from descend.rules.names import rule_of


@pytest.mark.parametrize("seed", range(4))
def test_the_largest_eigenvalue_is_numpys(seed: int):
    """Of symmetric matrices with a larger negative eigenvalue: the largest is meant, not that of largest size."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.standard_normal((60, 60)))
    matrix = torch.from_numpy(q @ np.diag(np.r_[-5.0, rng.uniform(-1, 1, 58), 2.0]) @ q.T)
    found = top_eigenvalue(lambda v: matrix @ v, torch.randn(60, dtype=torch.float64), tolerance=1e-6)
    assert found.value == pytest.approx(2.0, rel=1e-9)  # of a symmetric matrix the error is the residual squared
    assert found.error < 2e-6
    assert float((matrix @ found.vector - found.value * found.vector).norm()) == pytest.approx(found.error, abs=1e-9)
    assert found.products < 60


def test_a_search_that_may_not_go_on_says_how_far_it_came():
    matrix = torch.diag(torch.linspace(0, 1, 200, dtype=torch.float64))
    start = torch.ones(200, dtype=torch.float64)
    found = top_eigenvalue(lambda v: matrix @ v, start, tolerance=1e-12, most=6)
    assert found.products == 6
    assert abs(found.value - 1.0) > 1e-4
    assert found.error > 1e-4
    assert top_eigenvalue(lambda v: 0 * v, start)[:1] == (0.0,)
    assert np.isnan(top_eigenvalue(lambda v: v * np.nan, start).value)


class Frozen(Alone):
    """A rule alone, whose average of squares stays what it is."""

    def grows(self, sharp: float, v: float) -> bool:
        for _ in range(4000):
            if "v" in self.state and self.rule.name in ("adam", "adamw", "rmsprop"):
                self.state["v"] = np.full(1, v)
            self.step(sharp * self.gradient_point())
            if not abs(self.p[0]) < 30:
                return True
        return False


@pytest.mark.parametrize("name", sorted(EDGES))
def test_above_its_limit_a_rule_diverges_on_a_quadratic_and_below_it_does_not(name: str):
    """The library's own rule on a x²/2, at an a a hundredth below and above the limit."""
    rule: Rule = rule_of(name)
    given = {"lr": 0.1, "momentum": 0.8, "beta": 0.7, "beta1": 0.8, "dampening": 0.3, "beta2": 1 - 1e-12,
             "alpha": 1 - 1e-12, "eps": 1e-3, "weight_decay": 0.0}  # fmt: skip
    settings = {**rule.settings, **{word: value for word, value in given.items() if word in rule.settings}}
    edge, v = EDGES[name], 0.04
    # Adam's correction for the start goes with the steps; far from the start its v stands for itself.
    t = 1e15 if edge.scale else 1
    scale = edge.scale(settings, np.full(1, v), t)[0] if edge.scale else 1.0
    for share, expected in ((0.99, False), (1.01, True)):
        alone = Frozen(rule, np.ones(1), **settings)
        if edge.scale and "beta2" in settings:
            alone.steps = 10**15
        assert alone.grows(share * edge.limit(settings) * scale, v) == expected, (name, share)


def test_the_limits_are_those_of_the_papers():
    assert EDGES["gradient_descent"].limit({"lr": 0.02}) == pytest.approx(100)
    assert EDGES["momentum_accumulation"].limit({"lr": 0.1, "momentum": 0.9}) == pytest.approx(3.8 / 0.1)
    assert EDGES["adam"].limit({"lr": 1e-3, "beta1": 0.9}) == pytest.approx(38 / 1e-3)


def small(kind: torch.dtype = torch.float64) -> tuple[nn.Sequential, list[tuple[torch.Tensor, torch.Tensor]]]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).to(kind)
    return net, [(torch.randn(n, 4, dtype=kind), torch.arange(n) % 3) for n in (7, 5)]


def hessian(net: nn.Module, data) -> torch.Tensor:
    """All of it, row by row, of the mean over all examples at once."""
    x, y = (torch.cat(parts) for parts in zip(*data, strict=True))
    names, sizes = zip(*((n, p.shape) for n, p in net.named_parameters()), strict=True)

    def loss(vector: torch.Tensor) -> torch.Tensor:
        parts = vector.split([s.numel() for s in sizes])
        named = {n: part.reshape(s) for n, part, s in zip(names, parts, sizes, strict=True)}
        return cross_entropy(torch.func.functional_call(net, named, (x,)), y)

    return torch.autograd.functional.hessian(loss, flat(net))  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("batches", [1, 2])
def test_sharpness_of_a_model_is_the_largest_eigenvalue_of_its_whole_hessian(batches: int):
    net, data = small()
    data = data[:batches]
    expected = torch.linalg.eigvalsh(hessian(net, data))[-1]
    found = sharpness(net, cross_entropy, data, {"here": [flat(net)]}, tolerance=1e-8)
    assert found.paths[0].values[0] == pytest.approx(float(expected), rel=1e-10)
    assert found.paths[0].errors[0] <= 1e-8 * float(expected)
    assert net.training


def test_what_is_frozen_is_no_part_of_it():
    net, data = small()
    net[0].weight.requires_grad_(False)
    expected = torch.linalg.eigvalsh(hessian(net, data)[20:, 20:])[-1]
    found = sharpness(net, cross_entropy, data, {"here": [flat(net)]}, tolerance=1e-8)
    assert found.paths[0].values[0] == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize("make", [torch.optim.Adam, descend.torch.Adam], ids=["torch", "descend"])
def test_of_adam_it_is_that_of_the_hessian_in_its_own_scale(make):
    net, data = small()
    opt = make(net.parameters(), lr=0.01, betas=(0.9, 0.95), eps=1e-6)
    trail = Trail.of(net, opt)
    for _ in range(3):
        opt.zero_grad()
        cross_entropy(net(data[0][0]), data[0][1]).backward()
        opt.step()
        trail.look()
    v = torch.cat([opt.state[p]["exp_avg_sq"].reshape(-1) for p in net.parameters()])
    p = (1 - 0.9**3) * ((v / (1 - 0.95**3)).sqrt() + 1e-6)
    scaled = hessian(net, data) / torch.sqrt(p[:, None] * p)
    found = sharpness(net, cross_entropy, data, {"adam": trail}, tolerance=1e-8).paths[0]
    assert found.values[-1] == pytest.approx(float(torch.linalg.eigvalsh(scaled)[-1]), rel=1e-8)
    assert found.steps.tolist() == [1, 2, 3]  # before the first, nothing is averaged yet
    assert found.limits == pytest.approx(38 / 0.01)


def test_a_trail_reads_the_rate_that_stands_in_the_groups_and_knows_what_it_does_not_know():
    net, _ = small()
    groups = [{"params": [net[0].weight, net[2].weight], "weight_decay": 0.1}, {"params": [net[0].bias, net[2].bias]}]
    opt = torch.optim.SGD(groups, lr=0.1, momentum=0.5, nesterov=True)
    trail = Trail.of(net, opt)
    for group in opt.param_groups:
        group["lr"] = 0.05
    trail.look()
    opt.param_groups[0]["lr"] = 0.2
    trail.look()
    assert trail.limits[:2] == pytest.approx([1.5 / 0.1, 1.5 / 0.05])
    assert np.isnan(trail.limits[2])
    assert np.isnan(Trail.of(net, torch.optim.Adagrad(net.parameters(), lr=0.1)).limits[0])
    assert np.isnan(Trail.of(net, torch.optim.SGD(net[0].parameters(), lr=0.1)).limits[0])
    with pytest.raises(ValueError, match=r"Trail\.of"):
        Trail().look()


def test_attention_is_differentiated_twice():
    torch.manual_seed(0)
    net = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    x = torch.randn(2, 5, 8)
    found = sharpness(net, mse_loss, [(x, torch.zeros_like(x))], {"here": [flat(net)]})
    assert found.paths[0].values[0] > 0


@pytest.mark.slow
def test_full_batch_descent_on_the_digits_with_squared_loss_goes_to_the_edge_of_stability():
    """As Cohen et al. 2021 found: its sharpness comes to 2/lr and stays there, and the loss falls on."""
    from torch.nn.functional import one_hot

    from descend.lab.tasks.torch_digits import Batches, model

    images = Batches(0)
    net, x, y = model(0), images.x, one_hot(images.y, 10).float()
    opt = descend.torch.SGD(net.parameters(), lr=2.0)
    trail, losses = Trail.of(net, opt), []
    for step in range(1, 1401):
        opt.zero_grad()
        loss = mse_loss(net(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
        if step >= 1000 and step % 50 == 0:
            trail.look()
    shares = sharpness(net, mse_loss, [(x, y)], {"descent": trail}).paths[0].shares
    assert shares[0] > 5
    assert np.all(np.abs(shares[1:] - 1) < 0.07)
    assert np.mean(losses[-50:]) < np.mean(losses[950:1000])


def test_it_is_drawn_printed_and_written(tmp_path: Path):
    net, data = small()
    trail = Trail.of(net, torch.optim.SGD(net.parameters(), lr=0.1))
    found = sharpness(net, cross_entropy, data, {"gd": trail, "bare": [flat(net)] * 2})
    names = [shape.name for shape in found.chart().named]
    assert names == ["gd", "2/lr of gd", "bare"]
    first, second = str(found).splitlines()[1:]
    assert first.split()[4] == "20"
    assert "the limit of gd is 2/lr" in found.said
    assert "not known" in second
    told = json.loads(found.save(tmp_path / "x.json").read_text())
    assert told["paths"][0]["limits"] == [20.0]
    assert found.to_csv().splitlines()[1].startswith(f"gd,0,{found.paths[0].values[0]:.9g},")
    assert found.save(tmp_path / "x.svg").stat().st_size > 1000


@pytest.mark.parametrize("trails", [{}, {"a": []}, {"a": [torch.zeros(3)]}])
def test_trails_that_do_not_fit_are_refused(trails):
    net, data = small()
    with pytest.raises(ValueError, match="trails must"):
        sharpness(net, cross_entropy, data, trails)
