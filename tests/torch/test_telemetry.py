"""opt.telemetry: every number against torch, by hand, from the weights before and after the step."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from twins import bits, copies, gradient, parameters

import descend.torch as ours
from descend import schedules

ENGINES = ("numba", "torch", "numpy")
NAMES = {"0.0": 0, "0.1": 1, "0.2": 2, "0.3": 3, "0.4": 4}
RULES = [
    ("AdamW", {"lr": 0.01, "weight_decay": 0.3}),
    ("AdamW", {"lr": 0.01, "clip_norm": 0.5}),
    ("AdamW", {"lr": schedules.linear(10, 1.0, 0.1) * 0.01, "maximize": True}),
    ("SGD", {"lr": 0.01}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}),
    ("Lion", {"lr": 0.01, "weight_decay": 0.1}),
    ("Adafactor", {"lr": 0.01}),
    ("Prodigy", {}),
    ("LAMB", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "clip_norm": 0.5, "nonfinite": "skip"}),
]


def able(rule, engine):
    """The fused engine does not run Adafactor, which sums over rows."""
    return "auto" if (rule, engine) == ("Adafactor", "numba") else engine


def norm(x):
    return float(x.detach().double().norm())


def step(opt, params, t):
    """One step with known gradients; what telemetry must say of each tensor: (gradient, update, weights after)."""
    before = [p.detach().clone() for p in params]
    for i, p in enumerate(params):
        p.grad = gradient(p, 1000 * t + i)
    opt.step()
    return [
        (p.grad.double(), p.detach().double() - b.double(), p.detach().double())
        for p, b in zip(params, before, strict=True)
    ]


def assert_measured(found, expected, rounding):
    """``rounding`` is half the spacing of the weights' type at 1: what rounding may add to each element."""
    g, update, weights = expected
    assert found.gradient_norm == pytest.approx(norm(g), rel=1e-6)
    assert abs(found.update_norm - norm(update)) <= rounding * norm(weights) + 1e-6 * norm(update)
    assert abs(found.weight_norm - norm(weights)) <= (rounding + 1e-6) * norm(weights)
    assert found.nonfinite == 0
    assert found.elements == weights.numel()


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


@pytest.mark.parametrize("engine", ["numba", "torch"])
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


@pytest.mark.parametrize("engine", ["numba", "torch"])
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


