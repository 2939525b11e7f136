"""Sums over processes: the same bits in all of them, and in every run."""

from typing import Any, Self

import numpy as np
import torch
import torch.distributed as dist


class Ranks:
    """The processes of some groups, one after the other: the dimensions of a mesh, or one process group."""

    def __init__(self, groups: list[Any], device: torch.device) -> None:
        self.groups, self.device = [group for group in groups if dist.get_world_size(group) > 1], device

    @classmethod
    def of_mesh(cls, mesh: Any) -> Self:
        """All processes of a mesh; none for a process that stands outside it."""
        inside = mesh.get_coordinate() is not None
        groups = [mesh.get_group(i) for i in range(mesh.ndim)] if inside else []
        return cls(groups, _device(mesh.device_type))

    @classmethod
    def of_group(cls, group: Any, device: torch.device) -> Self:
        return cls([group], _device(device.type))

    def sum(self, numbers: np.ndarray) -> np.ndarray:
        """The sum of float64 numbers over all processes, added in the order of the ranks.

        An all-reduce leaves the order to the backend: here every process adds the same numbers in the same order.
        """
        for group in self.groups:
            mine = torch.from_numpy(np.ascontiguousarray(numbers)).to(self.device)
            found = [torch.empty_like(mine) for _ in range(dist.get_world_size(group))]
            dist.all_gather(found, mine, group=group)
            rows = [one.cpu().numpy() for one in found]
            numbers = sum(rows[1:], rows[0].copy())
        return numbers


def _device(kind: str) -> torch.device:
    """Where numbers must lie to be sent between devices of a kind."""
    if kind == "cpu":
        return torch.device("cpu")
    return torch.device(kind, torch.get_device_module(kind).current_device())
