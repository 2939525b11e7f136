"""state_dict: to torch and back, old and odd dicts, bad dicts refused whole, copies that share nothing."""

import copy
import io
import itertools
import pickle

import numpy
import pytest
import torch
from twins import (
    CLASSES,
    ENGINES,
    HALVES,
    REFUSED,
    STATEFUL,
    TOLERANCE,
    TORCH_CLASSES,
    assert_close,
    copies,
    feed,
    parameters,
    refusal,
    snapshot,
    theirs,
    train,
    twin,
)

import descend.torch as ours

SETTINGS = {
    "SGD": {"momentum": 0.9, "dampening": 0.4, "weight_decay": 0.1},
    "RMSprop": {"momentum": 0.5, "centered": True, "eps": 1e-3},
    "Adagrad": {"initial_accumulator_value": 0.3, "lr_decay": 0.1},
}


def through_file(state_dict):
    file = io.BytesIO()
    torch.save(state_dict, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", TORCH_CLASSES)
def test_checkpoints_go_both_ways_and_training_goes_on(name, dtype, engine):
    settings = {"lr": 0.01, **SETTINGS.get(name, {})}
    mine, reference = twin(name, dtype, engine, **settings)
    train(range(7), mine, reference)
    # torch's into a descend optimizer that has nothing of its own, not even the settings
    p = copies(reference[1])
    taken = getattr(ours, name)(p, engine=engine), p
    taken[0].load_state_dict(through_file(reference[0].state_dict()))
    # descend's into torch
    q = copies(mine[1])
    given = theirs(name, q), q
    given[0].load_state_dict(through_file(mine[0].state_dict()))
    for entry in given[0].state.values():
        if name == "SGD":
            entry.pop("step", None)  # torch's SGD keeps no count, so it would carry this one along unchanged
    train(range(7, 27), mine, reference, taken, given)
    assert_close(taken, reference, TOLERANCE[dtype], "torch -> descend:")
    assert_close(mine, given, TOLERANCE[dtype], "descend -> torch:")


@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("name", TORCH_CLASSES)
def test_same_names_as_torch(name, before):
    mine, reference = twin(name, **SETTINGS.get(name, {}))
    train(range(before), mine, reference)
    a, b = mine[0].state_dict(), reference[0].state_dict()
    assert set(a) == set(b) == {"state", "param_groups"}
    assert set(b["param_groups"][0]) <= set(a["param_groups"][0])
    assert a["param_groups"][0]["params"] == b["param_groups"][0]["params"]
    if before:
        keys = {i: {k for k, v in s.items() if v is not None} for i, s in b["state"].items()}
        assert {i: set(s) - ({"step"} if name == "SGD" else set()) for i, s in a["state"].items()} == keys


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CLASSES)
def test_round_trips_continue_with_the_same_bits(name, engine):
    mine, _ = twin(name, torch.float32, engine, lr=0.01, **STATEFUL.get(name, {}))
    train(range(4), mine)
    opt, params = mine
    runs = []
    for route in (lambda d: d, copy.deepcopy, through_file, lambda d: pickle.loads(pickle.dumps(d))):
        p = copies(params)
        other = getattr(ours, name)(p, engine=engine)
        other.load_state_dict(route(opt.state_dict()))
        runs.append((other, p))
    for clone in (copy.deepcopy((opt, params)), pickle.loads(pickle.dumps((opt, params)))):
        assert clone[0].engine == engine
        runs.append(clone)
    train(range(4, 8), *runs)  # the copies first: what they share with the original would show in it
    train(range(4, 8), mine)
    for other, p in runs:
        assert snapshot(other, p)[:2] == snapshot(*mine)[:2]


@pytest.mark.parametrize("engine", ENGINES)
def test_copies_keep_our_own_options(engine):
    p = parameters()
    opt = ours.AdamW(p, engine=engine, clip_norm=0.5, nonfinite="skip")
    train(range(2), (opt, p))
    for other, q in (copy.deepcopy((opt, p)), pickle.loads(pickle.dumps((opt, p)))):
        train(range(2, 4), (other, q))
        feed(q, 4)
        q[0].grad.fill_(float("nan"))
        before = snapshot(other, q)
        other.step()
        assert snapshot(other, q) == before
        assert repr(other)
        assert {k for k in vars(opt) if k[0] != "_"} == {k for k in vars(other) if k[0] != "_"}
        twin_of = ours.AdamW(r := copies(p), engine=engine, clip_norm=0.5)
        twin_of.load_state_dict(opt.state_dict())
        train(range(2, 4), (twin_of, r))
        assert snapshot(twin_of, r)[:2] == snapshot(other, q)[:2]


