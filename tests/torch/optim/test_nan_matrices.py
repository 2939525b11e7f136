"""NaN, infinity and numbers whose squares are beyond float32 in one gradient: that parameter's affair, and no error."""

import numpy as np
import pytest
import torch

import descend.torch as ours
from descend import rules
from descend.engines.eager import torch as eager

MATRICES = [name for name, rule in rules.all().items() if rule.vectors is not None]


@pytest.mark.parametrize("engine", ["torch", "numpy"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize("name", MATRICES)
def test_what_is_not_finite_stays_where_it_is(name, bad, engine):
    for when in (0, 3):
        draw = torch.Generator().manual_seed(0)
        params = [torch.nn.Parameter(torch.randn(4, 3, generator=draw)) for _ in range(2)]
        opt = ours.optimizer(rules.all()[name])(params, engine=engine)
        for t in range(14):
            for p in params:
                p.grad = torch.randn(4, 3, generator=draw)
            if t == when:
                params[0].grad[0, 0] = bad
            opt.step()
        assert torch.isfinite(params[1]).all()
        assert bad == 1e30 or not torch.isfinite(params[0]).all()


def test_what_lapack_cannot_do_names_the_tensor_and_changes_nothing(monkeypatch):
    """No finite matrix is known on which it fails on every machine: so the word fails here."""

    def fails(x):
        raise torch.linalg.LinAlgError("the algorithm failed to converge")

    p, q = (torch.nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    opt = ours.Shampoo([("first", p), ("second", q)])
    p.grad, q.grad = torch.ones(2, 2), torch.ones(2, 2)
    words = eager.ops.words_of(p)
    monkeypatch.setitem(words, "eigh", lambda x: fails(x) if x[0, 0] > 50 else (x[0], x))
    q.grad = torch.full((2, 2), 9.0)
    with pytest.raises(ArithmeticError, match=r"'second' .*eigh failed \(the algorithm.*nothing was changed"):
        opt.step()
    assert (p == 1).all()
    assert (q == 1).all()
    assert not opt.state
    monkeypatch.undo()
    opt.step()
    assert torch.isfinite(p).all()


def test_the_oracle_solves_what_is_singular_without_an_error():
    a = np.array([[0.0, 0.0], [1.0, 1.0]])
    assert not np.isfinite(eager.ops.solve_lower(a, np.ones((2, 1)))).all()
