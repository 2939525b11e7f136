"""Gradients a rule cannot take are refused by name, and no bit of any parameter or state moves."""

import re

import pytest
import torch
from torch.nn import Parameter
from twins import CLASSES, ENGINES, HALVES, REFUSED, STATEFUL, feed, parameters, refusal, snapshot, theirs, train

import descend.torch as ours

SHAPES = ((4,), (2,), (3, 4), (5,))


def sparse(p):
    p.grad = torch.sparse_coo_tensor(
        [[0, 0, 2]], torch.ones(3, *p.shape[1:], dtype=p.dtype), p.shape, check_invariants=True
    )
    return "sparse"


def sparse_without_entries(p):
    empty = torch.zeros(p.dim(), 0, dtype=torch.long)
    p.grad = torch.sparse_coo_tensor(empty, torch.zeros(0, dtype=p.dtype), p.shape, check_invariants=True)
    return "sparse"


def compressed_rows(p):
    p.grad = torch.eye(3, 4, dtype=p.dtype).to_sparse_csr()
    return "sparse"


def other_shape(p):
    p.grad = torch.ones_like(p)
    p.data = torch.ones(4, 3, dtype=p.dtype)
    return r"3, 4"


def other_size(p):
    p.grad = torch.ones_like(p)
    p.data = torch.ones(30, dtype=p.dtype)
    return r"30"


def broadcastable(p):
    p.grad = torch.ones_like(p)
    p.data = torch.ones(2, 3, 4, dtype=p.dtype)
    return r"2, 3, 4"


def other_dtype(p):
    p.grad = torch.ones_like(p)
    p.data = p.data.float()
    return "float32"


def gradient_on_meta(p):
    p.grad = torch.ones_like(p)
    p.grad.data = torch.ones(3, 4, dtype=p.dtype, device="meta")
    return "meta"


BREAKS = [
    sparse,
    sparse_without_entries,
    compressed_rows,
    other_shape,
    other_size,
    broadcastable,
    other_dtype,
]


def damage(spoil, p):
    """Spoil the gradient; a spoiler torch itself blocks is no case."""
    try:
        return spoil(p)
    except (RuntimeError, TypeError) as blocked:
        pytest.skip(f"torch itself refuses to set it: {blocked}")


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("stepped", [0, 2], ids=["first step", "later step"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("spoil", [*BREAKS, gradient_on_meta], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_refused_by_name_with_nothing_changed(name, spoil, engine, stepped):
    p = parameters(shapes=SHAPES)
    groups = [
        {"params": [("first", p[0])]},
        {"params": [("second", p[1]), ("layer.weight", p[2]), ("last", p[3])]},
    ]
    opt = getattr(ours, name)(groups, engine=engine, lr=0.1, **STATEFUL.get(name, {}))
    train(range(stepped), (opt, p))
    feed(p, stepped)
    p[2].grad = None
    expected = damage(spoil, p[2])
    before = snapshot(opt)
    with pytest.raises(REFUSED, match=expected) as refused:
        opt.step()
    message = str(refused.value)
    assert snapshot(opt) == before
    assert re.search(r"group\D{0,4}1\b", message), f"group 1 is not named: {message}"
    assert "layer.weight" in message, f"the parameter's name is missing: {message}"


@pytest.mark.parametrize("engine", ENGINES)
def test_without_names_the_message_has_group_and_index(engine):
    p = parameters(shapes=SHAPES)
    opt = ours.AdamW([{"params": p[:1]}, {"params": p[1:]}], engine=engine)
    feed(p, 0)
    p[3].data = torch.ones(7, dtype=torch.float64)
    with pytest.raises(REFUSED) as refused:
        opt.step()
    message = str(refused.value)
    assert re.search(r"group\D{0,4}1\b", message), message
    assert re.search(r"\b2\b", message), f"index 2 within the group is not named: {message}"
    assert "7" in message, message
    assert "5" in message, message


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CLASSES)
def test_complex_parameters_as_torch_or_refused(name, engine):
    """g·g for g·conj(g) would be silently wrong."""
    start = torch.view_as_complex(torch.randn(4, 2, generator=torch.Generator().manual_seed(1)).double())
    p, q = Parameter(start.clone()), Parameter(start.clone())
    plain = Parameter(torch.ones(2).double())
    settings = {"lr": 0.1, **STATEFUL.get(name, {})}
    ref = None if name == "Lion" else theirs(name, [q], **settings)

    def run():
        opt = getattr(ours, name)([plain, p], engine=engine, **settings)
        for _ in range(3):
            p.grad, q.grad, plain.grad = start * (1 + 2j), start * (1 + 2j), torch.ones(2).double()
            opt.step()

    if message := refusal(run):
        assert "complex" in message
        assert torch.equal(p, start)
        assert (plain == 1).all()
    else:
        assert ref is not None, "torch has no complex Lion to agree with"
        for _ in range(3):
            ref.step()
        assert torch.allclose(p, q, rtol=1e-13)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("wrong", ["shape", "dtype", "missing", "string", "none", "number"])
def test_state_damaged_by_the_user_is_refused_with_nothing_changed(wrong, engine):
    p = parameters(shapes=SHAPES)
    opt = ours.Adam(p, engine=engine)
    train(range(2), (opt, p))
    feed(p, 2)
    state = opt.state[p[2]]
    if wrong == "missing":
        del state["exp_avg_sq"]
    else:
        state["exp_avg_sq"] = {
            "shape": torch.zeros(4, 3, dtype=torch.float64),
            "dtype": torch.zeros(3, 4, dtype=torch.int64),
            "string": "zeros",
            "none": None,
            "number": 0.0,
        }[wrong]
    before = snapshot(opt)
    with pytest.raises(REFUSED, match="exp_avg_sq"):
        opt.step()
    assert snapshot(opt) == before


@pytest.mark.parametrize("engine", ENGINES)
def test_zero_gradients_and_lr_zero_move_nothing(engine):
    """torch.distributed.checkpoint steps with lr = 0 and zero gradients to see what state there is."""
    for name in CLASSES:
        for dtype in (torch.float64, torch.float32, *HALVES):
            p = parameters(dtype)
            p[0].data.view(-1)[0] = -0.0
            opt = getattr(ours, name)(p, engine=engine, lr=0.0, weight_decay=0.1, **STATEFUL.get(name, {}))
            for x in p:
                x.grad = torch.zeros_like(x)
            before = [x.detach().clone().view(-1).view(torch.uint8) for x in p]
            opt.step()
            after = [x.detach().view(-1).view(torch.uint8) for x in p]
            assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True)), (name, dtype)


@pytest.mark.parametrize("steps", [0, 5])
@pytest.mark.parametrize("what", ["parameter", "gradient"])
def test_memory_that_was_freed_is_refused_by_name_and_not_touched(what, steps):
    params = [torch.nn.Parameter(torch.ones(3, 2)) for _ in range(2)]
    opt = ours.AdamW(params)
    for p in params:
        p.grad = torch.ones(3, 2)
    for _ in range(steps):
        opt.step()
    freed = params[1] if what == "parameter" else params[1].grad
    freed.untyped_storage().resize_(0)
    before = params[0].detach().clone()
    with pytest.raises(ValueError, match=rf"{what}.*1 of group 0 has no memory"):
        opt.step()
    assert torch.equal(params[0], before)