@pytest.mark.parametrize("engine", ["numba", "torch"])
def test_a_scaled_loss_is_measured_unscaled(engine):
    model = nn.Linear(4, 3)
    twin = copy.deepcopy(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    opt = ours.AdamW(model.parameters(), lr=0.01, engine=engine, telemetry=True, clip_norm=0.1)
    x = torch.ones(2, 4)
    for _ in range(2):
        opt.zero_grad()
        scaler.scale(model(x).square().sum()).backward()
        twin.load_state_dict(model.state_dict())
        twin.zero_grad()
        twin(x).square().sum().backward()
        scaler.step(opt)
        scaler.update()
        for one, p in zip(opt.telemetry.tensors, twin.parameters(), strict=True):
            assert one.gradient_norm == pytest.approx(norm(p.grad), rel=1e-5)
    opt.zero_grad()
    scaler.scale(model(x).square().sum() * float("inf")).backward()
    before = opt.telemetry.tensors
    scaler.step(opt)
    assert (opt.skipped, opt.telemetry.skipped) == (1, 1)
    assert opt.telemetry.tensors == before


def test_gradients_that_a_scaler_unscaled_before_are_not_unscaled_twice():
    p = nn.Parameter(torch.ones(4))
    opt = ours.AdamW([p], lr=0.01, telemetry=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale((3 * p).sum()).backward()
    scaler.unscale_(opt)
    torch.nn.utils.clip_grad_norm_([p], 1.0)
    scaler.step(opt)
    assert opt.telemetry.tensors[0].gradient_norm == pytest.approx(1.0, rel=1e-5)  # as it arrived: clipped by hand


@pytest.mark.parametrize("engine", ENGINES)
def test_the_cosine_begins_anew_where_the_tensors_with_gradients_change(engine):
    params = parameters(torch.float64, shapes=((3,), (3,)))
    opt = ours.SGD(params, lr=0.1, engine=engine, telemetry="cosine")
    found = []
    for t in range(6):
        step(opt, params, t)
        if t == 3:
            params[1].grad = None
            opt.step()
        found.append(opt.telemetry.tensors[0].cosine)
    assert [c != c for c in found] == [True, False, False, True, True, False]


@pytest.mark.parametrize("engine", ENGINES)
def test_names_come_from_named_parameters(engine):
    model = nn.Linear(3, 2)
    opt = ours.AdamW(model.named_parameters(), engine=engine, telemetry=True)
    model(torch.ones(1, 3)).sum().backward()
    opt.step()
    assert [m.name for m in opt.telemetry.tensors] == ["weight", "bias"]
    plain = ours.AdamW(model.parameters(), engine=engine, telemetry=True)
    plain.step()
    assert [m.name for m in plain.telemetry.tensors] == ["0.0", "0.1"]
    assert [m.name for m in plain.telemetry.named(model).tensors] == ["weight", "bias"]
    assert [m.name for m in plain.telemetry.named([("bias", model.bias)]).tensors] == ["0.0", "bias"]


# ---------------------------------------------------------------- when there is nothing to say


def test_an_optimizer_that_measures_nothing_says_how_to():
    with pytest.raises(ValueError, match=r"AdamW measures nothing; make it with telemetry=True"):
        ours.AdamW(parameters()).telemetry  # noqa: B018
    with pytest.raises(ValueError, match="telemetry must be True"):
        ours.AdamW(parameters(), telemetry="cosines")


@pytest.mark.parametrize("engine", ENGINES)
def test_before_the_first_step_and_after_loading_there_are_no_numbers(engine):
    params = parameters(torch.float32)
    opt = ours.AdamW(params, engine=engine, telemetry="cosine")
    assert (opt.telemetry.tensors, opt.telemetry.groups, opt.telemetry.total) == ([], [], None)
    for p in params:
        p.grad = None
    opt.step()
    assert opt.telemetry.tensors == []
    step(opt, params, 0)
    assert len(opt.telemetry.tensors) == 5
    saved = copy.deepcopy(opt.state_dict())
    opt.load_state_dict(saved)
    assert (opt.telemetry.tensors, opt.telemetry.total) == ([], None)
    for other in (copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        assert other.telemetry.tensors == []
        mine = [p for group in other.param_groups for p in group["params"]]
        expected = step(other, mine, 5)
        for one, values in zip(other.telemetry.tensors, expected, strict=True):
            assert_measured(one, values, 2.0**-24)
            assert one.cosine != one.cosine  # the update before is not known here


def test_the_step_is_that_of_the_training_also_after_a_checkpoint():
    params = parameters(torch.float32)
    opt = ours.AdamW(params, telemetry=True)
    for t in range(3):
        step(opt, params, t)
    again = ours.AdamW(params, telemetry=True)
    assert again.telemetry.step == 0
    again.load_state_dict(opt.state_dict())
    assert again.telemetry.step == 3
    step(again, params, 3)
    assert again.telemetry.step == 4


# ---------------------------------------------------------------- non-finite gradients that are guarded


@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("policy", ["skip", "raise"])
def test_a_refused_step_leaves_the_numbers_of_the_last_step_taken(policy, engine, clip):
    params = parameters(torch.float32)
    opt = ours.AdamW(params, lr=0.01, engine=engine, telemetry="cosine", nonfinite=policy, clip_norm=clip)
    step(opt, params, 0)
    step(opt, params, 1)
    before = repr(opt.telemetry.tensors)
    params[1].grad[3] = float("nan")
    if policy == "skip":
        opt.step()
    else:
        with pytest.raises(Exception, match="holds NaN or infinity"):
            opt.step()
    assert repr(opt.telemetry.tensors) == before
    assert (opt.telemetry.step, opt.telemetry.skipped) == (2, 1)
    assert opt.telemetry.nonfinite == ["0.1"]


# ---------------------------------------------------------------- it changes nothing


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("watch", [True, "cosine"])
@pytest.mark.parametrize(("rule", "settings"), RULES, ids=lambda x: x if isinstance(x, str) else "-".join(x))
def test_training_is_bit_identical_to_training_without(rule, settings, watch, engine):
    p, q = parameters(torch.float32), parameters(torch.float32)
    a = getattr(ours, rule)(p, engine=able(rule, engine), **settings)
    b = getattr(ours, rule)(q, engine=able(rule, engine), telemetry=watch, **settings)
    for t in range(6):
        step(a, p, t)
        step(b, q, t)
        if t % 2:
            b.telemetry.tensors  # noqa: B018 - reading must change nothing either
    assert a.engine == b.engine
    assert [bits(x) for x in p] == [bits(x) for x in q]
    state = [[{k: bits(v) for k, v in o.state.get(x, {}).items()} for x in of] for o, of in ((a, p), (b, q))]
    assert state[0] == state[1]


@pytest.mark.parametrize("name", ["AdamW", "SGD", "Adagrad", "RMSprop", "Adafactor", "NAdam"])
def test_checkpoints_hold_nothing_of_it_and_load_in_torch_and_back(name):
    params = parameters(torch.float32, shapes=((7, 5), (13,), (3, 2, 4)))  # torch's Adafactor takes no empty tensor
    theirs_params = copies(params)
    opt = getattr(ours, name)(params, telemetry="cosine")
    step(opt, params, 0)
    saved = opt.state_dict()
    plain = getattr(ours, name)(copies(params))
    step(plain, plain.param_groups[0]["params"], 0)
    assert {k: set(v) for k, v in saved["state"].items()} == {k: set(v) for k, v in plain.state_dict()["state"].items()}
    assert set(saved["param_groups"][0]) == set(plain.state_dict()["param_groups"][0])
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    theirs = getattr(torch.optim, name)(theirs_params)
    theirs.load_state_dict(loaded)
    for p in theirs_params:
        p.grad = gradient(p, 1)
    theirs.step()
    opt.load_state_dict(theirs.state_dict())
    step(opt, params, 2)
    assert len(opt.telemetry.tensors) == 3


@pytest.mark.parametrize("settings", [{}, {"clip_norm": 1.0, "nonfinite": "skip"}], ids=["plain", "guarded"])
def test_the_bits_of_the_norms_do_not_depend_on_the_threads(settings):
    had = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            params = parameters(torch.float32, shapes=((1100, 1000), (70_000,), (3,)))
            opt = ours.AdamW(params, engine="numba", telemetry="cosine", **settings)
            for t in range(3):
                step(opt, params, t)
            found.append([*opt.telemetry.tensors, opt.telemetry.total])
    finally:
        torch.set_num_threads(had)
    assert [repr(m) for m in found[0]] == [repr(m) for m in found[1]]


def test_a_tensor_that_leaves_its_group_leaves_the_list():
    params = parameters(torch.float32)
    opt = ours.AdamW(params[:2], telemetry=True)
    opt.add_param_group({"params": params[2:], "lr": 0.5})
    assert opt.telemetry.tensors == []
    step(opt, params, 0)
    assert [m.name for m in opt.telemetry.tensors] == ["0.0", "0.1", "1.0", "1.1", "1.2"]
    opt.param_groups.pop()
    assert [m.name for m in opt.telemetry.tensors] == ["0.0", "0.1"]
