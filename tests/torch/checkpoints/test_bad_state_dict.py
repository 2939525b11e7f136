"""A state_dict that does not fit is refused whole and by name: nothing loaded, nothing changed."""

import copy
import math
import re

import pytest
import torch
from twins import CLASSES, ENGINES, STATEFUL, copies, parameters, snapshot, theirs, train

import descend.torch as ours

SHAPES = ((4,), (2,), (3, 4), (5,))


def trained(name="Adam", engine="torch", shapes=SHAPES, names=False, **settings):
    p = parameters(shapes=shapes)
    groups = [{"params": p[:1]}, {"params": p[1:]}]
    if names:
        groups = [
            {"params": [("first", p[0])]},
            {"params": list(zip(("b", "layer.weight", "d"), p[1:], strict=True))},
        ]
    opt = getattr(ours, name)(groups, engine=engine, **{**STATEFUL.get(name, {}), **settings})
    train(range(3), (opt, p))
    return opt, p


def edit(change):
    def edited(d):
        change(d["state"], d["param_groups"])
        return d

    edited.__name__ = change.__name__
    return edited


def wrong_shape(state, groups):
    state[2]["exp_avg"] = torch.zeros(4, 3, dtype=torch.float64)


def same_size_other_shape(state, groups):
    state[2]["exp_avg_sq"] = torch.zeros(12, dtype=torch.float64)


def scalar_for_a_tensor(state, groups):
    state[2]["exp_avg"] = torch.zeros((), dtype=torch.float64)


def number_for_a_tensor(state, groups):
    state[2]["exp_avg"] = 0.0


def text_for_a_tensor(state, groups):
    state[2]["exp_avg"] = "zeros"


def integers_for_floats(state, groups):
    state[2]["exp_avg"] = torch.zeros(3, 4, dtype=torch.uint8)


def complex_for_real(state, groups):
    state[2]["exp_avg"] = torch.zeros(3, 4, dtype=torch.complex128)


def on_meta(state, groups):
    state[2]["exp_avg"] = torch.zeros(3, 4, device="meta")


def sparse_state(state, groups):
    state[2]["exp_avg"] = torch.zeros(3, 4, dtype=torch.float64).to_sparse()


def entry_missing(state, groups):
    del state[2]["exp_avg_sq"]


def step_missing(state, groups):
    del state[2]["step"]


def step_negative(state, groups):
    state[2]["step"] = -1


def step_nan(state, groups):
    state[2]["step"] = torch.tensor(math.nan)


def step_of_many(state, groups):
    state[2]["step"] = torch.ones(3)


def step_text(state, groups):
    state[2]["step"] = "3"


OF_PARAMETER = [
    wrong_shape, same_size_other_shape, scalar_for_a_tensor, number_for_a_tensor, text_for_a_tensor,
    integers_for_floats, complex_for_real, on_meta, sparse_state, entry_missing, step_missing, step_negative,
    step_nan, step_of_many, step_text,
]  # fmt: skip


def group_missing(state, groups):
    groups.pop()


def group_extra(state, groups):
    groups.append(copy.deepcopy(groups[0]))


def parameter_missing(state, groups):
    groups[1]["params"].pop()


def parameter_extra(state, groups):
    groups[1]["params"].append(4)


def moved_between_groups(state, groups):
    groups[0]["params"], groups[1]["params"] = [0, 1], [2, 3]


def lr_nan(state, groups):
    groups[1]["lr"] = math.nan


def lr_negative(state, groups):
    groups[1]["lr"] = -1.0


def betas_outside(state, groups):
    groups[1]["betas"] = (2.0, 3.0)


def params_missing(state, groups):
    del groups[1]["params"]


def group_is_no_dict(state, groups):
    groups[1] = [1, 2, 3]


def entry_is_no_dict(state, groups):
    state[2] = torch.zeros(3)


OF_GROUP = [
    group_missing, group_extra, parameter_missing, parameter_extra, moved_between_groups, lr_nan, lr_negative,
    betas_outside, params_missing, group_is_no_dict, entry_is_no_dict,
]  # fmt: skip


