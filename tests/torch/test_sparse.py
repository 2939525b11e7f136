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
    with pytest.raises(RuntimeError, match="sparse"):
        opt.step()
    assert torch.equal(p, torch.ones(8, 4))
    assert not opt.state


def test_an_empty_sparse_gradient_moves_nothing():
    p = torch.nn.Parameter(torch.ones(8, 4))
    empty = torch.sparse_coo_tensor(
        torch.zeros(1, 0, dtype=torch.long), torch.zeros(0, 4), (8, 4), check_invariants=True
    )
    p.grad = empty
    ours.SparseAdam([p]).step()
    assert torch.equal(p, torch.ones(8, 4))
