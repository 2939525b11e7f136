"""Sparse gradients: only their rows move, as they would with a dense gradient; and torch's numbers."""

import pytest
import torch
from twins import ENGINES

import descend.torch as ours

ROWS = [torch.tensor([1, 3, 3]), torch.tensor([0, 1, 6]), torch.tensor([6]), torch.tensor([5, 5, 5, 2])]


@pytest.fixture(autouse=True)
def checked_invariants():
    """torch warns unless somebody says whether sparse tensors are to be checked; they are."""
    with torch.sparse.check_sparse_tensor_invariants(enable=True):
        yield


def sparse(step, dtype=torch.float64):
    rows = ROWS[step % len(ROWS)]
    made = torch.Generator().manual_seed(step)
    values = torch.randn(len(rows), 4, generator=made, dtype=dtype)
    return torch.sparse_coo_tensor(rows[None], values, (8, 4), check_invariants=True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("SGD", {"lr": 0.1}),
        ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1}),
        ("SparseAdam", {"lr": 0.1, "eps": 1e-3}),
    ],
)
def test_equals_torch_on_sparse_gradients(name, arguments, engine):
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.randn(8, 4).double())
    q = torch.nn.Parameter(p.detach().clone())
    start = p.detach().clone()
    mine, theirs = getattr(ours, name)([p], engine=engine, **arguments), getattr(torch.optim, name)([q], **arguments)
    for step in range(20):
        p.grad, q.grad = sparse(step), sparse(step)
        mine.step()
        theirs.step()
        assert torch.allclose(p, q, rtol=1e-12, atol=1e-14)
    assert torch.equal(p[4], start[4])
    assert torch.equal(p[7], start[7])


def test_touched_rows_move_as_with_a_dense_gradient():
    p, q = (torch.nn.Parameter(torch.ones(8, 4).double()) for _ in range(2))
    lazy, dense = ours.SparseAdam([p], lr=0.1), ours.optimizer(ours.SparseAdam.spec.choose({}))([q], lr=0.1)
    for _ in range(3):
        p.grad = sparse(0)
        q.grad = sparse(0).to_dense()
        lazy.step()
        dense.step()
    assert torch.allclose(p[[1, 3]], q[[1, 3]], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "arguments"), [("SGD", {"momentum": 0.9}), ("Adagrad", {"weight_decay": 0.1}), ("Adam", {})]
)
def test_rules_for_which_rows_are_not_enough_refuse(name, arguments):
    p = torch.nn.Parameter(torch.ones(8, 4))
    p.grad = sparse(0, torch.float32)
    opt = getattr(ours, name)([p], **arguments)
    before = {name: value.clone() for name, value in opt.state[p].items()}  # Adagrad has its state from the start
    with pytest.raises(RuntimeError, match="sparse"):
        opt.step()
    assert torch.equal(p, torch.ones(8, 4))
    assert opt.state[p].keys() == before.keys()
    assert all(torch.equal(opt.state[p][name], value) for name, value in before.items())


def test_an_empty_sparse_gradient_moves_nothing():
    p = torch.nn.Parameter(torch.ones(8, 4))
    empty = torch.sparse_coo_tensor(
        torch.zeros(1, 0, dtype=torch.long), torch.zeros(0, 4), (8, 4), check_invariants=True
    )
    p.grad = empty
    ours.SparseAdam([p]).step()
    assert torch.equal(p, torch.ones(8, 4))


