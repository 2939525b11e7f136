"""The Triton engine under ``descend.torch``: asked for by name, the same bits as the CPU's fused engine."""

import pytest
import torch

import descend.torch as ours
from descend import full, rule, rules, total

pytest.importorskip("triton", reason="Triton is not installed")


def trained(engine, name, steps=4, **settings):
    draw = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, generator=draw)) for shape in ((5, 3), (7,), ())]
    opt = getattr(ours, name)(params, engine=engine, **settings)
    feed(opt, params, range(steps))
    return opt, params


def feed(opt, params, steps):
    for t in steps:
        draw = torch.Generator().manual_seed(100 + t)
        for p in params:
            p.grad = torch.randn(p.shape, generator=draw)
        opt.step()


@pytest.mark.parametrize(
    ("name", "settings"),
    [("AdamW", {}), ("SGD", {"momentum": 0.9, "clip_norm": 1.0}), ("Prodigy", {}), ("NovoGrad", {})],
)
def test_steps_and_checkpoints_are_those_of_the_cpu(name, settings):
    mine, other = trained("triton", name, **settings), trained("llvm", name, **settings)
    assert (mine[0].engine, other[0].engine) == ("triton", "llvm")
    fresh = getattr(ours, name)(copies := [torch.nn.Parameter(p.detach().clone()) for p in mine[1]], engine="triton")
    fresh.load_state_dict(other[0].state_dict())
    for opt, params in (mine, other, (fresh, copies)):
        feed(opt, params, range(4, 6))
    for p, q, r in zip(mine[1], other[1], copies, strict=True):
        assert torch.equal(p, q)
        assert torch.equal(p, r)


def test_tensors_out_of_reach_are_refused_by_name(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET")
    opt = ours.AdamW([p := torch.nn.Parameter(torch.ones(2))], engine="triton")
    p.grad = torch.ones(2)
    with pytest.raises(RuntimeError, match="engine='triton' cannot step a tensor on cpu"):
        opt.step()


def replay(opt, params, steps):
    """What a CUDA graph does when it is replayed: the kernels run, and Python does not."""
    for t in steps:
        draw = torch.Generator().manual_seed(100 + t)
        for p in params:
            p.grad.copy_(torch.randn(p.shape, generator=draw))
        opt._plan.run(1)


@pytest.mark.parametrize("name", ["AdamW", "RAdam", "Prodigy", "NAdam"])
def test_a_capturable_optimizer_knows_the_steps_that_a_graph_has_replayed(name):
    mine, params = trained("triton", name, 3, capturable=True)
    _, twins = trained("llvm", name, 7)
    replay(mine, params, range(3, 6))
    assert mine.state_dict()["state"][0]["step"] == 6
    assert mine.steps == 6
    feed(mine, params, range(6, 7))
    assert mine.state_dict()["state"][1]["step"] == 7
    for p, q in zip(params, twins, strict=True):
        assert torch.equal(p, q)
    replay(mine, params, range(7, 8))
    mine.add_param_group({"params": [late := torch.nn.Parameter(torch.ones(2))]})
    late.grad = torch.ones(2)
    feed(mine, params, range(8, 9))
    assert [mine.state[p]["step"] for p in (*params, late)] == [9, 9, 9, 1]


def test_a_scaler_s_infinity_is_left_to_the_device_by_a_capturable_step():
    opt, params = trained("triton", "AdamW", 2, capturable=True)
    before = [p.detach().clone() for p in params]
    opt.found_inf = torch.ones(1)
    feed(opt, params, range(2, 3))
    assert all(map(torch.equal, params, before))
    assert (opt.state_dict()["state"][0]["step"], opt.steps) == (2, 2)
    del opt.found_inf
    feed(opt, params, range(2, 3))
    assert opt.state_dict()["state"][0]["step"] == 3
    for p, q in zip(params, trained("llvm", "AdamW", 3)[1], strict=True):
        assert torch.equal(p, q)


def shared_for_all(p, g, d=full(1.0, shape="all"), *, t, lr=1e-2):  # noqa: B008 - the signature of a rule
    d = d + lr * total(g * g, over="all") / t
    p = p - lr * d * g
    return p, d


@pytest.mark.parametrize("made", [rules.asgd, rules.prodigy, rule(shared_for_all)], ids=lambda made: made.name)
def test_tensors_at_different_steps_and_settings(made):
    found = {}
    for engine in ("triton", "llvm"):
        params = [torch.nn.Parameter(torch.ones(n, dtype=torch.float64)) for n in (3, 4, 5)]
        opt = ours.optimizer(made)([{"params": params[:2]}, {"params": params[2:], "lr": 0.1}], engine=engine)
        for t in range(8):
            for i, p in enumerate(params):
                p.grad = None if (t, i) in {(0, 1), (3, 0), (5, 2)} else torch.full_like(p, 0.5 + t)
            opt.step()
        assert len({float(entries["d"]) for entries in opt.state.values() if "d" in entries}) <= 1
        found[engine] = params
    for p, q in zip(*found.values(), strict=True):
        assert (p - q).abs().max() <= 1e-14
