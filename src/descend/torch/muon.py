"""Muon's groups: matrices are orthogonalised, everything else is stepped by AdamW, as published."""

from __future__ import annotations

from typing import Any

import torch

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
    embeddings = {id(p) for m in model.modules() if isinstance(m, _EMBEDDINGS) for p in m.parameters()}
    groups: dict[bool, list[tuple[str, torch.nn.Parameter]]] = {False: [], True: []}
    lines = []
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
        why = f"  ({reason})" if reason else ""
        lines.append(f"{'AdamW' if reason else 'Muon':6} {tuple(p.shape)!s:18} {name}{why}")
    if show:
        print("\n".join(lines))
    made = [
        {"params": groups[False], "lr": lr, "adamw": False, **settings},
        {"params": groups[True], "lr": adamw_lr, "adamw": True, **settings},
    ]
    return [group for group in made if group["params"]]
