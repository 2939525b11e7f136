"""What a checkpoint says beside numbers: the flags that choose a formula, and whose state it is."""

import copy
import json
import pickle

import pytest
import torch
from twins import feed, parameters, snapshot, train

import descend.torch as ours

FLAGS = ("amsgrad", "maximize", "foreach", "capturable", "decoupled_weight_decay", "fused", "nesterov", "centered")
NAMES = ("SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD")


def made(module, name, **settings):
    return getattr(module, name)(parameters(), lr=0.01, **settings)


def pair(name, **settings):
    return made(torch.optim, name, **settings), made(ours, name, **settings)


def stepped(opt, steps=range(3)):
    for t in steps:
        feed(opt.param_groups[0]["params"], t)
        opt.step()
    return opt


def flags(opt):
    return {name: opt.param_groups[0][name] or False for name in FLAGS if name in opt.param_groups[0]}


@pytest.mark.parametrize("given", [{}, {"weight_decay": 0.5}, {"amsgrad": True}, {"maximize": True}], ids=str)
@pytest.mark.parametrize(("saved", "into"), [
    ("Adam", "AdamW"), ("AdamW", "Adam"), ("Adam", "Adam"), ("AdamW", "AdamW"),
])  # fmt: skip
def test_flags_of_adam_and_adamw_are_read_as_torch_reads_them(saved, into, given):
    checkpoint = stepped(made(torch.optim, saved, **given)).state_dict()
    ends = []
    for opt in pair(into, weight_decay=0.1):
        opt.load_state_dict(copy.deepcopy(checkpoint))
        stepped(opt, range(3, 6))
        ends.append((flags(opt), [p.detach() for p in opt.param_groups[0]["params"]]))
    (theirs, expected), (mine, found) = ends
    assert mine == theirs
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", ["NAdam", "RAdam"])
@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("mine", [False, True])
def test_decay_of_nadam_and_radam_is_the_checkpoints(name, saved, mine):
    checkpoint = stepped(made(torch.optim, name, decoupled_weight_decay=saved, weight_decay=0.2)).state_dict()
    found = []
    for opt in pair(name, decoupled_weight_decay=mine):
        opt.load_state_dict(copy.deepcopy(checkpoint))
        found.append((flags(opt), stepped(opt, range(3, 6)).param_groups[0]["params"]))
    assert found[0][0] == found[1][0]
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_flags_that_an_old_checkpoint_lacks_are_torchs(name):
    there = [flag for flag in FLAGS if flag in made(torch.optim, name).param_groups[0]]
    others = {flag: True for flag in there if flag not in ("foreach", "fused", "nesterov", "capturable")}
    if name == "AdamW":
        del others["decoupled_weight_decay"]
    old = stepped(made(torch.optim, name)).state_dict()
    old["param_groups"][0] = {k: v for k, v in old["param_groups"][0].items() if k not in FLAGS}
    theirs, mine = pair(name, **others)
    for opt in (theirs, mine):
        opt.load_state_dict(copy.deepcopy(old))
    assert flags(mine) == flags(theirs)
    assert not any(flags(mine).values()) or name == "AdamW"


def test_adamw_is_decoupled_after_any_copy_and_takes_no_other_flag():
    opt = stepped(made(ours, "AdamW", weight_decay=0.5))
    opt.param_groups[0]["decoupled_weight_decay"] = False
    for copied in (copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        assert copied.param_groups[0]["decoupled_weight_decay"] is True
    with pytest.raises(TypeError, match="AdamW has decoupled_weight_decay=True"):
        made(ours, "AdamW", decoupled_weight_decay=False)


@pytest.mark.parametrize("name", ["AdamW", "SGD", "Lion", "Muon"])
@pytest.mark.parametrize(("change", "says"), [
    (lambda state: {str(k): v for k, v in state.items()}, r"'0', '1'.* JSON turns numbers into texts"),
    (lambda state: {**state, 9: state[0]}, r"state of 9 fits no parameter; its groups have parameters 0 to 1"),
    (lambda state: {**state, -1: {}}, "state of -1 fits no parameter"),
    (lambda state: {**state, "layer.weight": state[0]}, r"'layer.weight'.* Names must stand under \"params\""),
    (lambda state: {(0, 1): state[0]}, r"state of \(0, 1\) fits"),
])  # fmt: skip
def test_state_that_fits_no_parameter_is_refused_and_changes_nothing(name, change, says):
    def fresh(seed):
        params = parameters(shapes=((4, 3), (3, 2)), seed=seed)
        return getattr(ours, name)(params, lr=0.01, **({"momentum": 0.9} if name == "SGD" else {})), params

    saved = stepped(fresh(0)[0]).state_dict()
    opt, params = fresh(1)
    train(range(2), (opt, params))
    before = snapshot(opt, params)
    with pytest.raises(ValueError, match=says):
        opt.load_state_dict({**saved, "state": change(saved["state"])})
    assert snapshot(opt, params) == before


def test_one_parameter_cannot_stand_twice_in_a_checkpoint():
    opt = stepped(made(ours, "AdamW"))
    saved = opt.state_dict()
    saved["param_groups"][0]["params"] = [0, 1, 1, 3, 4]
    with pytest.raises(ValueError, match="twice"):
        opt.load_state_dict(saved)


def test_parameters_without_state_and_what_a_program_keeps_beside_them_load():
    opt = stepped(made(ours, "AdamW"))
    saved = opt.state_dict()
    del saved["state"][1]
    saved["state"]["epochs"] = 7
    again = made(ours, "AdamW")
    again.load_state_dict(saved)
    assert again.state["epochs"] == 7
    assert again.param_groups[0]["params"][1] not in again.state
    opt.state["mine"] = {"average": torch.ones(2)}
    opt.load_state_dict(opt.state_dict())
    assert "average" in opt.state["mine"]


def test_a_checkpoint_that_went_through_json_loads_with_the_way_the_refusal_names():
    opt = stepped(made(ours, "Adam"))
    plain = opt.state_dict()
    plain["state"] = {k: {n: v.tolist() for n, v in entry.items()} for k, entry in plain["state"].items()}
    saved = json.loads(json.dumps(plain))
    saved["state"] = {
        int(k): {n: torch.tensor(v, dtype=torch.float64) for n, v in entry.items()}
        for k, entry in saved["state"].items()
    }
    for entry, p in zip(saved["state"].values(), opt.param_groups[0]["params"], strict=True):
        entry |= {name: entry[name].reshape(p.shape) for name in ("exp_avg", "exp_avg_sq")}
    again = made(ours, "Adam")
    again.load_state_dict(saved)
    assert snapshot(again)[1] == snapshot(opt)[1]
