"""Steps that a CUDA graph may record: they are counted on the device, and the host asks when it must know."""

from __future__ import annotations

from typing import Any

import torch


def wanted(plan: Any) -> bool:
    """Whether a group asks for ``capturable`` steps and the engine has them; other engines step as ever."""
    return plan.engine.name == "triton" and any(group.get("capturable") for group in plan.optimizer.param_groups)


def catch_up(plan: Any) -> None:
    """Count on the host what replayed graphs have counted on the device, which it waits for."""
    if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
        return  # nobody can ask now
    ahead = []
    for batch, counter in zip(plan.batches, plan.run.counters, strict=True):
        counts = counter.cpu().numpy()
        for count, row in zip(counts, batch.work.rows, strict=True):
            ahead.append(int(count) - row.t)
            row.t = int(count)
        batch.counted[:] = counts[batch.work.row_of] - 1
    plan.optimizer.steps += max(ahead, default=0)