@pytest.mark.parametrize("name", CLASSES)
def test_load_before_any_step_and_empty_state(name):
    mine, reference = twin(name, lr=0.01, **STATEFUL.get(name, {}))
    mine[0].load_state_dict(mine[0].state_dict())
    if name != "Lion":
        mine[0].load_state_dict(reference[0].state_dict())
    train(range(3), mine, reference)
    assert_close(mine, reference, 1e-14)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "as_step",
    [int, float, lambda s: torch.tensor(int(s)), lambda s: torch.tensor([float(s)]).squeeze().double()],
    ids=["int", "float", "int tensor", "double tensor"],
)
def test_step_in_any_form(as_step, engine):
    mine, reference = twin("Adam", engine=engine)
    train(range(5), mine, reference)
    state = mine[0].state_dict()
    for entry in state["state"].values():
        entry["step"] = as_step(entry["step"])
    other = ours.Adam(p := copies(mine[1]), engine=engine)
    other.load_state_dict(state)
    train(range(5, 9), (other, p), reference)
    assert_close((other, p), reference, 1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_step_counts_beyond_two_to_the_24(engine):
    mine, _ = twin("Adam", engine=engine)
    train(range(1), mine)
    state = mine[0].state_dict()
    for entry in state["state"].values():
        entry["step"] = torch.tensor(2**24)
    mine[0].load_state_dict(state)
    train(range(3), mine)
    assert int(mine[0].state_dict()["state"][0]["step"]) == 2**24 + 3


@pytest.mark.parametrize("name", TORCH_CLASSES)
def test_dicts_of_older_versions_lack_the_newer_settings(name):
    mine, reference = twin(name, lr=0.01, **SETTINGS.get(name, {}))
    train(range(3), mine, reference)
    old = through_file(mine[0].state_dict())
    ancient = {"params", "lr", "momentum", "dampening", "weight_decay", "nesterov", "betas", "eps", "alpha"}
    ancient |= {"centered", "lr_decay", "initial_accumulator_value"}
    old["param_groups"][0] = {k: v for k, v in old["param_groups"][0].items() if k in ancient}
    other = getattr(ours, name)(p := copies(mine[1]))
    other.load_state_dict(old)
    train(range(3, 6), (other, p), reference)
    assert_close((other, p), reference, 1e-14)


def test_torchs_sgd_without_momentum_saves_an_empty_buffer():
    mine, reference = twin("SGD")
    train(range(1), mine, reference)
    state = mine[0].state_dict()
    state["state"] = {i: {"momentum_buffer": None} for i in range(5)}
    mine[0].load_state_dict(state)
    train(range(1, 3), mine, reference)
    assert_close(mine, reference, 1e-14)


@pytest.mark.parametrize(
    ("kind", "engine"),
    list(itertools.product(HALVES, ENGINES)),
    ids=str,
)
def test_float32_state_of_sixteen_bit_parameters_survives(kind, engine):
    p = parameters(kind)
    opt = ours.AdamW(p, engine=engine)
    train(range(3), (opt, p))
    other = ours.AdamW(q := copies(p), engine=engine)
    other.load_state_dict(through_file(opt.state_dict()))
    assert all(other.state[x]["exp_avg"].dtype == torch.float32 for x in q)
    assert snapshot(other)[1] == snapshot(opt)[1]
    # torch saves sixteen-bit state: it must load, and training must go on
    ref = theirs("AdamW", r := copies(p))
    train(range(2), (ref, r))
    other.load_state_dict(through_file(ref.state_dict()))
    train(range(3), (other, q))
    assert all(torch.isfinite(x).all() for x in q)


def test_numbers_from_numpy_do_not_spoil_the_checkpoint():
    """torch.load(weights_only=True) refuses a file that holds a numpy scalar."""
    opt = ours.AdamW(p := parameters(), lr=numpy.float64(0.125), betas=(numpy.float32(0.5), 0.75))
    train(range(2), (opt, p))
    opt.param_groups[0]["lr"] = numpy.float32(0.25)
    opt.step()
    assert through_file(opt.state_dict())["param_groups"][0]["lr"] == 0.25


def test_loading_copies_and_later_steps_leave_the_source_alone():
    mine, _ = twin("Adam")
    train(range(3), mine)
    taken = mine[0].state_dict()
    saved = copy.deepcopy(taken)
    other = ours.Adam(p := copies(mine[1]))
    other.load_state_dict(saved)
    before = copy.deepcopy(saved)
    train(range(3), (other, p))
    other.param_groups[0]["lr"] = 7.0
    for i, entry in before["state"].items():
        assert all(torch.equal(torch.as_tensor(saved["state"][i][k]), torch.as_tensor(v)) for k, v in entry.items())
    assert saved["param_groups"] == before["param_groups"]
    assert mine[0].param_groups[0]["lr"] == 1e-3


def test_names_of_parameters_are_kept_and_checked():
    p = parameters()
    opt = ours.Adam([(f"w{i}", x) for i, x in enumerate(p)])
    train(range(2), (opt, p))
    state = opt.state_dict()
    assert state["param_groups"][0]["param_names"] == [f"w{i}" for i in range(5)]
    plain = ours.Adam(parameters())
    plain.load_state_dict(state)
    assert plain.param_groups[0]["param_names"] == [f"w{i}" for i in range(5)]
    opt.load_state_dict(ours.Adam(parameters()).state_dict())
    assert opt.param_groups[0]["param_names"] == [f"w{i}" for i in range(5)]
    assert refusal(lambda: opt.load_state_dict(state)) is None
    with pytest.raises(REFUSED):
        opt.load_state_dict({"state": {}})
