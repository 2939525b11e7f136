"""Checks of ``test_torch_tests`` about steps: where they go, what they take, that all ways to take them are one."""

from __future__ import annotations

import copy
import itertools
import re
import warnings
from functools import partial
from typing import Any

import pytest
import torch
from torch.nn import Parameter
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch_tests_excused import WORDS
from twins import HALVES

import descend.torch as ours

db = pytest.importorskip("torch.testing._internal.common_optimizers", reason="torch ships its tests' settings")

INFOS = {info.name: info for info in db.optim_db if not info.step_requires_closure}  # LBFGS is no rule of a gradient
ROSENBROCK_STEPS = 1800
CHECKS: dict[str, Any] = {}


class Case:
    """An optimizer of torch's list, with our class in its place.

    ``failed`` collects the settings whose check failed: what they are called -> how it failed.
    """

    def __init__(self, check: str, info: Any) -> None:
        self.info, self.cls = info, getattr(ours, info.name)
        self.sparse = info.only_supports_sparse_grads
        self.failed: dict[str, str] = {}
        self.tried: set[str] = set()
        self.tolerances = _decorated(check, info, torch.float32).get("tolerance_overrides", {})

    def all_inputs(self, *skip: str) -> list[Any]:
        """With foreach, fused and differentiable, each where the class has it."""
        return db._get_optim_inputs_including_global_cliquey_kwargs("cpu", torch.float32, self.info, skip=skip)

    def inputs(self, dtype: torch.dtype | None = None) -> list[Any]:
        return self.info.optim_inputs_func(device="cpu", dtype=dtype)

    def each(self, inputs: list[Any], check: Any) -> None:
        """Run the check for every input."""
        for given in inputs:
            self.one(given.desc, partial(check, given.kwargs))

    def one(self, called: str, check: Any) -> None:
        torch.manual_seed(1)
        self.tried.add(called)
        try:
            check()
        except Exception as error:
            self.failed[called] = f"{type(error).__name__}: {error}"

    def equal(self, actual: Any, expected: Any, **tolerance: float) -> None:
        first = actual[0] if isinstance(actual, list) else actual
        if not tolerance and isinstance(first, torch.Tensor) and first.dtype in self.tolerances:
            found = self.tolerances[first.dtype]
            tolerance = {"atol": found.atol, "rtol": found.rtol}
        torch.testing.assert_close(actual, expected, **tolerance)  # type: ignore[arg-type]

    def grads(self, params: Any) -> None:
        if self.sparse:
            for p in params:
                if p.grad is not None:
                    p.grad = p.grad.to_sparse()

    def closure(self, opt: Any, weight: Any, bias: Any, x: Any) -> torch.Tensor:
        opt.zero_grad()
        loss = (weight.mv(x) + bias).pow(2).sum()
        loss.backward()
        self.grads((weight, bias))
        return loss


def _decorated(check: str, info: Any, dtype: torch.dtype) -> dict[str, Any]:
    """What torch's own list says of this test: skipped, other tolerances."""

    def test() -> None: ...

    for decorate in info.get_decorators("TestOptimRenewed", f"test_{check}", "cpu", dtype, {"dtype": dtype}):
        test = decorate(test)
    return vars(test)


def check(function: Any) -> Any:
    CHECKS[function.__name__] = function
    return function


def down(case: Case, kwargs: dict[str, Any], first: torch.Tensor, last: torch.Tensor) -> None:
    if kwargs.get("maximize", False):
        assert float(last) > float(first), "the loss must rise"
    else:
        assert float(last) < float(first), "the loss must fall"


def follow(schedulers: list[Any], loss: Any) -> None:
    for scheduler in schedulers:
        scheduler.step(*((loss,) if isinstance(scheduler, ReduceLROnPlateau) else ()))


# ---------------------------------------------------------------- which way it goes


@check
def errors(case: Case) -> None:
    """The type is torch's; the words are torch's or those of WORDS."""
    if case.info.optim_error_inputs_func is None:
        return

    def wrong(given: Any) -> None:
        params, kwargs = given.optimizer_error_input.params, given.optimizer_error_input.kwargs
        words = [given.error_regex, *(new for old, new in WORDS.items() if old == given.error_regex)]
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                opt = case.cls(params, **kwargs)
                if given.error_on is db.OptimizerErrorEnum.STEP_ERROR:
                    opt.step()
                found: list[Any] = [w.message for w in said]
            except Exception as error:
                found = [error]
        found = [str(one) for one in found if isinstance(one, given.error_type)] or [f"another: {found!r}"]
        assert any(re.search(text, message) for text in words for message in found), found

    for given in case.info.optim_error_inputs_func(device="cpu", dtype=torch.float32):
        case.one(given.optimizer_error_input.desc, partial(wrong, given))


