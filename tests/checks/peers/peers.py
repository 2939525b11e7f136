"""Peers of test time: what their classes compute in 100 steps, called as ``descend list --compare`` says."""

import ast
import importlib
import importlib.util
import inspect
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from descend import chain, rules
from descend.checks.traces import Tensors, gradients, oracle, shapes_for
from descend.core.rule import Rule
from descend.explain.compare import entry, names

STEPS = 100
CURVATURE = 0.7  # the estimate of the Hessian that every Sophia is fed
CLASSES = ("torch", "pytorch_optimizer", "schedulefree")  # peers whose rules are torch.optim.Optimizer classes
SAME = 1e-12  # float64
OTHER = 1e-9  # no rounding comes to this

# Values at which no term is zero or hides behind another, and a trace sees both sides of every threshold.
VALUES = {
    "alpha": 0.9, "begin": 5, "beta": 0.8, "beta1": 0.8, "beta2": 0.95, "beta2_decay": -0.8, "beta3": 0.9,
    "clip_threshold": 0.8, "clipping": 0.5, "d": 1.1, "d0": 0.1, "dampening": 0.2, "decay": 0.9, "eps": 1e-3,
    "eps1": 1e-4, "eps2": 1e-3, "eta_minus": 0.5, "eta_plus": 1.2, "gamma": 0.1, "initial_accumulator": 1e-2,
    "initial_accumulator_value": 0.1, "k": 3, "l1": 0.1, "l2": 0.1, "lambd": 1e-2, "lr": 0.02, "lr_decay": 0.1,
    "max_norm": 1.0, "max_value": 0.5, "momentum": 0.8, "momentum_decay": 0.3, "nu": 0.6,
    "precondition_frequency": 3, "r_eps": 0.03, "reps_rel": 0.03, "rho": 0.7, "shampoo_beta": 0.9,
    "smoothing": 0.7, "step_max": 0.5, "step_min": 1e-3, "t0": 8, "trust_coefficient": 0.1, "warmup_steps": 5,
    "weight_decay": 0.1,
}  # fmt: skip
# Rules for vectors alone: of an empty one torch's Adafactor takes the mean, and optax's norm of a unit wants an axis.
# Adam with epsilon-hat is torch's SparseAdam, which wants rows.
SHAPES_OF = {
    "adafactor_vector": ((7,), (5,)),
    "came_vector": ((7,), (5,)),
    "adaptive_clip_vector": ((7,), (5,)),
    "adam_epsilon_hat": ((7,), (4, 3)),
}
# What a peer has as a constant where the rule has a setting.
FIXED = {
    # optax counts the warm-up in float32: these numbers have no more digits than that.
    ("schedule_free_sgd", "optax"): {"warmup_steps": 4, "lr": 2.0**-6},
    ("schedule_free_adamw", "optax"): {"warmup_steps": 4, "lr": 2.0**-6},
    ("yogi", "optax"): {"initial_accumulator": 1e-6},
    ("adafactor", "optax"): {"eps2": 1e-3},
    ("adafactor_vector", "optax"): {"eps2": 1e-3},
    ("adafactor", "pytorch_optimizer"): {"lr": 1e-2},
    ("adafactor_vector", "pytorch_optimizer"): {"lr": 1e-2},
    ("muon", "pytorch_optimizer"): {"eps": 1e-7},
    ("muon_polar_express", "pytorch_optimizer"): {"eps": 1e-7},
}
# Probed with random numbers: test_psgd.py gives the peer ours.
PROBED = {("psgd_kron", "pytorch_optimizer")}
# Settings that a peer lacks and that its numbers show nothing of.
ABSENT = {("nadam", "optax"): {"momentum_decay"}, ("nadamw", "optax"): {"momentum_decay"}}


def need(peer: str) -> None:
    """Skip the test without the peer; CI must have it."""
    if importlib.util.find_spec(peer) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{peer} is not installed, and CI compares with it")
        pytest.skip(f"{peer} is not installed")


def differs(name: str, peer: str) -> bool:
    return bool(entry(name)[peer]["differs"])


def pairs(peer: str, kind: str = "rule") -> list[str]:
    """The rules, or modifiers of the gradient, that a peer has."""
    known = {**rules.all(), **rules.modifiers()}
    return [name for name in names() if peer in entry(name) and known[name].kind == kind]


def whole(name: str) -> Rule:
    """The rule of that name; a modifier before or after gradient descent."""
    found = {**rules.all(), **rules.modifiers()}[name]
    if found.kind == "before":
        return chain(found, rules.gradient_descent)
    return chain(rules.gradient_descent, found) if found.kind == "after" else found


def settings_of(name: str, peer: str) -> dict[str, float]:
    values = {**VALUES, **FIXED.get((name, peer), {})}
    if tuned(name):
        values["lr"] = 0.7  # a factor of the estimate
    return {key: values[key] for key in whole(name).settings}


def tuned(name: str) -> bool:
    return rules.family_of(name) == "tuned"