def scattered(step, dims, shape=(4, 3, 2)):
    """A gradient with this many sparse dimensions, some places twice, the third of them without any."""
    draw = torch.Generator().manual_seed(step)
    count = 0 if step == 2 else 5
    places = torch.stack([torch.randint(0, n, (count,), generator=draw) for n in shape[:dims]])
    values = torch.randn(count, *shape[dims:], generator=draw, dtype=torch.float64)
    return torch.sparse_coo_tensor(places, values, shape, check_invariants=True)


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(("name", "arguments"), [("SGD", {}), ("Adagrad", {"lr_decay": 0.1}), ("SparseAdam", {})])
def test_any_number_of_sparse_dimensions_up_and_down_as_torch(name, arguments, dims, maximize):
    params = [torch.nn.Parameter(torch.ones(4, 3, 2).double()) for _ in range(4)]
    params[3] = torch.nn.Parameter(torch.ones(2, 3, 4).double().permute(2, 1, 0))  # laid out otherwise
    made = [
        getattr(module, name)([p], lr=0.1, maximize=maximize, **arguments, **engine)
        for p, module, engine in zip(
            params, (torch.optim, ours, ours, ours), ({}, {}, {"engine": "torch"}, {}), strict=True
        )
    ]
    for step in range(6):
        for p, opt in zip(params, made, strict=True):
            p.grad = scattered(step, dims)
            opt.step()
    for p in params[1:]:
        assert torch.allclose(p, params[0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["SGD", "Adagrad"])
def test_sparse_and_dense_gradients_take_turns_as_torch(name):
    params = [torch.nn.Parameter(torch.ones(4, 3, 2).double()) for _ in range(2)]
    made = [getattr(module, name)([p], lr=0.1) for p, module in zip(params, (torch.optim, ours), strict=True)]
    for step in range(6):
        for p, opt in zip(params, made, strict=True):
            g = scattered(step, 2)
            p.grad = g.to_dense() if step % 2 else g
            opt.step()
    assert torch.allclose(*params, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("SGD", {"momentum": 0.9}, "SGD without momentum, Adagrad and SparseAdam do"),
        ("Adagrad", {"weight_decay": 0.1}, "weight_decay option is not compatible with sparse gradients"),
        ("SGD", {"clip_norm": 1.0}, "together with clip_norm"),
    ],
)
def test_the_refusal_says_what_is_in_the_way(name, arguments, reason):
    p = torch.nn.Parameter(torch.ones(8, 4))
    p.grad = sparse(0, torch.float32)
    with pytest.raises(RuntimeError, match=reason):
        getattr(ours, name)([p], lr=0.1, **arguments).step()


def test_sparse_adam_refuses_at_construction_what_torch_refuses():
    p, q = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.eye(2).to_sparse())
    z = torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))
    for params, settings, words in (
        ([p, q], {}, r"Sparse params at indices \[\[0, 1\]\]: SparseAdam requires dense"),
        ([{"params": [p]}, {"params": [z]}], {}, r"Complex params at indices \[\[1, 0\]\]"),
        ([p], {"lr": 0.0}, "Invalid learning rate: 0.0"),
        ([p], {"eps": 0.0}, "Invalid epsilon value: 0.0"),
    ):
        with pytest.raises(ValueError, match=words):
            ours.SparseAdam(params, **settings)
    opt = ours.SparseAdam([p])
    with pytest.raises(ValueError, match="Sparse params"):
        opt.add_param_group({"params": [q]})
    assert len(opt.param_groups) == 1


def test_adagrad_has_its_state_before_the_first_step_and_shares_it():
    p, z = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))
    opt = ours.Adagrad([p, z], initial_accumulator_value=0.25, lr=0.1)
    theirs = torch.optim.Adagrad([p, z], initial_accumulator_value=0.25, lr=0.1)
    for tensor in (p, z):
        assert float(opt.state[tensor]["step"]) == 0
        assert torch.equal(opt.state[tensor]["sum"], theirs.state[tensor]["sum"])
    opt.share_memory()
    shared = opt.state[p]["sum"]
    assert shared.is_shared()
    for _ in range(3):
        p.grad = torch.ones(3)
        opt.step()
    assert opt.state[p]["sum"].data_ptr() == shared.data_ptr()
    assert torch.equal(shared, torch.full((3,), 3.25))
    assert float(opt.state[p]["step"]) == 3