@check
def forloop_goes_right_direction(case: Case) -> None:
    for contiguous, scheduled in itertools.product((True, False), (False, True)):
        for makers in case.info.scheduler_inputs if scheduled else [[]]:

            def go(kwargs: Any, contiguous: bool = contiguous, makers: Any = makers) -> None:
                if "foreach" in case.info.supported_impls:
                    kwargs["foreach"] = False
                weight, bias = torch.randn(10, 5, 2), torch.randn(10, 2)
                if contiguous:
                    weight, bias = weight[..., 0].clone(), bias[..., 0].clone()
                weight, bias = (Parameter(t if contiguous else t[..., 0]) for t in (weight, bias))
                x = torch.randn(5)
                opt = case.cls([weight, bias], **kwargs)
                schedulers = [make(opt) for make in makers]
                first = case.closure(opt, weight, bias, x)
                for _ in range(20):
                    loss = case.closure(opt, weight, bias, x)
                    opt.step()
                    follow(schedulers, loss)
                down(case, kwargs, first, case.closure(opt, weight, bias, x))

            case.each(case.inputs(), go)


@check
def param_group_with_lrscheduler_goes_right_direction(case: Case) -> None:
    for i, makers in enumerate(case.info.scheduler_inputs):

        def go(makers: Any = makers) -> None:
            weight, bias, x = Parameter(torch.randn(10, 5)), Parameter(torch.randn(10)), torch.randn(5)
            opt = case.cls([{"params": [weight]}, {"params": [bias], "lr": 0.01}])
            schedulers = [make(opt) for make in makers]
            first = case.closure(opt, weight, bias, x)
            for _ in range(20):
                follow(schedulers, opt.step(partial(case.closure, opt, weight, bias, x)))
            down(case, {}, first, case.closure(opt, weight, bias, x))

        case.one(f"schedulers {i}", go)


@check
def tensor_lr(case: Case) -> None:
    def go(kwargs: Any) -> None:
        weight, bias, x = Parameter(torch.randn(10, 5)), Parameter(torch.randn(10)), torch.randn(5)
        other = [Parameter(t.detach().clone()) for t in (weight, bias)]
        kwargs["lr"] = 1e-3
        plain = case.cls([weight, bias], **kwargs)
        tensor = case.cls(other, **{**kwargs, "lr": torch.tensor(1e-3)})
        for _ in range(5):
            plain.step(partial(case.closure, plain, weight, bias, x))
            tensor.step(partial(case.closure, tensor, *other, x))
            case.equal([weight, bias], other)

    case.each(case.all_inputs("differentiable"), go)


@check
def param_groups_weight_decay(case: Case) -> None:
    def go(kwargs: Any) -> None:
        weight, bias, x = Parameter(torch.randn(10, 5)), Parameter(torch.randn(10)), torch.randn(5)
        opt = case.cls(
            [{"params": [weight], **kwargs}, {"params": [bias], **copy.deepcopy(kwargs), "weight_decay": 0.0}]
        )
        first = case.closure(opt, weight, bias, x)
        for _ in range(20):
            loss = case.closure(opt, weight, bias, x)
            opt.step()
        down(case, kwargs, first, loss)

    case.each(case.all_inputs("differentiable"), go)


@check
def param_groups_lr(case: Case) -> None:
    def go(kwargs: Any) -> None:
        if not kwargs.get("lr"):
            kwargs["lr"] = 1e-3
        outer: dict[str, Any] = {"lr": 1e-28}
        if case.info.name == "Rprop":
            outer["step_sizes"] = (0, 50)
        weight, bias, x = Parameter(torch.randn(10, 5)), Parameter(torch.randn(10)), torch.randn(5)
        still = Parameter(torch.randn(2))
        before = still.detach().clone()
        opt = case.cls([{"params": [weight, bias], **kwargs}, {"params": [still]}], **outer)
        first = case.closure(opt, weight, bias, x)
        for _ in range(20):
            loss = case.closure(opt, weight, bias, x)
            still.grad = torch.rand_like(still)
            case.grads([still])
            opt.step()
        down(case, kwargs, first, loss)
        case.equal(still.detach(), before)

    case.each(case.all_inputs("differentiable"), go)


# ---------------------------------------------------------------- sparse and complex


