"""Every rule a peer has: its numbers over 100 steps, or a difference that has a name and goes away with it.

Needs the peers of the extra ``peers``; a test whose peer is not installed is skipped, except in CI.
"""

import functools
import importlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from peers import (
    CLASSES,
    OTHER,
    PROBED,
    SAME,
    Tensors,
    apart,
    differs,
    need,
    ours,
    pairs,
    settings_of,
    stepped,
    trace_of,
    whole,
)
from peers_dialects import DIALECTS, as_it_is, as_the_peer_has_it, changed

import descend.torch
from descend import rules
from descend.explain.compare import entry

EVERY = [(name, peer) for peer in CLASSES for kind in ("rule", "before") for name in pairs(peer, kind)]
FUNCTIONS = {(n, p) for n, p in EVERY if n.startswith(("clip_", "adaptive_clip", "centralize"))}
CALLED = [
    pair for pair in EVERY if pair not in FUNCTIONS and pair not in PROBED
]  # functions: see test_peers_modifiers.py


@pytest.fixture(autouse=True)
def wide_numbers() -> Iterator[None]:
    """Numbers that a class keeps for a tensor (products, sums) are of the default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def theirs(name: str, peer: str) -> list[Tensors]:
    more: dict[str, Any] = {}
    if name == "laprop":
        more = {"foreach": False}  # the other form rounds lr to float32
    if name == "sophia":
        more = {"betas": (settings_of(name, peer)["beta1"], 0.0)}  # the last estimate, not an average
    call = entry(name)[peer]["call"]
    return list(stepped(peer, str(call), name, settings_of(name, peer), trace_of(name), **more))


@pytest.mark.parametrize(("name", "peer"), [pair for pair in CALLED if not differs(*pair)])
def test_a_class_computes_the_same(name: str, peer: str):
    need(peer)
    trace = trace_of(name)
    mine = ours(as_it_is(name, peer), trace, settings_of(name, peer))
    assert apart(mine, theirs(name, peer), trace[0]) <= SAME


@pytest.mark.parametrize("name", [name for name, peer in CALLED if peer == "torch" and not differs(name, peer)])
def test_the_class_made_of_the_rule_computes_the_same(name: str):
    start, grads = trace_of(name)
    parameters = [torch.nn.Parameter(torch.tensor(x)) for x in start]
    settings = settings_of(name, "torch")
    betas = tuple(settings.pop(beta) for beta in ("beta1", "beta2") if beta in settings)
    options = {"engine": "numpy", **settings, **({"betas": betas} if betas else {})}
    optimizer = descend.torch.optimizer(whole(name))(parameters, **options)
    mine = []
    for step in grads:
        for p, g in zip(parameters, step, strict=True):
            p.grad = torch.tensor(g)
        optimizer.step()
        mine.append([p.detach().numpy().copy() for p in parameters])
    assert apart(mine, theirs(name, "torch"), start) <= SAME


# Where a peer differs


class Wide:
    """The module torch, in which float32 is float64."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def squares(parameters: list[torch.nn.Parameter]) -> torch.Tensor:
    return sum((p.grad.square().sum() for p in parameters if p.grad is not None), torch.zeros(()))


def widen(peer: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a peer calculate in float64 where it goes down to a narrower type on its own."""
    if peer == "torch":
        monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
    if peer == "pytorch_optimizer":
        if name == "soap":
            monkeypatch.setattr(importlib.import_module("pytorch_optimizer.optimizer.soap"), "torch", Wide())
        if name == "dadapt_sgd":
            module = importlib.import_module("pytorch_optimizer.optimizer.dadapt")
            monkeypatch.setattr(module, "get_global_gradient_norm", lambda groups: squares(groups[0]["params"]))
        if "muon" in name:
            for place in ("base", "normuon"):
                muon = importlib.import_module(f"pytorch_optimizer.optimizer.muon.{place}")
                steps = functools.partial(muon.zero_power_via_newton_schulz_5, dtype=torch.float64)
                monkeypatch.setattr(muon, "zero_power_via_newton_schulz_5", steps)


@pytest.mark.parametrize(("name", "peer"), [pair for pair in CALLED if differs(*pair)])
def test_a_difference_of_a_class_has_a_name_and_goes_away_with_it(
    name: str, peer: str, monkeypatch: pytest.MonkeyPatch
):
    need(peer)
    trace, settings = trace_of(name), settings_of(name, peer)
    assert apart(ours(as_it_is(name, peer), trace, settings), theirs(name, peer), trace[0]) > OTHER
    widen(peer, name, monkeypatch)
    there = theirs(name, peer)
    mine = ours(as_the_peer_has_it(name, peer), trace, settings)
    if name == "lars":  # two changes: one for matrices, one for vectors
        flat = ours(changed(rules.lars, DIALECTS["lars", "pytorch_optimizer, vectors"]), trace, settings)
        mine = [[a if a.ndim > 1 else b for a, b in zip(*step, strict=True)] for step in zip(mine, flat, strict=True)]
    assert apart(mine, there, trace[0]) <= SAME
