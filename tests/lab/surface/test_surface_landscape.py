"""Losses on planes through a model's parameters: directions as Li et al. have them, planes that hold what they say."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from descend.lab.surface.landscape import around, filter_normalised, flat, through


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).double()


DATA = [(torch.randn(5, 1, 4, 4, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)) for _ in range(2)]


@pytest.mark.parametrize("biases", ["random", "own", "zero"])
def test_directions_have_filters_as_long_as_the_models(biases: str):
    """Against the definition of Li et al. 2018, section 4, in NumPy: each filter d_ij becomes d_ij/|d_ij|·|w_ij|."""
    net = model()
    drawn = [torch.randn(p.shape, dtype=p.dtype) for p in net.parameters()]
    for p, d, got in zip(net.parameters(), drawn, filter_normalised(net, drawn, biases), strict=True):
        w, raw = p.detach().numpy(), d.numpy()
        if w.ndim == 1:
            expected = {"own": w, "zero": 0 * w, "random": raw / np.linalg.norm(raw) * np.linalg.norm(w)}[biases]
        else:
            expected = np.stack([r / np.linalg.norm(r) * np.linalg.norm(f) for r, f in zip(raw, w, strict=True)])
        assert np.allclose(got.numpy(), expected, rtol=1e-8, atol=1e-9)


# What the authors' `normalize_directions_for_weights` (net_plotter.py, norm="filter") made of the directions below.
OF_FILTERS = [-0.488574307, -0.767405759, 1.127281264, -0.170823305, -0.849025, 0.853864161, 0.138359261, -0.969019698]
OF_ROWS = [-0.305551625, -0.068015307, 0.447296115, -0.507620259]
OF_BIASES = {"own": ([0.909297427, -0.756802495], [-0.756802495, 0.989358247]), "zero": ([0.0, 0.0], [0.0, 0.0])}


@pytest.mark.parametrize("biases", OF_BIASES)
def test_directions_are_those_of_the_authors_program(biases: str):
    net = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(2, 2)).double()
    drawn = []
    with torch.no_grad():
        for k, p in enumerate(net.parameters()):
            n = torch.arange(1.0, p.numel() + 1, dtype=torch.float64)
            p.copy_(torch.sin((k + 1) * n).reshape(p.shape))
            drawn.append(torch.cos((k + 2) * n).reshape(p.shape))
    first, second = OF_BIASES[biases]
    expected = [OF_FILTERS, first, OF_ROWS, second]
    for got, theirs in zip(filter_normalised(net, drawn, biases), expected, strict=True):
        assert got.flatten().tolist() == pytest.approx(theirs, abs=1e-8)


def test_around_the_model_is_the_model_in_the_middle_and_nothing_of_it_changes():
    net = model().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = around(net, mse_loss, DATA, n=5, span=0.5)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    net.eval()
    expected = np.mean([mse_loss(net(x), y).item() for x, y in DATA])
    assert found.losses[2, 2] == pytest.approx(expected, rel=1e-12)
    assert found.losses.shape == (5, 5)
    assert found.losses[2, 3] != pytest.approx(expected)
    again, other = around(net, mse_loss, DATA, n=3, span=0.5), around(net, mse_loss, DATA, n=3, span=0.5, seed=1)
    assert np.array_equal(again.losses, found.losses[::2, ::2])
    assert not np.allclose(other.losses, again.losses)


def linear() -> nn.Module:
    return nn.Linear(3, 1, bias=False).double()


BATCH = [(torch.randn(7, 3, dtype=torch.float64), torch.randn(7, 1, dtype=torch.float64))]


def test_paths_in_a_plane_are_seen_without_error():
    u, v, at = torch.eye(3, dtype=torch.float64)
    paths = {
        "one": [at + 0.1 * t * u + 0.01 * t * t * v for t in range(8)],
        "other": [at + 0.1 * t * v for t in range(5)],
    }
    found = through(linear(), mse_loss, BATCH, paths, n=7)
    assert sum(found.explained) == pytest.approx(1.0)
    assert found.explained[0] > found.explained[1] > 0
    for path in found.paths:
        assert np.allclose(path.errors, 0, atol=1e-12)
        steps = torch.stack(paths[path.name]).diff(dim=0).norm(dim=1)
        assert np.allclose(np.hypot(*np.diff(path.places, axis=0).T), steps)  # a plane does not stretch
    x, y = BATCH[0]
    last = paths["one"][-1]
    assert found.paths[0].losses[-1] == pytest.approx(mse_loss(x @ last[:, None], y).item())


def test_what_leaves_the_plane_is_said():
    generator = torch.Generator().manual_seed(1)
    walk = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    found = through(linear(), mse_loss, BATCH, {"wild": list(walk)}, n=5)
    away = walk - walk.mean(0)
    shares = torch.linalg.svdvals(away) ** 2
    assert found.explained == pytest.approx((shares / shares.sum())[:2].tolist())
    assert np.abs(found.paths[0].errors).max() > 0.01
    worst = np.abs(found.paths[0].errors).argmax()
    assert found.draw().splitlines()[1].split()[-2:] == [f"{found.paths[0].errors[worst]:+.3g}", str(worst)]
    assert f"{found.explained[0]:.1%}" in str(found)


def test_it_is_drawn_and_written(tmp_path: Path):
    found = through(linear(), mse_loss, BATCH, {"a": list(torch.eye(3, dtype=torch.float64))}, n=5)
    assert found.save(tmp_path / "x.svg").read_text(encoding="utf-8").startswith("<svg")
    assert len(json.loads(found.save(tmp_path / "x.json").read_text())["losses"]) == 5
    assert "<svg" in found._repr_html_()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: through(linear(), mse_loss, BATCH, {"a": [torch.zeros(3)] * 2}), "at least three points"),
        (lambda: through(linear(), mse_loss, BATCH, {"a": [torch.zeros(4)] * 3}), r"lists of flat\(model\)"),
        (lambda: around(linear(), mse_loss, []), "at least one batch"),
        (lambda: around(linear(), mse_loss, BATCH, biases="none"), "biases must be one of random, own, zero"),
        (lambda: filter_normalised(linear(), [torch.zeros(2)]), "the shape of each parameter"),
    ],
)
def test_what_cannot_be_seen_is_refused(call, says: str):
    with pytest.raises(ValueError, match=says):
        call()


def test_flat_is_a_copy():
    net = linear()
    taken = flat(net)
    with torch.no_grad():
        net.weight.zero_()
    assert taken.abs().sum() > 0