def rosenbrock(t: torch.Tensor) -> torch.Tensor:
    x, y = t
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def drosenbrock(t: torch.Tensor) -> torch.Tensor:
    x, y = t
    return torch.stack((-400 * x * (y - x**2) - 2 * (1 - x), 200 * (y - x**2)))


@check
def rosenbrock_sparse(case: Case) -> None:
    """One coordinate after the other, as an uncoalesced sparse gradient and as a dense one."""
    if not (case.info.supports_sparse or case.sparse):
        return
    changes, makers = case.info.metadata_for_sparse
    inputs, seen = [], set()
    for given in case.all_inputs("differentiable", "fused"):
        for key in changes:
            given.kwargs.pop(key, None)
        key = tuple(sorted(given.kwargs.items()))
        if changes and (not given.kwargs or key in seen):
            continue
        seen.add(key)
        if "lr" in changes:
            given.kwargs["lr"] = changes["lr"]
        inputs.append(given)

    def gradient(p: torch.Tensor, sparse: bool, first: bool) -> torch.Tensor:
        at = 0 if first else 1
        g = drosenbrock(p)[at]
        if not sparse:
            return torch.zeros_like(p).index_fill_(0, torch.tensor(at), float(g))
        parts = torch.stack([g / 4.0, g - g / 4.0] if first else [g - g / 4.0, g / 4.0])
        return torch.sparse_coo_tensor(torch.tensor([[at, at]]), parts, (2,), dtype=p.dtype)

    for scheduled in (False, True) if makers else (False,):

        def go(kwargs: Any, scheduled: bool = scheduled) -> None:
            starts = [torch.tensor([1.5, 1.5]), torch.tensor([1.5, 1.5], dtype=torch.float64)]
            starts = starts[: 2 if kwargs.get("foreach") else 1]
            sides = []
            for sparse in (True,) if case.sparse else (True, False):
                params = [Parameter(t.clone()) for t in starts]
                opt = case.cls(params, **kwargs)
                sides.append((sparse, params, opt, [make(opt) for make in makers] if scheduled else []))
            for i in range(ROSENBROCK_STEPS):
                for sparse, params, opt, schedulers in sides:
                    with torch.no_grad():
                        for p in params:
                            p.grad = gradient(p, sparse, i % 2 == 1)
                    opt.step()
                    follow(schedulers, rosenbrock(params[0].detach()))
                case.equal(sides[0][1], sides[-1][1], atol=5e-6, rtol=5e-6)
            ended = [p.detach() for p in sides[0][1]]
            if kwargs.get("maximize", False):
                assert sum(map(rosenbrock, ended)) >= sum(map(rosenbrock, starts))
            else:
                assert sum(p.dist(torch.ones(2)) for p in ended) <= sum(p.dist(torch.ones(2)) for p in starts)

        case.each(copy.deepcopy(inputs), go)


@check
def complex_(case: Case) -> None:
    """A complex parameter is stepped as its two real ones, beside one that is real."""
    if not case.info.supports_complex:
        return

    def go(kwargs: Any) -> None:
        mixed = [torch.randn(10, 5, dtype=torch.complex64), torch.randn(10, dtype=torch.complex64), torch.randn(10, 5)]
        real = [torch.view_as_real(p).clone() if p.is_complex() else p.clone() for p in mixed]
        sides = [[p.requires_grad_() for p in side] for side in (mixed, real)]
        opts = [case.cls(side, **kwargs) for side in sides]
        for _ in range(3):
            for p, q in zip(*sides, strict=True):
                q.grad = torch.randn_like(q)
                p.grad = torch.view_as_complex(q.grad) if p.is_complex() else q.grad.clone()
            for opt in opts:
                opt.step()
            case.equal([torch.view_as_real(p) if p.is_complex() else p for p in sides[0]], sides[1])

    case.each(case.all_inputs("differentiable", "fused"), go)


@check
def complex_2d(case: Case) -> None:
    if not case.info.supports_complex:
        return

    def go(kwargs: Any) -> None:
        a = torch.randn(2, dtype=torch.complex64, requires_grad=True)
        re, im = (t.detach().clone().requires_grad_() for t in (a.real, a.imag))
        whole, parts = case.cls([a], **kwargs), case.cls([re, im], **kwargs)
        for _ in range(3):
            whole.zero_grad()
            rosenbrock(a).abs().backward()
            parts.zero_grad()
            rosenbrock(torch.complex(re, im)).abs().backward()
            case.equal([re.grad, im.grad], [a.grad.real, a.grad.imag])  # type: ignore[union-attr]
            whole.step()
            parts.step()
            case.equal([a.detach().real, a.detach().imag], [re.detach(), im.detach()])
            with torch.no_grad():
                re.copy_(a.real)
                im.copy_(a.imag)

    case.each(case.all_inputs("differentiable", "fused"), go)


