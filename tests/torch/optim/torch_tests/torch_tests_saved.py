"""Checks of ``test_torch_tests`` about checkpoints, copies and hooks."""

from __future__ import annotations

import copy
import io
import itertools
from functools import partial
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch_tests_steps import Case, check

import descend.torch as ours

# ---------------------------------------------------------------- checkpoints


@check
def optimizer_can_be_printed(case: Case) -> None:
    params = [Parameter(torch.randn(2, 3)) for _ in range(2)]
    case.each(case.all_inputs(), lambda kwargs: repr(case.cls(params, **kwargs)))


def named(params: list[Any], is_named: bool) -> list[Any]:
    return [(f"name{i}", p) for i, p in enumerate(params)] if is_named else params


def without_names(saved: dict[str, Any]) -> dict[str, Any]:
    groups = [{key: v for key, v in group.items() if key != "param_names"} for group in saved["param_groups"]]
    return {**copy.deepcopy(saved), "param_groups": groups}


def alike(case: Case, a: Any, b: Any) -> None:
    """Two checkpoints, exactly."""
    assert type(a) is type(b), f"{a!r} and {b!r}"
    if isinstance(a, dict):
        assert a.keys() == b.keys(), f"{list(a)} and {list(b)}"
        for key in a:
            alike(case, a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            alike(case, x, y)
    elif isinstance(a, torch.Tensor):
        case.equal(a, b, atol=0, rtol=0)
    else:
        assert a == b


@check
def state_dict_deterministic(case: Case) -> None:
    for first, second in itertools.product((False, True), repeat=2):

        def go(kwargs: Any, first: bool = first, second: bool = second) -> None:
            params, x = [Parameter(torch.randn(2, 3)), Parameter(torch.randn(2))], torch.randn(3)
            opt = case.cls(named(params, first), **kwargs)
            for _ in range(10):
                case.closure(opt, params[0], params[1], x)
                opt.step()
            twins = [Parameter(p.detach().clone()) for p in params]
            twin = case.cls(named(twins, second), **kwargs)
            twin.load_state_dict(copy.deepcopy(opt.state_dict()))
            for _ in range(10):
                for o, ps in ((opt, params), (twin, twins)):
                    case.closure(o, ps[0], ps[1], x)
                    o.step()
                case.equal(params, twins, atol=0, rtol=0)
            alike(case, without_names(opt.state_dict()), without_names(twin.state_dict()))
            twin.param_groups.extend(twin.param_groups)
            groups = [without_names(o.state_dict())["param_groups"][-1] for o in (opt, twin)]
            alike(case, *groups)

        case.each(case.all_inputs("differentiable"), go)


def conv_model() -> tuple[torch.nn.Module, torch.Tensor]:
    model = torch.nn.Sequential(torch.nn.Conv2d(4, 2, 1, stride=2), torch.nn.BatchNorm2d(2))
    return model, torch.rand(1, 4, 16, 16)


def conv_steps(model: torch.nn.Module, opt: Any, x: torch.Tensor, steps: int) -> None:
    for _ in range(steps):
        opt.zero_grad()
        model(x).sum().backward()
        opt.step()


@check
def can_load_older_state_dict(case: Case) -> None:
    def go(kwargs: Any) -> None:
        model, x = conv_model()
        opt = case.cls(model.parameters(), **kwargs)
        conv_steps(model, opt, x, 3)
        old = copy.deepcopy(opt.state_dict())
        for group in old["param_groups"]:
            for flag in case.info.not_og_supported_flags:
                group.pop(flag, None)
        opt.load_state_dict(old)
        conv_steps(model, opt, x, 1)

    case.each(case.all_inputs("differentiable"), go)


@check
def can_load_from_to_named_state_dict(case: Case) -> None:
    if case.sparse:
        return
    for first, second in itertools.product((False, True), repeat=2):

        def go(kwargs: Any, first: bool = first, second: bool = second) -> None:
            model, x = conv_model()
            opts = [
                case.cls(model.named_parameters() if is_named else model.parameters(), **kwargs)
                for is_named in (first, second)
            ]
            conv_steps(model, opts[0], x, 3)
            opts[1].load_state_dict(copy.deepcopy(opts[0].state_dict()))
            conv_steps(model, opts[1], x, 1)
            if first or second:
                names = opts[1].state_dict()["param_groups"][0]["param_names"]
                assert names == ["0.weight", "0.bias", "1.weight", "1.bias"]

        case.each(case.all_inputs("differentiable"), go)


@check
def save_load_equality_with_weights_only(case: Case) -> None:
    for is_named in (False, True):

        def go(kwargs: Any, is_named: bool = is_named) -> None:
            params, x = [Parameter(torch.randn(2, 3)), Parameter(torch.randn(2))], torch.randn(3)
            opt = case.cls(named(params, is_named), **kwargs)
            for _ in range(3):
                opt.step(partial(case.closure, opt, params[0], params[1], x))
            saved, file = opt.state_dict(), io.BytesIO()
            torch.save(saved, file)
            for weights_only in (None, True):
                file.seek(0)
                alike(case, torch.load(file, weights_only=weights_only), saved)

        case.each(case.all_inputs("differentiable"), go)


def with_gradients(case: Case) -> list[Any]:
    params = [Parameter(torch.randn(2, 3)) for _ in range(2)]
    for p in params:
        p.grad = torch.rand_like(p)
    case.grads(params)
    return params


@check
def load_nontensor_step(case: Case) -> None:
    def go(kwargs: Any) -> None:
        opt = case.cls(with_gradients(case), **kwargs)
        for _ in range(3):
            opt.step()
        saved = copy.deepcopy(opt.state_dict())
        for state in saved["state"].values():
            if isinstance(state.get("step"), torch.Tensor):
                state["step"] = state["step"].item()
        opt.load_state_dict(saved)
        opt.step(lambda: None)

    case.each(case.all_inputs("differentiable"), go)


@check
def deepcopy_copies_all_public_attrs(case: Case) -> None:
    def go(kwargs: Any) -> None:
        opt = case.cls(with_gradients(case), **kwargs)
        for _ in range(3):
            opt.step()
        public = [{key for key in vars(o) if not key.startswith("_")} for o in (opt, copy.deepcopy(opt))]
        assert public[0] == public[1]

    case.each(case.all_inputs("differentiable"), go)


@check
def non_empty_state(case: Case) -> None:
    def go(kwargs: Any) -> None:
        model = torch.nn.Linear(5, 5)
        opt = case.cls(model.parameters(), **kwargs)
        model(torch.rand(2, 5)).sum().backward()
        case.grads(model.parameters())
        opt.step()
        assert all(len(state) > 0 for state in opt.state.values())

    case.each(case.inputs(), go)


# ---------------------------------------------------------------- hooks


def says(opt: Any) -> None:
    opt.state["test"] = 1


def takes_back(_: Any, saved: dict[str, Any]) -> dict[str, Any]:
    return {**saved, "ran": saved["state"].pop("test", None) is not None}


@check
def state_dict_hooks(case: Case) -> None:
    """torch's tests state_dict_pre_hook, state_dict_post_hook and state_dict_pre_post_hook."""

    def go(kwargs: Any) -> None:
        for pre, post in ((True, False), (False, True), (True, True)):
            opt = case.cls([torch.rand(2, 3, requires_grad=True)], **kwargs)
            if pre:
                opt.register_state_dict_pre_hook(says)
            if post:
                opt.register_state_dict_post_hook(takes_back)
            saved = opt.state_dict()
            assert saved["state"].get("test") == (1 if pre and not post else None)
            assert saved.get("ran") == (pre if post else None)

    case.each(case.all_inputs(), go)


def set_in_place(_: Any, saved: dict[str, Any]) -> None:
    saved["param_groups"][0]["lr"] = 0.002


def set_in_copy(_: Any, saved: dict[str, Any]) -> dict[str, Any]:
    mine = copy.deepcopy(saved)
    mine["param_groups"][0]["lr"] = 0.003
    return mine


def notes(opt: Any) -> None:
    opt.state["pre ran"] = bool(opt.param_groups[0]["lr"] == 0.003)
    opt.state["post ran"] = True


@check
def load_state_dict_hooks(case: Case) -> None:
    """torch's tests load_state_dict_pre_hook_and_prepend, .._post_hook and .._pre_post_hook."""

    def go(kwargs: Any) -> None:
        opt = case.cls([torch.rand(2, 3, requires_grad=True)], **kwargs)
        saved = opt.state_dict()
        opt.register_load_state_dict_pre_hook(set_in_place)
        opt.load_state_dict(saved)
        assert opt.param_groups[0]["lr"] == 0.002
        opt.register_load_state_dict_pre_hook(set_in_copy, prepend=True)
        opt.load_state_dict(saved)
        assert opt.param_groups[0]["lr"] == 0.002, "the one before has the last word"
        for pre in (False, True):
            opt = case.cls([torch.rand(2, 3, requires_grad=True)], **kwargs)
            if pre:
                opt.register_load_state_dict_pre_hook(set_in_copy)
            opt.register_load_state_dict_post_hook(notes)
            opt.load_state_dict(opt.state_dict())
            assert opt.state["pre ran"] is pre
            assert opt.state["post ran"] is True

    case.each(case.all_inputs(), go)


@check
def step_hooks(case: Case) -> None:
    """torch's tests step_pre_hook, step_post_hook and step_all_hooks."""

    def go(kwargs: Any) -> None:
        params, data = [torch.ones(2, 2) if case.info.name == "Muon" else torch.ones(2)], []

        def adds(value: int) -> Any:
            return lambda opt, args, kwargs: data.append(value)

        opt, other = case.cls(params, **kwargs), ours.SGD(params)
        handles = [
            register_optimizer_step_pre_hook(adds(0)),
            register_optimizer_step_post_hook(adds(5)),
            *(o.register_step_pre_hook(adds(1)) for o in (opt, other)),
            *(o.register_step_post_hook(adds(2)) for o in (opt, other)),
        ]
        try:
            for i, o in enumerate((opt, other, opt)):
                o.step(None)
                assert data == [0, 1, 2, 5] * (i + 1)
        finally:
            for handle in handles:
                handle.remove()
        opt.step(None)
        other.step(None)
        assert data == [0, 1, 2, 5] * 3

    case.each(case.all_inputs(), go)
