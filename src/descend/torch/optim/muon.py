"""Muon's arguments and groups: matrices are orthogonalised, everything else is stepped by AdamW, as published."""

from collections.abc import Mapping
from typing import Any

import torch

from ... import rules
from ...core.rule import Rule
from ...rules.matrix import JORDAN, muon_variant

COEFFICIENTS = JORDAN[0]


def choose(group: Mapping[str, Any]) -> Rule:
    """The rule of a group of ``descend.torch.Muon``."""
    if group["adamw"]:
        return rules.adamw
    if group["polar_express"]:
        return rules.muon_polar_express
    coefficients = tuple(map(float, group["ns_coefficients"]))
    adjust = group["adjust_lr_fn"] or "original"
    return muon_variant((coefficients,) * int(group["ns_steps"]), bool(group["nesterov"]), adjust)  # type: ignore[arg-type]


def _coefficients(value: Any) -> None:
    if not isinstance(value, tuple | list) or len(value) != 3:
        raise ValueError(f"ns_coefficients must be a tuple of exactly 3 numbers, got {value!r}")


def _steps(value: Any) -> None:
    if not isinstance(value, int) or not 0 <= value < 100:
        raise ValueError(f"ns_steps must be a number of steps below 100, got {value!r}")


def _adjust(value: Any) -> None:
    if value not in (None, "original", "match_rms_adamw"):
        raise ValueError(
            f"Adjust learning rate function {value} is not supported: adjust_lr_fn is 'original' or 'match_rms_adamw'"
        )


CHOSEN = {"ns_coefficients": _coefficients, "ns_steps": _steps, "adjust_lr_fn": _adjust}

_EMBEDDINGS = (torch.nn.Embedding, torch.nn.EmbeddingBag)
_HEADS = ("lm_head", "head", "classifier", "fc_out", "output")


def muon_groups(
    model: torch.nn.Module, lr: float = 0.02, adamw_lr: float = 3e-4, show: bool = True, **settings: Any
) -> list[dict[str, Any]]:
    """Two parameter groups of ``model`` for ``descend.torch.Muon``, with names.

    To Muon go weights with two or more dimensions (convolutions are flattened to their first dimension × the
    rest); to AdamW go vectors, scalars, embeddings and a last layer that is called a head or classifier.

    Args:
        lr: of Muon. adamw_lr: of the others. show: print a table of what went where, and why.
        settings: further keys of both groups.
    """
    from ..groups.table import Groups  # which loads rich

    embeddings = {id(p) for m in model.modules() if isinstance(m, _EMBEDDINGS) for p in m.parameters()}
    groups: dict[bool, list[tuple[str, torch.nn.Parameter]]] = {False: [], True: []}
    why = {}
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        owner = name.rpartition(".")[0].rpartition(".")[2]
        reason = (
            "fewer than two dimensions" if p.dim() < 2
            else "embedding" if id(p) in embeddings
            else "head" if owner in _HEADS
            else ""
        )  # fmt: skip
        groups[bool(reason)].append((name, p))
        why[name] = ("", (f"{reason}: AdamW" if reason else "Muon",))
    made = [
        {"params": groups[False], "lr": lr, "adamw": False, **settings},
        {"params": groups[True], "lr": adamw_lr, "adamw": True, **settings},
    ]
    result = Groups((group for group in made if group["params"]), why, {})
    if show:
        result.show(each=True)
    return result
