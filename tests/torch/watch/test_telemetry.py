"""opt.telemetry: every number against torch, by hand, from the weights before and after the step."""

import pytest
import torch
from measuring import ENGINES, NAMES, RULES, able, assert_measured, norm, step
from torch import nn
from twins import HALVES, gradient, parameters

import descend.torch as ours

ROUNDING = {torch.float64: 2.0**-53, torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("rule", "settings"), RULES, ids=lambda x: x if isinstance(x, str) else "-".join(x))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_norms_are_those_of_the_step(rule, settings, engine, dtype):
    params = parameters(dtype)
    opt = getattr(ours, rule)(params, engine=able(rule, engine), telemetry=True, **settings)
    for t in range(4):
        expected = step(opt, params, t)
        found = opt.telemetry.tensors
        assert [m.name for m in found] == list(NAMES)
        assert opt.telemetry.step == t + 1
        for one, values in zip(found, expected, strict=True):
            assert_measured(one, values, ROUNDING[dtype])
            assert one.cosine is None


@pytest.mark.parametrize("engine", ["llvm", "torch"])
def test_bfloat16_is_measured_before_it_is_rounded(engine):
    params = parameters(torch.bfloat16)
    opt = ours.AdamW(params, lr=0.1, engine=engine, telemetry=True)
    for t in range(3):
        expected = step(opt, params, t)
        for one, values in zip(opt.telemetry.tensors, expected, strict=True):
            assert_measured(one, values, ROUNDING[torch.bfloat16])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_cosine_is_that_of_successive_updates(engine):
    params = parameters(torch.float64)
    opt = ours.AdamW(params, lr=0.01, weight_decay=0.3, engine=engine, telemetry="cosine")
    last = None
    for t in range(4):
        updates = [u for _, u, _ in step(opt, params, t)]
        found = [m.cosine for m in opt.telemetry.tensors]
        if last is None:
            assert all(c != c for c in found)
        else:
            for c, u, v in zip(found, updates, last, strict=True):
                if u.numel():
                    assert c == pytest.approx(float((u * v).sum() / (u.norm() * v.norm())), abs=1e-9)
                else:
                    assert c != c
        last = updates


@pytest.mark.parametrize("engine", ENGINES)
def test_a_group_and_the_total_are_one_long_tensor(engine):
    params = parameters(torch.float64)
    groups = [{"params": params[:2], "lr": 0.1}, {"params": params[2:], "lr": 0.001}]
    opt = ours.SGD(groups, lr=1.0, engine=engine, telemetry="cosine")
    step(opt, params, 0)
    values = step(opt, params, 1)
    for found, of in zip([*opt.telemetry.groups, opt.telemetry.total], [values[:2], values[2:], values], strict=True):
        long = [torch.cat([v[k].reshape(-1) for v in of]) for k in range(3)]
        assert_measured(found, long, 2.0**-53)
        assert found.ratio == pytest.approx(norm(long[1]) / norm(long[2]))
    assert [m.name for m in opt.telemetry.groups] == ["group 0", "group 1"]
    assert opt.telemetry.total.name == "all"
    for one, (g, _, _), lr in zip(opt.telemetry.tensors, values, [0.1, 0.1, 0.001, 0.001, 0.001], strict=True):
        assert one.update_norm == pytest.approx(lr * norm(g))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_share_of_nonfinite_elements_and_what_nan_does_to_the_norms(engine):
    params = parameters(torch.float32)
    opt = ours.SGD(params, lr=0.1, engine=engine, telemetry="cosine")
    step(opt, params, 0)
    for p in params:
        p.grad = torch.ones_like(p)
    params[0].grad.view(-1)[:7] = torch.tensor([float(x) for x in ("nan", "inf", "-inf", "nan", "inf", "1", "2")])
    opt.step()
    first, *others = opt.telemetry.tensors
    assert first.nonfinite == pytest.approx(5 / 35)
    assert not torch.tensor([first.gradient_norm, first.update_norm, first.weight_norm]).isfinite().any()
    assert [m.nonfinite for m in others] == [0, 0, 0, 0]
    assert others[0].gradient_norm == pytest.approx(13**0.5)
    assert opt.telemetry.total.nonfinite == pytest.approx(5 / sum(p.numel() for p in params))


