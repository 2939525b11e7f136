"""Bad input is refused by name before anything is touched: constructors, groups, gradients, settings."""

import inspect
import math
import re

import pytest
import torch
import torch.testing._internal.common_optimizers as upstream
from torch.nn import Parameter
from twins import CLASSES, ENGINES, TORCH_CLASSES, feed, parameters, refusal, snapshot, train

import descend.torch as ours

BAD = [
    ("lr", -0.1),
    ("lr", math.nan),
    ("lr", -math.inf),
    ("lr", "0.1"),
    ("lr", None),
    ("lr", [0.1, 0.2]),
    ("lr", torch.tensor(-1.0)),
    ("lr", torch.tensor(math.nan)),
    ("lr", 1j),
    ("weight_decay", -1e-9),
    ("weight_decay", math.nan),
    ("weight_decay", "much"),
    ("eps", -1e-8),
    ("eps", math.nan),
    ("eps", math.inf),
    ("betas", (1.0, 0.9)),
    ("betas", (0.9, 1.0)),
    ("betas", (-0.1, 0.9)),
    ("betas", (0.9, math.nan)),
    ("betas", (0.9,)),
    ("betas", (0.9, 0.99, 0.999)),
    ("betas", 0.9),
    ("betas", ("a", "b")),
    ("momentum", -0.5),
    ("momentum", math.nan),
    ("dampening", math.nan),
    ("lr_decay", -0.5),
    ("initial_accumulator_value", -1.0),
    ("alpha", -0.1),
    ("alpha", math.nan),
]

NAMED = {"betas": "beta", "lr": r"\blr\b|learning rate"}  # torch's own messages say it in words


def accepts(name, setting):
    return setting in inspect.signature(getattr(ours, name)).parameters


CASES = [(name, key, value) for name in CLASSES for key, value in BAD if accepts(name, key)]


def test_the_grid_of_bad_values_covers_every_class():
    assert {name for name, _, _ in CASES} == set(CLASSES)
    assert len(CASES) > 80


@pytest.mark.parametrize(("name", "key", "value"), CASES, ids=str)
def test_bad_settings_are_refused_by_name(name, key, value):
    cls = getattr(ours, name)
    with pytest.raises((ValueError, TypeError), match=NAMED.get(key, key)):
        cls(parameters(), **{key: value})
    with pytest.raises((ValueError, TypeError), match=NAMED.get(key, key)):
        cls([{"params": parameters(), key: value}])
    p = parameters()
    opt = cls(p)
    late = Parameter(torch.ones(2))
    with pytest.raises((ValueError, TypeError), match=NAMED.get(key, key)):
        opt.add_param_group({"params": [late], key: value})
    assert len(opt.param_groups) == 1, "the refused group was added"
    opt.add_param_group({"params": [late]})  # and its parameter is not taken
    train(range(1), (opt, p))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "key", "value"), CASES, ids=str)
def test_settings_that_turn_bad_later_stop_the_step_whole(name, key, value, engine):
    p = parameters()
    opt = getattr(ours, name)([{"params": p[:2]}, {"params": p[2:]}], engine=engine)
    train(range(2), (opt, p))
    feed(p, 2)
    good = opt.param_groups[1][key]
    opt.param_groups[1][key] = value
    before = snapshot(opt)
    with pytest.raises((ValueError, TypeError), match=NAMED.get(key, key)) as refused:
        opt.step()
    assert re.search(r"group\D{0,4}1\b", str(refused.value)), "the message does not name group 1"
    assert snapshot(opt) == before
    opt.param_groups[1][key] = good
    opt.step()
    assert snapshot(opt) != before


@pytest.mark.parametrize("name", CLASSES)
def test_unknown_options_list_the_valid_ones(name):
    cls = getattr(ours, name)
    for build in (
        lambda: cls(parameters(), wieght_decay=0.1),
        lambda: cls([{"params": parameters(), "wieght_decay": 0.1}]),
        lambda: cls(parameters()).add_param_group({"params": [Parameter(torch.ones(1))], "wieght_decay": 0.1}),
    ):
        with pytest.raises((ValueError, TypeError), match="wieght_decay") as refused:
            build()
        message = str(refused.value)
        assert "weight_decay" in message.replace("wieght_decay", "")
        assert re.search(r"\blr\b", message)


