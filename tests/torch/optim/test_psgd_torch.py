"""descend.torch.PsgdKron: resumed, split between matrices and vectors, seeded, in float32."""

import numpy as np
import pytest
import torch

import descend.torch
from descend.checks.references import REFERENCES

DEFAULTS = {
    "lr": 1e-3, "momentum": 0.9, "weight_decay": 0.0, "precondition_lr": 0.1, "update_probability": 0.03,
    "update_decay": 0.001, "update_start": 500.0, "seed": 0,
}  # fmt: skip


def train(opt, params, steps):
    for t in steps:
        g = torch.Generator().manual_seed(t)
        for p in params:
            p.grad = torch.randn(p.shape, generator=g, dtype=p.dtype)
        opt.step()


def made(dtype=torch.float64, **settings):
    g = torch.Generator().manual_seed(0)
    params = [
        torch.nn.Parameter(torch.randn(s, generator=g, dtype=torch.float64).to(dtype))
        for s in ((4, 3), (3,), (2, 3, 2))
    ]
    return descend.torch.PsgdKron(params, **settings), params


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_run_resumed_from_its_state_dict_goes_on_as_if_nothing_happened(dtype, tmp_path):
    (opt, params), (other, copies) = made(dtype, lr=0.02, seed=3), made(dtype)
    train(opt, params, range(7))
    torch.save(opt.state_dict(), tmp_path / "run.pt")
    other.load_state_dict(torch.load(tmp_path / "run.pt", weights_only=True))
    with torch.no_grad():
        for p, q in zip(params, copies, strict=True):
            q.copy_(p)
    assert other.param_groups[0]["seed"] == 3
    assert "momentum_buffer" in opt.state[params[0]]
    train(opt, params, range(7, 14))
    train(other, copies, range(7, 14))
    for p, q in zip(params, copies, strict=True):
        assert torch.equal(p, q)
        assert opt.state[p].keys() == other.state[q].keys()
        for name, value in opt.state[p].items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(other.state[q][name])), name


def test_torch_matrices_follow_the_reference_and_vectors_adamw():
    opt, params = made(lr=0.02, weight_decay=0.1)
    before = [p.detach().numpy().copy() for p in params]
    vector = torch.nn.Parameter(params[1].detach().clone())
    adamw = torch.optim.AdamW([vector], lr=0.02, weight_decay=0.1)
    made_grads = []
    for t in range(20):
        train(opt, params, [t])
        made_grads.append([p.grad.numpy().copy() for p in params])
        vector.grad = params[1].grad.clone()
        adamw.step()
    assert torch.allclose(params[1], vector, rtol=1e-13, atol=1e-13)
    for i in (0, 2):
        run = REFERENCES["psgd_kron"](
            [before[i]], [[g[i]] for g in made_grads], **{**DEFAULTS, "lr": 0.02, "weight_decay": 0.1}
        )
        *_, (x, _) = run
        assert np.abs(params[i].detach().numpy() - x[0]).max() <= 1e-12


def test_the_seed_changes_the_run_and_the_global_generator_is_left_alone():
    runs = []
    for seed in (0, 0, 1):
        opt, params = made(lr=0.02, seed=seed)
        before = torch.get_rng_state()
        train(opt, params, range(3))
        assert torch.equal(before, torch.get_rng_state())
        runs.append(params[0].detach().clone())
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_float32_stays_near_float64():
    (opt, params), (small, copies) = made(lr=0.02), made(torch.float32, lr=0.02)
    train(opt, params, range(20))
    for t in range(20):
        g = torch.Generator().manual_seed(t)
        for p in copies:
            p.grad = torch.randn(p.shape, generator=g, dtype=torch.float64).float()
        small.step()
    for p, q in zip(params, copies, strict=True):
        assert (p - q.double()).abs().max() <= 1e-4