def trace_of(name: str) -> tuple[Tensors, list[Tensors]]:
    """Start and gradients for a rule: those of its reference checks, longer.

    A rule that estimates a distance gets a constant pull on top, or its estimate would stay where it begins.
    SOAP gets no holes: on singular matrices its basis is whatever the eigensolver returns.
    """
    shapes = SHAPES_OF.get(name) or shapes_for({**rules.all(), **rules.modifiers()}[name])
    start, grads = gradients(shapes, STEPS, holes=name != "soap")
    if tuned(name):
        grads = [[g + 20 * np.cos(np.arange(g.size)).reshape(g.shape) for g in step] for step in grads]
    return start, grads


def ours(
    rule: Rule, trace: tuple[Tensors, list[Tensors]], settings: dict[str, float], shipped: str = "p"
) -> list[Tensors]:
    """The parameters, or the state of that name, after each step of the oracle."""
    return [state[shipped] for state in oracle(rule, *trace, settings)]


def apart(mine: list[Tensors], theirs: list[Tensors], start: Tensors) -> float:
    """The largest difference at any step, relative to how far the parameters went.

    Raises:
        AssertionError: nothing moved, or the shapes differ, so that nothing was compared.
    """
    assert len(mine) == len(theirs) == STEPS
    moved = max(np.abs(a - b).max() for a, b in zip(mine[-1], start, strict=True) if a.size)
    assert np.isfinite(moved)
    assert moved > 1e-2, moved
    worst = 0.0
    for x, y in zip(mine, theirs, strict=True):
        for a, b in zip(x, y, strict=True):
            assert a.shape == b.shape
            gap = np.abs(a - b).max(initial=0.0)
            worst = max(worst, float(gap) if np.isfinite(gap) else np.inf)
    return worst / max(1.0, moved)


def found(peer: str, name: str) -> Any:
    """What a dotted name of the data means in a package."""
    thing: Any = importlib.import_module(peer)
    for part in name.split("."):
        if inspect.ismodule(thing) and not hasattr(thing, part):
            thing = importlib.import_module(f"{thing.__name__}.{part}")
        else:
            thing = getattr(thing, part)
    return thing


def arguments(peer: str, call: str, name: str, settings: dict[str, float]) -> tuple[Any, dict[str, Any]]:
    """The function or class a call of the data names, and its arguments: those written, and settings of the same name.

    Raises:
        AssertionError: a setting of the rule that the peer is not given.
    """
    node = ast.parse(call, mode="eval").body
    written = {k.arg: ast.unparse(k.value) for k in node.keywords} if isinstance(node, ast.Call) else {}
    function = found(peer, ast.unparse(node.func if isinstance(node, ast.Call) else node))
    given = {key: eval(value, {}, dict(settings)) for key, value in written.items()}
    used = {n.id for value in written.values() for n in ast.walk(ast.parse(value)) if isinstance(n, ast.Name)}
    left = {key: value for key, value in settings.items() if key not in used}
    takes = inspect.signature(function).parameters
    if "betas" in takes and "betas" not in given:
        given["betas"] = tuple(left.pop(b) for b in ("beta1", "beta2", "beta3") if b in left)
    optax = {"lr": "learning_rate", "beta1": "b1", "beta2": "b2", "beta3": "b3"} if peer == "optax" else {}
    for key, value in left.items():
        same = optax.get(key, key)
        known = same in takes or key in FIXED.get((name, peer), {}) or key in ABSENT.get((name, peer), ())
        assert known, f"{peer} {call} has no {key}"
        if same in takes:
            given.setdefault(same, int(value) if key == "warmup_steps" else value)
    if "weight_decay" in takes:
        given.setdefault("weight_decay", 0.0)  # a default that the rule has no setting for
    return function, given


def rowwise(g: np.ndarray) -> torch.Tensor:
    """A sparse gradient in which every row is present."""
    return torch.sparse_coo_tensor(torch.arange(len(g))[None], g, check_invariants=True)


def stepped(
    peer: str, call: str, name: str, settings: dict[str, float], trace: tuple[Tensors, list[Tensors]], **more: Any
) -> Iterator[Tensors]:
    """Parameters after each step of a peer's torch class."""
    start, grads = trace
    function, given = arguments(peer, call, name, settings)
    parameters = [torch.nn.Parameter(torch.tensor(x)) for x in start]
    groups = (
        [{"params": parameters, "use_muon": True}] if "adamw_lr" in inspect.signature(function).parameters else None
    )
    optimizer = function(groups or parameters, **{**given, **more})
    if hasattr(optimizer, "train"):
        optimizer.train()
    sparse = call == "optim.SparseAdam"
    fed = {"hessian": [torch.full_like(p, CURVATURE) for p in parameters]} if name == "sophia" else {}
    for step in grads:
        for p, g in zip(parameters, step, strict=True):
            p.grad = rowwise(g) if sparse else torch.tensor(g)
        optimizer.step(**fed)
        yield [p.detach().numpy().copy() for p in parameters]
