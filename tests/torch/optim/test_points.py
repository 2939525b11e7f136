"""The point that trains, the point that ships, and where the gradient is taken."""

import pytest
import torch

import descend.torch as ours
from descend import chain, rules


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).double()


def train(m, opt, steps=5):
    x = torch.randn(16, 4, generator=torch.Generator().manual_seed(1)).double()
    for _ in range(steps):
        opt.zero_grad()
        with opt.gradient_point():
            loss = (m(x) - 1).pow(2).mean()
            loss.backward()
        opt.step()
    return loss.item()


def test_ema_ships_the_average_and_comes_back():
    m = model()
    opt = ours.optimizer(chain(rules.adam, rules.ema(0.5)))(m.parameters(), lr=0.1)
    average = [p.detach().clone() for p in m.parameters()]
    for _ in range(4):
        train(m, opt, 1)
        average = [0.5 * a + 0.5 * p.detach() for a, p in zip(average, m.parameters(), strict=True)]
    trained = [p.detach().clone() for p in m.parameters()]
    with opt.shipped():
        for p, a in zip(m.parameters(), average, strict=True):
            assert torch.allclose(p, a, rtol=1e-12)
    for p, t in zip(m.parameters(), trained, strict=True):
        assert torch.equal(p, t)


def test_schedule_free_ships_its_average_of_z():
    m = model()
    opt = ours.ScheduleFreeSGD(m.parameters(), lr=0.1)
    total, weights = [torch.zeros_like(p) for p in m.parameters()], 0.0
    for _ in range(6):
        train(m, opt, 1)
        weights += 0.1**2
        total = [a + 0.1**2 * opt.state[p]["z"] for a, p in zip(total, m.parameters(), strict=True)]
    with opt.shipped():
        for p, a in zip(m.parameters(), total, strict=True):
            assert torch.allclose(p, a / weights, rtol=1e-10)


def test_the_old_point_returns_after_an_exception():
    m = model()
    opt = ours.ASGD(m.parameters(), lr=0.1, t0=0.0)
    train(m, opt, 4)
    before = [p.detach().clone() for p in m.parameters()]

    def evaluate():
        with opt.shipped():
            assert not torch.equal(next(m.parameters()), before[0])
            raise KeyError

    with pytest.raises(KeyError):
        evaluate()
    assert all(torch.equal(p, b) for p, b in zip(m.parameters(), before, strict=True))
    assert train(m, opt, 1) > 0


def test_a_step_at_another_point_is_refused():
    m = model()
    opt = ours.optimizer(chain(rules.adam, rules.ema))(m.parameters())
    train(m, opt, 2)
    with opt.shipped(), pytest.raises(RuntimeError, match="leave the block"):
        opt.step()
    with opt.shipped(), pytest.raises(RuntimeError, match="already"), opt.shipped():
        pass


def test_looking_ahead_is_one_path_with_the_rewritten_form():
    a, b = model(), model()
    ahead = ours.NesterovLookahead(a.parameters(), lr=0.05)
    rewritten = ours.NesterovRewritten(b.parameters(), lr=0.05)
    for _ in range(8):
        assert train(a, ahead, 1) == pytest.approx(train(b, rewritten, 1), rel=1e-12)
    with ahead.gradient_point():
        for p, q in zip(a.parameters(), b.parameters(), strict=True):
            assert torch.allclose(p, q, rtol=1e-12)


def test_evaluating_at_the_wrong_point_warns_once():
    m = model()
    opt = ours.ScheduleFreeAdamW(m.parameters())
    handle = opt.watch(m)
    x = torch.ones(1, 4).double()
    m(x)
    train(m, opt, 1)
    m.eval()
    with opt.shipped():
        m(x)
    with pytest.warns(UserWarning, match=r"with opt.shipped\(\)"):
        m(x)
    m(x)
    handle.remove()


def test_muon_groups_send_each_tensor_where_it_belongs(capsys):
    net = torch.nn.ModuleDict(
        {
            "tokens": torch.nn.Embedding(10, 8),
            "conv": torch.nn.Conv2d(3, 8, 3),
            "hidden": torch.nn.Linear(8, 8),
            "head": torch.nn.Linear(8, 10),
        }
    )
    groups = ours.muon_groups(net)
    names = [{name for name, _ in group["params"]} for group in groups]
    assert names[0] == {"conv.weight", "hidden.weight"}
    assert names[1] == {"tokens.weight", "conv.bias", "hidden.bias", "head.weight", "head.bias"}
    printed = capsys.readouterr().out
    assert "embedding" in printed
    opt = ours.Muon(groups, weight_decay=0.0)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    for p in net.parameters():
        p.grad = torch.randn_like(p)
    opt.step()
    step = (before["hidden.weight"] - net["hidden"].weight).detach() / 0.02
    assert (torch.linalg.svdvals(step) - 1).abs().max() < 0.4
    flat = (before["conv.weight"] - net["conv"].weight).detach().reshape(8, 27) / 0.02
    assert (torch.linalg.svdvals(flat) - 1).abs().max() < 0.4
    head = (before["head.weight"] - net["head"].weight).detach()
    assert torch.allclose(head, 3e-4 * net["head"].weight.grad.sign(), rtol=1e-3)
