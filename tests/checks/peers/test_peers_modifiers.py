"""Modifiers that a torch peer has as a function or a wrapper: the same over 100 steps, or a named difference."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from peers import (
    OTHER,
    SAME,
    Tensors,
    apart,
    arguments,
    differs,
    entry,
    found,
    need,
    ours,
    settings_of,
    trace_of,
    whole,
)
from peers_dialects import DIALECTS, changed

from descend import chain, rules

Parameters = list[torch.nn.Parameter]
Trace = tuple[Tensors, list[Tensors]]


def descended(trace: Trace, lr: float, before: Callable[[Parameters], Any] | None = None) -> Iterator[Parameters]:
    """The parameters after each step of torch's SGD; ``before`` may change their gradients."""
    start, grads = trace
    parameters = [torch.nn.Parameter(torch.tensor(x)) for x in start]
    optimizer = torch.optim.SGD(parameters, lr)
    for step in grads:
        for p, g in zip(parameters, step, strict=True):
            p.grad = torch.tensor(g)
        if before:
            before(parameters)
        optimizer.step()
        yield parameters


def arrays(tensors: Any) -> Tensors:
    return [x.detach().numpy().copy() for x in tensors]


def of_gradients(name: str, peer: str, settings: dict[str, float]) -> Callable[[Parameters], Any]:
    """A peer's function, to be called on parameters that have gradients."""
    function, given = arguments(
        peer, str(entry(name)[peer]["call"]), name, {k: settings[k] for k in settings if k != "lr"}
    )

    def each(parameters: Parameters) -> None:
        for p in parameters:
            returned = function(p.detach(), p.grad, **given) if "clip" in name else function(p.grad)
            p.grad = p.grad if returned is None else returned

    return (
        each if name.startswith(("adaptive_clip", "centralize")) else lambda parameters: function(parameters, **given)
    )


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("clip_value", "torch"),
        ("clip_norm", "torch"),
        ("clip_norm", "pytorch_optimizer"),
        ("adaptive_clip", "pytorch_optimizer"),
        ("adaptive_clip_vector", "pytorch_optimizer"),
        ("centralize", "pytorch_optimizer"),
    ],
)
def test_a_function_of_the_gradients_does_the_same(name: str, peer: str):
    need(peer)
    assert not differs(name, peer)
    trace, settings = trace_of(name), settings_of(name, peer)
    there = [arrays(p) for p in descended(trace, settings["lr"], of_gradients(name, peer, settings))]
    assert apart(ours(whole(name), trace, settings), there, trace[0]) <= SAME


@pytest.mark.parametrize(("name", "state"), [("ema", "e"), ("swa", "average")])
def test_torch_averages_the_same(name: str, state: str):
    trace, settings = trace_of(name), settings_of(name, "torch")
    model = torch.nn.ParameterList([torch.nn.Parameter(torch.tensor(x)) for x in trace[0]])
    thing = found("torch", str(entry(name)["torch"]["call"]))
    averaged = (
        torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=thing(settings["decay"]))
        if name == "ema"
        else thing(model)
    )
    if name == "ema":
        averaged.update_parameters(model)  # its first call copies the start
    there = []
    for t, parameters in enumerate(descended(trace, settings["lr"]), 1):
        for own, p in zip(model, parameters, strict=True):
            own.data.copy_(p.data)
        if name == "ema" or t >= settings["begin"]:
            averaged.update_parameters(model)
            there.append(arrays(averaged.module))
        else:
            there.append(arrays(parameters))
    assert apart(ours(whole(name), trace, settings, shipped=state), there, trace[0]) <= SAME


def test_pytorch_optimizer_looks_ahead_the_same():
    need("pytorch_optimizer")
    (start, grads), settings = trace_of("lookahead"), settings_of("lookahead", "pytorch_optimizer")
    own = {key: settings[key] for key in ("k", "alpha")}
    wrapper, given = arguments(
        "pytorch_optimizer", str(entry("lookahead")["pytorch_optimizer"]["call"]), "lookahead", own
    )
    parameters = [torch.nn.Parameter(torch.tensor(x)) for x in start]
    optimizer = wrapper(torch.optim.SGD(parameters, settings["lr"]), **given)
    there = []
    for step in grads:
        for p, g in zip(parameters, step, strict=True):
            p.grad = torch.tensor(g)
        optimizer.step()
        there.append(arrays(parameters))
    assert apart(ours(whole("lookahead"), (start, grads), settings), there, start) <= SAME


def test_the_caution_of_pytorch_optimizer_counts_one_coordinate_more():
    need("pytorch_optimizer")
    assert differs("cautious", "pytorch_optimizer")
    start, grads = trace_of("cautious")
    function = found("pytorch_optimizer", "Lion")
    parameters = [torch.nn.Parameter(torch.tensor(x)) for x in start]
    optimizer = function(parameters, lr=0.02, betas=(0.8, 0.95), weight_decay=0.0, cautious=True)
    there = []
    for step in grads:
        for p, g in zip(parameters, step, strict=True):
            p.grad = torch.tensor(g)
        optimizer.step()
        there.append(arrays(parameters))
    settings = {"lr": 0.02, "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.0}
    theirs = changed(rules.cautious, DIALECTS["cautious", "pytorch_optimizer"])
    assert apart(ours(chain(rules.lion, rules.cautious), (start, grads), settings), there, start) > OTHER
    assert apart(ours(chain(rules.lion, theirs), (start, grads), settings), there, start) <= SAME
