"""Muon's checkpoints in torch's class and back, and the arguments that torch refuses."""

import copy
import io

import pytest
import torch
from muons import QUINTIC, STEPS, assert_same, copies, matrices, pair, train

from descend.torch import Muon


@pytest.fixture(autouse=True)
def float64_all_the_way(monkeypatch):
    # a copy, as bfloat16() makes one: torch divides it in place, and without Nesterov it would be the momentum
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


SETTINGS = [
    {},
    {"nesterov": False, "ns_steps": 3, "adjust_lr_fn": "match_rms_adamw", "ns_coefficients": QUINTIC, "eps": 1e-3},
]


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("arguments", SETTINGS)
@pytest.mark.parametrize(("first", "second"), [(Muon, torch.optim.Muon), (torch.optim.Muon, Muon), (Muon, Muon)])
def test_a_checkpoint_goes_on_in_the_other_class(first, second, arguments):
    params = matrices()
    start = first(params, lr=0.02, momentum=0.8, **arguments)
    train(range(10), (start, params))
    twins = copies(params)
    other = second(twins)  # its own arguments differ: the checkpoint's must win
    other.load_state_dict(through_a_file(start.state_dict()))
    for name in ("lr", "momentum", "nesterov", "ns_steps", "adjust_lr_fn", "eps"):
        assert other.param_groups[0][name] == start.param_groups[0][name], name
    assert tuple(other.param_groups[0]["ns_coefficients"]) == tuple(start.param_groups[0]["ns_coefficients"])
    train(range(10, STEPS), (start, params), (other, twins))
    assert_same((start, params), (other, twins))


def test_a_copy_goes_on_as_the_original():
    params = matrices()
    opt = Muon(params, lr=0.02, nesterov=False, ns_steps=4, adjust_lr_fn="match_rms_adamw")
    train(range(5), (opt, params))
    other = copy.deepcopy(opt)
    twins = other.param_groups[0]["params"]
    train(range(5, 10), (opt, params), (other, twins))
    for p, q in zip(params, twins, strict=True):
        assert torch.equal(p, q)


def complaint(cls, arguments):
    """What a class says to these arguments, at construction or at the first step."""

    params = matrices(((3, 4),))
    try:
        train([0], (cls(params, **arguments), params))
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"lr": -0.1}, ("lr", "rate")),
        ({"lr": torch.tensor([0.1, 0.2])}, ("lr",)),
        ({"momentum": -0.1}, ("momentum",)),
        ({"weight_decay": -0.1}, ("weight",)),
        ({"adjust_lr_fn": "spectral"}, ("spectral",)),
        ({"adjust_lr_fn": ""}, ("adjust_lr_fn", "Adjust")),
        ({"ns_steps": 100}, ("ns_steps", "steps")),
        ({"ns_steps": 1000}, ("ns_steps", "steps")),
        ({"ns_coefficients": (1.0, 2.0)}, ("ns_coefficients", "oefficients")),
        ({"ns_coefficients": (1.0, 2.0, 3.0, 4.0)}, ("ns_coefficients", "oefficients")),
        ({"ns_coefficients": ()}, ("ns_coefficients", "oefficients")),
    ],
)
def test_bad_arguments_are_refused_where_torch_refuses_them(arguments, names):
    assert complaint(torch.optim.Muon, arguments)
    said = complaint(Muon, arguments)
    assert said
    assert any(name in said for name in names), said


TAKEN = [{"ns_steps": 99, "ns_coefficients": (1.0, 0.0, 0.0)}, {"momentum": 1.0}, {"lr": 0.0}]


@pytest.mark.parametrize("arguments", TAKEN)
def test_what_torch_takes_is_taken(arguments):
    mine, theirs = pair(((3, 4),), **arguments)
    train(range(5), mine, theirs)
    assert_same(mine, theirs)


def test_a_refused_argument_changes_nothing_between_steps():
    params = matrices()
    opt = Muon(params, lr=0.02)
    train(range(2), (opt, params))
    before = [p.detach().clone() for p in params]
    buffers = [opt.state[p]["momentum_buffer"].clone() for p in params]
    for change in ({"adjust_lr_fn": "spectral"}, {"ns_coefficients": (1.0,)}, {"ns_steps": 100}):
        old = {name: opt.param_groups[0][name] for name in change}
        opt.param_groups[0].update(change)
        with pytest.raises(ValueError, match=next(iter(change))):
            train([5], (opt, params))
        opt.param_groups[0].update(old)
        for p, was, buffer in zip(params, before, buffers, strict=True):
            assert torch.equal(p, was)
            assert torch.equal(opt.state[p]["momentum_buffer"], buffer)
