"""Steps per second: every rule against memory and against torch's forms of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from .. import rules
from .. import torch as ours
from ..core.emit import program
from .limit import stream
from .timing import interleaved, median, ratio, spread

WORKLOADS: dict[str, list[tuple[int, ...]]] = {
    "20M": [(20_000_000,)],
    "1000x1000": [(1000,)] * 1000,
    "mlp": [(64, 64), (64,), (10, 64), (10,)],  # the network of descend race
    "mlp-784": [(128, 784), (128,), (10, 128), (10,)],
}
# rule -> torch's class for it and the arguments that ask for it
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gradient_descent": ("SGD", {}),
    "momentum_accumulation": ("SGD", {"momentum": 0.9}),
    "momentum_dampened": ("SGD", {"momentum": 0.9, "dampening": 0.1}),
    "nesterov_accumulation": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop_centered": ("RMSprop", {"centered": True}),
    "rmsprop_momentum": ("RMSprop", {"momentum": 0.9}),
    "rmsprop_centered_momentum": ("RMSprop", {"centered": True, "momentum": 0.9}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
}
_FORMS = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}


@dataclass
class Line:
    """One rule on one workload. Times are medians; ``best`` is torch's fastest form, if torch has the rule.

    ``of_limit``: bytes per second, as a share of those of in-place streaming in the same run.
    """

    workload: str
    rule: str
    ns_per_param: float
    spread: float
    gb_per_s: float
    of_limit: float | None = None
    best: str | None = None
    speedup: float | None = None
    fused: float | None = None

    def record(self) -> dict[str, Any]:
        return asdict(self)


def _params(shapes: list[tuple[int, ...]]) -> list[torch.nn.Parameter]:
    made = []
    for shape in shapes:
        p = torch.nn.Parameter(torch.randn(shape))
        p.grad = torch.randn(shape)
        made.append(p)
    return made


def _forms(name: str, shapes: list[tuple[int, ...]]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """torch's forms of a rule that run here."""
    peer, arguments = PEERS[name]
    for form, hint in _FORMS.items():
        try:
            made = getattr(torch.optim, peer)(_params(shapes), **arguments, **hint)
        except TypeError:  # the class has no such form
            continue
        yield form, made.step


def _ours(name: str, shapes: list[tuple[int, ...]]) -> Any:
    if name in PEERS:
        peer, arguments = PEERS[name]
        return getattr(ours, peer)(_params(shapes), **arguments)
    return ours.optimizer(rules.all()[name])(_params(shapes))


def measure(workload: str, names: list[str], rounds: int, peers: bool = True) -> Iterator[Line]:
    """Every rule on a workload, in turns with the streaming limit of its own number of arrays and torch."""
    shapes = WORKLOADS[workload]
    count = sum(int(np.prod(shape)) for shape in shapes)
    one_tensor = len(shapes) == 1
    for name in names:
        optimizer = _ours(name, shapes)
        contestants: dict[str, Callable[[], Any]] = {"descend": optimizer.step}
        reads, writes = program(rules.all()[name]).moved
        if one_tensor:
            arrays = tuple(np.ones(count, np.float32) for _ in range(writes))
            contestants["limit"] = stream(arrays, np.ones(count, np.float32), torch.get_num_threads())
        if peers and name in PEERS:
            contestants |= _forms(name, shapes)
        times = interleaved(contestants, rounds)
        seconds = median(times["descend"])
        line = Line(
            workload,
            name,
            seconds / count * 1e9,
            spread(times["descend"]),
            (reads + writes) * 4 * count / seconds / 1e9,
        )
        if one_tensor:
            # of the bandwidth, since a rule with a norm reads arrays twice and others write fewer than they read
            line.of_limit = ratio(times, "descend", "limit") * (reads + writes) / (2 * writes + 1)
        forms = [form for form in times if form in _FORMS]
        if forms:
            line.best = min(forms, key=lambda form: median(times[form]))
            line.speedup = ratio(times, "descend", line.best)
            line.fused = ratio(times, "descend", "fused") if "fused" in forms else None
        yield line