@pytest.mark.parametrize("clip", [None, 1.0], ids=["", "clip"])
@pytest.mark.parametrize("engine", ENGINES)
def test_only_what_is_not_finite_is_counted_where_squares_overflow(engine, clip):
    params = parameters(torch.float32, shapes=((70_000,), (3,), (40_000,)))
    opt = ours.SGD(params, lr=0.1, engine=engine, telemetry=True, clip_norm=clip)
    for bad, share in (([], 0.0), ([0, 33_000, 69_999], 3 / 70_000), ([], 0.0)):
        step(opt, params, 0)
        params[0].grad = torch.full_like(params[0], 1e-3)
        params[0].grad[7] = 1e30  # its square is infinite, and it is not
        params[0].grad[bad] = float("inf")
        opt.step()
        first, *others = opt.telemetry.tensors
        assert first.gradient_norm >= 1e29  # infinite where squares are added in float32
        assert first.nonfinite == pytest.approx(share)
        assert [m.nonfinite for m in others] == [0, 0]
        for p in params:
            p.data.fill_(1.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_empty_scalar_frozen_and_gradientless_tensors(engine):
    params = [nn.Parameter(torch.ones(n)) for n in (3, 0)] + [nn.Parameter(torch.tensor(2.0))]
    frozen, unused = nn.Parameter(torch.ones(2), requires_grad=False), nn.Parameter(torch.ones(2))
    opt = ours.SGD([frozen, *params, unused], lr=0.5, engine=engine, telemetry="cosine")
    for p in params:
        p.grad = torch.full_like(p, 2.0)
    opt.step()
    a, empty, scalar = opt.telemetry.tensors
    assert (a.name, empty.name, scalar.name) == ("0.1", "0.2", "0.3")
    assert (empty.elements, empty.gradient_norm, empty.update_norm, empty.weight_norm) == (0, 0, 0, 0)
    assert empty.nonfinite == 0
    assert empty.ratio != empty.ratio
    assert (scalar.elements, scalar.gradient_norm, scalar.update_norm, scalar.weight_norm) == (1, 2, 1, 1)
    assert a.weight_norm == 0
    assert a.ratio == float("inf")
    unused.grad = torch.ones(2)
    opt.step()
    assert [m.name for m in opt.telemetry.tensors] == ["0.1", "0.2", "0.3", "0.4"]
    params[0].grad = None
    opt.step()
    assert [m.name for m in opt.telemetry.tensors] == ["0.2", "0.3", "0.4"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layout", ["gaps", "transposed", "channels_last", "other gradient"])
def test_layouts(layout, engine):
    base = torch.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5) / 60 - 1
    p = {
        "gaps": lambda: base[:, :, ::2, 1:4],
        "transposed": lambda: base.transpose(0, 3),
        "channels_last": lambda: base.contiguous(memory_format=torch.channels_last),
        "other gradient": lambda: base,
    }[layout]()
    p = nn.Parameter(p)
    opt = ours.AdamW([p], lr=0.01, engine=engine, telemetry=True)
    for t in range(3):
        before = p.detach().clone()
        p.grad = gradient(p, t)
        if layout == "other gradient":
            p.grad = p.grad.contiguous(memory_format=torch.channels_last)
        opt.step()
        assert_measured(opt.telemetry.tensors[0], (p.grad, (p - before).detach(), p.detach()), 2.0**-23)


def test_a_sparse_gradient_is_measured_on_the_rows_it_touches():
    weights = nn.Parameter(torch.ones(6, 2))
    opt = ours.SGD([weights], lr=0.5, telemetry=True)
    weights.grad = torch.sparse_coo_tensor(
        [[1, 4, 1]], torch.tensor([[1.0, 0], [0, 2], [2, 0]]), (6, 2), check_invariants=True
    )
    opt.step()
    (found,) = opt.telemetry.tensors
    assert found.elements == 4
    assert found.gradient_norm == pytest.approx(13**0.5)
    assert found.update_norm == pytest.approx(13**0.5 / 2)
    assert found.weight_norm == pytest.approx(norm(weights[[1, 4]]))


def test_complex_parameters_count_real_and_imaginary_parts():
    p = nn.Parameter(torch.tensor([3 + 4j, 1j, 2.0, 1.0]))
    opt = ours.SGD([p], lr=0.5, telemetry=True)
    p.grad = torch.tensor([1 + 1j, 1j, 0, 1])
    before = p.detach().clone()
    opt.step()
    (found,) = opt.telemetry.tensors
    assert found.elements == 4
    assert found.gradient_norm == pytest.approx(2.0)
    assert found.update_norm == pytest.approx(1.0)
    assert found.weight_norm == pytest.approx(float((before - 0.5 * p.grad).norm()))
    p.grad[:] = complex("nan+nanj")
    opt.step()
    assert opt.telemetry.tensors[0].nonfinite == 1.0


@pytest.mark.parametrize("engine", ["llvm", "torch"])
@pytest.mark.skipif(torch.float16 not in HALVES, reason="no kernels of float16 on this processor")
def test_float16(engine):
    params = [nn.Parameter(torch.rand(300).half() + 1), nn.Parameter(torch.rand(7, 3).half())]
    opt = ours.AdamW(params, lr=0.1, engine=engine, telemetry=True)
    for t in range(3):
        expected = step(opt, params, t)
        for one, values in zip(opt.telemetry.tensors, expected, strict=True):
            assert_measured(one, values, 2.0**-11)


def test_muon_with_its_groups():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 8), nn.Linear(8, 3))
    opt = ours.Muon(ours.muon_groups(model, show=False), telemetry="cosine")
    params = [p for group in opt.param_groups for p in group["params"]]
    for t in range(3):
        expected = step(opt, params, t)
    found = opt.telemetry.tensors
    assert [m.name for m in found] == ["1.weight", "2.weight", "0.weight", "1.bias", "2.bias"]
    assert [m.group for m in found] == [0, 0, 1, 1, 1]
    for one, values in zip(found, expected, strict=True):
        assert_measured(one, values, 2.0**-24)
