"""opt.telemetry beside what else happens to a step: scalers, clipping, refusals, checkpoints, names, threads."""

import copy
import io
import pickle

import pytest
import torch
from measuring import ENGINES, RULES, able, assert_measured, norm, step
from torch import nn
from twins import bits, copies, gradient, parameters

import descend.torch as ours


@pytest.mark.parametrize("engine", ["llvm", "torch"])
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
            opt = ours.AdamW(params, engine="llvm", telemetry="cosine", **settings)
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