@pytest.mark.parametrize("name", CLASSES)
def test_keys_that_schedulers_and_trainers_leave_in_groups_are_allowed(name):
    foreign = [
        "initial_lr",
        "max_lr",
        "base_momentum",
        "max_momentum",
        "min_lr",
        "swa_lr",
        "lr_scale",
        "name",
    ]
    p = parameters()
    opt = getattr(ours, name)([{"params": p, **dict.fromkeys(foreign, 0.1)}])
    before = snapshot(opt)
    train(range(1), (opt, p))
    assert snapshot(opt) != before
    assert all(opt.param_groups[0][key] == 0.1 for key in foreign)
    named = getattr(ours, name)([(f"layer.{i}", x) for i, x in enumerate(p)])
    assert named.param_groups[0]["param_names"][1] == "layer.1"


@pytest.mark.parametrize(
    ("extra", "valid"),
    [
        ({"engine": "cuda"}, "llvm"),
        ({"nonfinite": "ignore"}, "skip"),
        ({"nonfinite": None}, "skip"),
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"clip_norm": math.nan}, "clip_norm"),
        ({"clip_norm": "1"}, "clip_norm"),
        ({"maximize": "yes"}, "maximize"),
    ],
    ids=str,
)
def test_own_options_are_checked(extra, valid):
    with pytest.raises((ValueError, TypeError), match=valid):
        ours.AdamW(parameters(), **extra)


def test_nesterov_needs_momentum_as_in_torch():
    for bad in ({}, {"momentum": 0.9, "dampening": 0.1}):
        with pytest.raises(ValueError, match="Nesterov momentum requires a momentum and zero dampening"):
            ours.SGD(parameters(), nesterov=True, **bad)


UPSTREAM = [
    pytest.param(name, case, id=f"{name}-{case.optimizer_error_input.desc}")
    for name in TORCH_CLASSES
    for case in getattr(upstream, f"optim_error_inputs_func_{name.lower()}")(device="cpu", dtype=torch.float32)
]


@pytest.mark.parametrize(("name", "case"), UPSTREAM)
def test_errors_of_torchs_own_suite(name, case):
    """torch.testing._internal.common_optimizers: the error types and texts torch's tests look for."""
    given = case.optimizer_error_input
    params = given.params if given.params is not None else [Parameter(torch.randn(2, 2))]
    if issubclass(case.error_type, Warning):
        with pytest.raises((ValueError, case.error_type), match=r"duplicate|twice|more than once"):
            getattr(ours, name)(params, **given.kwargs)  # warnings are errors here, so either counts
    else:
        cls, hint = getattr(ours, name), {"foreach", "fused", "differentiable"} & set(given.kwargs)
        if hint and refusal(lambda: cls(params, **given.kwargs)) is None:
            train(range(1), (cls(params, **given.kwargs), params))  # a hint torch cannot follow here may be followed
            assert all(torch.isfinite(p).all() for p in params)
            return
        with pytest.raises(case.error_type, match=None if hint else case.error_regex):
            cls(params, **given.kwargs)


def test_a_set_of_parameters_is_refused_or_warned_about():
    with pytest.raises((FutureWarning, TypeError), match="ordered"):
        ours.AdamW([{"params": set(parameters())}])


@pytest.mark.parametrize(
    "params",
    [
        [],
        None,
        3,
        [3],
        ["weight"],
        [None],
        [{"lr": 0.1}],
        [{"params": "weight"}],
        torch.ones(2),
        [[torch.ones(2)]],
    ],
    ids=repr,
)
def test_what_is_no_list_of_parameters_is_refused(params):
    with pytest.raises((ValueError, TypeError)) as refused:
        ours.AdamW(params)
    assert str(refused.value)


def test_a_computed_tensor_is_no_parameter():
    with pytest.raises(ValueError, match="non-leaf"):
        ours.AdamW([Parameter(torch.ones(2)) * 2])