# ---------------------------------------------------------------- implementations


def model_and_input(dtype: torch.dtype = torch.float32) -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(1)
    layers = torch.nn.Linear(2, 3), torch.nn.Sigmoid(), torch.nn.Linear(3, 1), torch.nn.Sigmoid()
    return torch.nn.Sequential(*layers).to(dtype), torch.arange(0.1, 0.61, 0.1, dtype=dtype).reshape(3, 2)


def matches_forloop(case: Case, flag: str, dtype: torch.dtype) -> None:
    tolerances = _decorated(f"{flag}_matches_forloop", case.info, dtype).get("tolerance_overrides", {})
    near = {"atol": tolerances[dtype].atol, "rtol": tolerances[dtype].rtol} if dtype in tolerances else {}

    def go(kwargs: Any) -> None:
        sides = []
        for value in (False, True):
            model, x = model_and_input(dtype)
            scalar = torch.empty((), dtype=dtype).fill_(0.5).requires_grad_()
            scalar.grad = torch.full_like(scalar, 0.25)
            sides.append((model, x, case.cls([*model.parameters(), scalar], **{**kwargs, flag: value})))
        for i in range(7):
            for model, x, opt in sides:
                opt.zero_grad()
                if i in (3, 5):
                    model[2].requires_grad_(i == 5)  # type: ignore[index]
                if i != 2:
                    model(x).sum().backward()
                opt.step()
            for p, q in zip(sides[0][0].parameters(), sides[1][0].parameters(), strict=True):
                case.equal(q, p, **near)
                states = sides[0][2].state[p], sides[1][2].state[q]
                for key in states[0]:
                    case.equal(states[1][key], states[0][key], **near)
                    with torch.no_grad():
                        states[1][key].copy_(states[0][key])
                with torch.no_grad():
                    q.copy_(p)

    for given in case.inputs(dtype):
        case.one(f"{given.desc} in {dtype}", partial(go, given.kwargs))


@check
def foreach_matches_forloop(case: Case) -> None:
    if "foreach" in case.info.supported_impls:
        matches_forloop(case, "foreach", torch.float64)


@check
def fused_matches_forloop(case: Case) -> None:
    if "fused" in case.info.supported_impls and "cpu" in case.info.supports_fused_on:
        for dtype in (torch.float32, torch.float64, *HALVES):
            matches_forloop(case, "fused", dtype)


@check
def fused_error_on_params_on_meta(case: Case) -> None:
    if "fused" not in case.info.supported_impls or "cpu" not in case.info.supports_fused_on:
        return

    def go() -> None:
        with torch.device("meta"):
            model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
            opt = case.cls(model.parameters(), fused=True)
            for p in model.parameters():
                p.grad = torch.rand_like(p)
        words = "`fused=True` requires all the params to be floating point Tensors"
        with pytest.raises(RuntimeError, match=f"{words}|{WORDS[words]}"):
            opt.step()
        opt.zero_grad()
        model.to_empty(device="cpu")
        for p in model.parameters():
            p.grad = torch.rand_like(p)
        opt.step()

    case.one("fused", go)


# ---------------------------------------------------------------- steps that do nothing


@check
def step_is_noop_when_params_have_no_grad(case: Case) -> None:
    def go(kwargs: Any) -> None:
        params = [torch.randn(2, 3) for _ in range(2)]
        before = [p.clone() for p in params]
        case.cls(params, **kwargs).step(lambda: torch.ones(1))
        case.equal(params, before, atol=0, rtol=0)

    case.each(case.all_inputs(), go)


@check
def step_is_noop_for_zero_grads(case: Case) -> None:
    def go(kwargs: Any) -> None:
        if case.info.name in ("AdamW", "Muon"):  # which decay by themselves
            kwargs["lr"] = torch.tensor(1e-5) if isinstance(kwargs.get("lr"), torch.Tensor) else 1e-5
        param = torch.randn((5, 1), requires_grad=True)
        before = param.detach().clone()
        p = param.clone() if kwargs.get("differentiable", False) else param
        opt = case.cls([p], **kwargs)
        if case.sparse:
            p.grad = torch.sparse_coo_tensor(torch.empty((1, 0)), torch.empty((0, 1)), (5, 1))
        else:
            p.grad = torch.zeros_like(p)
        opt.step(lambda: torch.ones(1))
        case.equal(p.detach(), before)

    case.each([given for given in case.all_inputs() if not given.kwargs.get("weight_decay")], go)
