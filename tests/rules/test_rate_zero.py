"""A step at a learning rate of 0, as the first of a warm-up, moves no parameter; what follows is finite."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import descend.jax
import descend.torch
from descend import rules, schedules
from descend.engines import load

# These carry the rate inside their momentum, as their papers write it: with a speed already, they roll on at 0.
# ASGD, torch's, sets its rate after each step for the next.
ROLLING = {"momentum_velocity", "nesterov_lookahead", "nesterov_rewritten", "dadapt_sgd", "dadapt_adam", "asgd"}


def steps(name: str, engine: str, rates: list[float], dtype: torch.dtype) -> list[list[torch.Tensor]]:
    """The parameters before and after each step."""
    draw = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(s, generator=draw).to(dtype)) for s in ((4, 3), (5,))]
    opt = descend.torch.optimizer(rules.all()[name])(params, engine=engine)
    path = [[p.detach().clone() for p in params]]
    for rate in rates:
        opt.param_groups[0]["lr"] = rate
        for p in params:
            p.grad = torch.randn(p.shape, generator=draw).to(dtype)
        opt.step()
        path.append([p.detach().clone() for p in params])
        for entries in opt.state.values():
            assert all(torch.isfinite(value).all() for value in entries.values())
    return path


CASES = [(n, e) for n, rule in rules.all().items() for e in ("llvm", "torch") if not load(e).refuses(rule, "float32")]


@pytest.mark.parametrize(("name", "engine"), CASES)
def test_nothing_moves_and_all_stays_finite(name: str, engine: str) -> None:
    rate = rules.all()[name].settings["lr"]
    path = steps(name, engine, [0.0, 0.0, rate, rate, 0.0, rate], torch.float32)
    still = [0, 1] + [4] * (name not in ROLLING)
    for t in still:
        assert all(map(torch.equal, path[t], path[t + 1])), f"step {t + 1} moved"
    assert all(torch.isfinite(p).all() for params in path for p in params)
    assert max(float(p.abs().max()) for p in path[-1]) < 20


@pytest.mark.parametrize("name", ["ftrl", "rprop", "rprop_simple"])
def test_after_rates_of_zero_all_is_as_if_they_had_not_been(name: str) -> None:
    """Of rules whose state is of the rate: no sum or step was begun at 0."""
    params = torch.nn.Parameter(torch.ones(3, dtype=torch.float64)), torch.nn.Parameter(torch.ones(3).double())
    late, plain = (descend.torch.optimizer(rules.all()[name])([p]) for p in params)
    late.param_groups[0]["lr"] = 0.0
    for k in range(6):
        for p in params:
            p.grad = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
        late.step()
        if k:
            plain.step()
        late.param_groups[0]["lr"] = plain.param_groups[0]["lr"]
        if name != "ftrl":  # Rprop has seen one gradient more
            late.state[params[0]]["prev"].mul_(float(k > 0))
    assert torch.equal(*params)
    assert not torch.equal(params[0], torch.ones(3).double())


IN_JAX = ["adamw", "dadapt_sgd", "ftrl", "rprop", "rprop_simple", "schedule_free_adamw", "schedule_free_sgd"]


@pytest.mark.parametrize("name", IN_JAX)
def test_also_in_jax(name: str) -> None:
    rule = rules.all()[name]
    tx = descend.jax.transform(rule, lr=rule.settings["lr"] * schedules.linear_warmup(4))
    params = {"w": jnp.array([1.1, -2.3, 3.7])}
    state = tx.init(params)
    updates, state = tx.update({"w": jnp.ones(3)}, state, params)
    assert np.array_equal(updates["w"], np.zeros(3))
    updates, state = tx.update({"w": jnp.ones(3)}, state, params)
    assert np.isfinite(updates["w"]).all()
    assert np.abs(updates["w"]).max() > 0


def test_a_change_of_the_rate_alone_moves_nothing_of_ftrl() -> None:
    params = [torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))]
    opt = descend.torch.optimizer(rules.ftrl)(params, lr=0.5, smoothing=2.0)
    for rate, gradient in ((0.5, 1.0), (0.5, -3.0), (0.05, 0.0), (5.0, 0.0), (0.0, 0.0), (0.5, 0.0)):
        before = params[0].detach().clone()
        opt.param_groups[0]["lr"] = rate
        params[0].grad = gradient * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
        opt.step()
        if not gradient:
            torch.testing.assert_close(params[0].detach(), before, rtol=1e-13, atol=0)
    assert before.abs().min() > 0.05