def refused_whole(opt, p, bad, pattern=None):
    before, source = snapshot(opt, p), repr(bad)
    with pytest.raises((ValueError, TypeError), match=pattern) as refused:
        opt.load_state_dict(bad)
    assert snapshot(opt, p) == before
    assert repr(bad) == source, "the refused dict was edited"
    return str(refused.value)


@pytest.mark.parametrize("change", [*OF_PARAMETER, *OF_GROUP], ids=lambda f: f.__name__)
def test_refused_whole(change):
    opt, p = trained()
    # The same names, so that what is refused is the damage; other numbers, so that a partial load shows.
    other, _ = trained(lr=0.5, betas=(0.5, 0.6))
    message = refused_whole(opt, p, edit(change)(copy.deepcopy(other.state_dict())))
    assert message
    untouched, q = trained()
    train(range(3, 5), (opt, p), (untouched, q))
    assert snapshot(opt)[:2] == snapshot(untouched)[:2]


@pytest.mark.parametrize("change", OF_PARAMETER, ids=lambda f: f.__name__)
def test_the_message_has_group_index_name_and_entry(change):
    opt, p = trained(names=True)
    bad = edit(change)(copy.deepcopy(opt.state_dict()))
    message = refused_whole(opt, p, bad, "step" if "step" in change.__name__ else "exp_avg")
    assert re.search(r"group\D{0,4}1\b", message), message
    assert "layer.weight" in message, message


def test_the_message_has_both_shapes():
    opt, p = trained()
    message = refused_whole(opt, p, edit(wrong_shape)(copy.deepcopy(opt.state_dict())))
    assert "3, 4" in message
    assert "4, 3" in message


@pytest.mark.parametrize("name", CLASSES)
def test_a_dict_of_another_model_is_refused(name):
    opt, p = trained(name)
    wide, _ = trained(name, shapes=((8,), (2,), (3, 4), (5,)))
    refused_whole(opt, p, wide.state_dict(), "8")


@pytest.mark.parametrize(
    ("name", "other"), [("Adam", "SGD"), ("Adam", "RMSprop"), ("Adagrad", "Adam"), ("Adam", "Lion")]
)
def test_a_dict_of_another_method_is_refused(name, other):
    """torch takes it, and dies or diverges in a later step."""
    opt, p = trained(name)
    foreign, _ = trained(other)
    refused_whole(opt, p, copy.deepcopy(foreign.state_dict()))


@pytest.mark.parametrize(
    "bad",
    [None, {}, [], "state", 3, {"state": {}}, {"param_groups": []}, {"state": [], "param_groups": 1}],
    ids=repr,
)
def test_what_is_no_state_dict_is_refused(bad):
    opt, p = trained()
    refused_whole(opt, p, bad)


@pytest.mark.parametrize("engine", ENGINES)
def test_names_that_contradict_are_not_loaded_crosswise(engine):
    """Two parameters of one shape, names swapped: refused, or loaded by name; never crosswise."""
    p = parameters(shapes=((3,), (3,)))
    opt = ours.Adam(zip("ab", p, strict=True), engine=engine)
    train(range(2), (opt, p))
    q = copies(p)
    swapped = ours.Adam(zip("ba", q, strict=True), engine=engine)
    before = snapshot(swapped)
    try:
        swapped.load_state_dict(opt.state_dict())
    except (ValueError, TypeError):
        assert snapshot(swapped) == before
    else:
        assert torch.equal(swapped.state[q[0]]["exp_avg"], opt.state[p[1]]["exp_avg"])


def test_a_torch_dict_with_amsgrad_makes_ours_amsgrad():
    """The group says which rule the state belongs to; ours takes both over."""
    ref = theirs("Adam", q := parameters(), amsgrad=True)
    train(range(2), (ref, q))
    opt = ours.Adam(p := copies(q))
    opt.load_state_dict(copy.deepcopy(ref.state_dict()))
    train(range(2, 5), (ref, q), (opt, p))
    for x, y in zip(p, q, strict=True):
        assert torch.allclose(opt.state[x]["max_exp_avg_sq"], ref.state[y]["max_exp_avg_sq"], rtol=1e-13)
        assert torch.allclose(x, y, rtol=1e-13)
