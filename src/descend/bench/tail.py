"""The tail of a training step: clip by global norm, AdamW, EMA of the weights; the global norm alone; telemetry."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .. import rules
from .. import torch as ours
from ..core.init import number
from ..core.ops import norm
from ..core.rule import Rule, chain, rule
from .peers import Call
from .speed import Bench, Cell
from .workloads import Tensors

DECAY = 0.999
_lerp: Any = torch._foreach_lerp_  # pyright: ignore[reportPrivateImportUsage]
TAIL: Rule = chain(rules.clip_norm(1.0), rules.adamw, rules.ema(DECAY))
# Bytes per parameter of torch's composition: the norm reads g; clipping reads and writes it; AdamW reads p, g and two
# moments and writes all but g; the average reads e and p and writes e.
TORCH_BYTES = 4 * (1 + 2 + 7 + 3)


@rule
def gradient_norm(p: Any, g: Any, length: Any = number) -> Any:
    """Global norm: a rule that only looks: the norm of all gradients."""
    length = norm(g, over="all")
    return p, length


def compositions(tensors: Tensors) -> Iterator[tuple[str, Call]]:
    """torch's ways to do the same: its fastest clipping and AdamW, with either average."""

    def lerp(parameters: list[torch.nn.Parameter]) -> Call:
        weights = [p.detach() for p in parameters]
        average = [p.clone() for p in weights]
        return lambda: _lerp(average, weights, 1 - DECAY)

    def averaged(parameters: list[torch.nn.Parameter]) -> Call:
        model = torch.nn.ParameterList(parameters)
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
        return lambda: average.update_parameters(model)

    def step(averaging: Callable[[list[torch.nn.Parameter]], Call]) -> Call:
        parameters = tensors.copies()
        adamw, average = torch.optim.AdamW(parameters, fused=True), averaging(parameters)

        @torch.no_grad()
        def call() -> None:
            torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
            adamw.step()
            average()

        return call

    yield "torch clip + fused + foreach lerp", step(lerp)
    yield "torch clip + fused + AveragedModel", step(averaged)


def tail(bench: Bench, workload: str = "20M", until: float | None = None) -> Cell:
    """Clip + AdamW + EMA as one rule, beside torch's compositions."""
    tensors, _ = bench.inputs(workload)
    mine = ours.optimizer(TAIL)(tensors.copies())
    return bench.cell(workload, TAIL.name, TAIL, mine, compositions(tensors), until)


def global_norm(bench: Bench, workload: str = "20M", until: float | None = None) -> Cell:
    """The norm of all gradients, beside reading them once and beside ``torch.nn.utils.get_total_norm``."""
    tensors, _ = bench.inputs(workload)
    mine = ours.optimizer(gradient_norm)(tensors.copies())
    grads = [g.clone() for _, g in tensors.pairs]
    peers = [("torch get_total_norm", lambda: torch.nn.utils.get_total_norm(grads, foreach=True))]
    return bench.cell(workload, gradient_norm.name, gradient_norm, mine, peers, until)


WATCHED = "adamw+telemetry"
UNWATCHED = ("without telemetry", "the same, made later")


def watched(bench: Bench, workload: str, until: float | None = None) -> Cell:
    """AdamW with telemetry, beside AdamW without.

    Where memory was asked for first, a step of 1000 tensors takes some 5 % longer, whoever asked: so there is an
    optimizer without telemetry whose memory comes before that of the one with it, and one whose memory comes after.
    """
    tensors, _ = bench.inputs(workload)
    sides = []
    for telemetry in (False, True, False):
        sides.append(ours.AdamW(tensors.copies(), telemetry=telemetry))
        sides[-1].step()  # makes its state
    before, mine, after = sides
    peers = zip(UNWATCHED, (before.step, after.step), strict=True)
    return bench.cell(workload, WATCHED, rules.adamw, mine, peers, until)
