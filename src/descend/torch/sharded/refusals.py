"""Which rules are refused on parts of a tensor, or on a share of the parameters, and in which words."""

import functools
from collections.abc import Iterable

import torch

from ...core.rule import Rule, chain
from ...core.trace import NotTraceable, trace
from ...rules import watching
from ..in_backward.norm import takes_totals
from ..step.owner import Owner
from . import parts

WORKS = (
    "Elementwise rules work there, as SGD, Adam, AdamW, Lion, RMSprop, Adagrad, NAdam, RAdam, Adan and Schedule-Free do"
)
NORM = "takes a norm, sum or mean over a whole tensor"
TOTAL = "takes a total over all parameters"
MATRIX = "works on whole matrices or their rows"


@functools.cache
def needs(rule: Rule) -> str:
    """What a rule must see beyond one element: "", ``NORM``, ``MATRIX`` or ``TOTAL``. Telemetry is no part of it."""
    if rule.stages:
        rule = chain(*(stage for stage in rule.stages if stage not in watching.STAGES))
    shapes = {slot.init.shape for slot in rule.slots}
    try:
        kinds = {node.value for node in trace(rule).nodes if node.op in ("total", "count")}
    except NotTraceable:
        return TOTAL if takes_totals(rule) else MATRIX
    if "all" in kinds | shapes:
        return TOTAL
    if shapes - {"element", "tensor"}:
        return MATRIX
    return NORM if kinds else ""


def share(optimizer: Owner) -> str:
    """Why this process does not see all parameters, or ""."""
    if optimizer._zero is not None and torch.distributed.get_world_size() > 1:
        return "ZeroRedundancyOptimizer gives each process a share of them"
    if any(map(parts.is_split, parts.members(optimizer))):
        return "this process holds parts of them"
    return ""


def refuse(kind: str, rule: Rule, name: str, split: bool, share: str) -> None:
    """Refuse a rule that would take a part for the whole.

    Args:
        kind: the class. rule: as it is for this tensor. name: of the tensor.
        split: whether other processes have elements of it. share: why this process does not see all parameters, or "".
    Raises:
        ValueError: the rule, what it needs, and what works.
    """
    need = needs(rule)
    if need == TOTAL and share:
        clips = any(stage.name == "clip_norm" for stage in rule.stages)
        hint = "; or, for clipping, give clip_norm= to the class, whose norm is of all processes" if clips else ""
        raise ValueError(f"{kind}: {rule.name} {need}, and {share}. {WORKS}{hint}")
    if need and split:
        whole = "keep the tensor whole (Replicate(), or ignored_params of fully_shard)"
        raise ValueError(f"{kind}: {rule.name} {need}, and this process holds a part of {name}. {WORKS}; or {whole}")


def refuse_flat(optimizer: Owner, clip: bool) -> None:
    """Refuse what would need to know which processes share FSDP1's flat parameters, which nobody says.

    Raises:
        ValueError: the option, and what does its work there.
    """
    options = optimizer._options
    asked = (
        ("clip_norm", "model.clip_grad_norm_(...) of FSDP before the step") if clip
        else ("nonfinite", "ShardedGradScaler, or fully_shard (FSDP2)") if options["nonfinite"] != "propagate"
        else ("telemetry", "fully_shard (FSDP2)") if options["telemetry"]
        else None
    )  # fmt: skip
    if asked:
        raise ValueError(
            f"{optimizer.spec.name}: {asked[0]}= would see one process's share of what FullyShardedDataParallel has "
            f"flattened: use {asked[1]}"
        )


def refuse_use(params: Iterable[torch.Tensor], use: str, instead: str) -> None:
    """Raises ValueError for a use that does not go with parameters of which other processes may hold parts."""
    held = list(params)
    if any(map(parts.shared, held)):
        kind = "DTensors" if any(map(parts.is_part, held)) else "parameters flattened by FullyShardedDataParallel"
        raise ValueError(f"{use} does not take {kind}: {instead}")
