"""What this process holds of a tensor: all of it, or the part that a DTensor or FSDP1 has placed here."""

import sys
from collections.abc import Iterator
from typing import Any

import torch

from ..step.owner import Owner


def members(optimizer: Owner) -> Iterator[torch.Tensor]:
    """All parameters of an optimizer."""
    return (p for group in optimizer.param_groups for p in group["params"])


def names(optimizer: Owner) -> dict[int, str]:
    """id of every parameter -> what it is called in messages."""
    found = {}
    for i, group in enumerate(optimizer.param_groups):
        for k, p in enumerate(group["params"]):
            found[id(p)] = named(group, i, k)
    return found


def named(group: dict[str, Any], i: int, k: int) -> str:
    """What parameter ``k`` of group ``i`` is called in messages."""
    given = group.get("param_names")
    return f"{given[k]!r} (group {i}, parameter {k})" if given else f"parameter {k} of group {i}"


def is_part(value: Any) -> bool:
    """Whether it is a DTensor. There is none before torch's module of them has been imported."""
    kind = getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", None)
    return kind is not None and isinstance(value, kind)


def is_fake(value: Any) -> bool:
    """Whether it has a shape and no numbers, as tensors under FakeTensorMode."""
    kind = getattr(sys.modules.get("torch._subclasses.fake_tensor"), "FakeTensor", None)
    return kind is not None and isinstance(value, kind)


def part(value: Any) -> Any:
    """What stands here of a DTensor, sharing its memory; anything else as it is."""
    return value._local_tensor if is_part(value) else value


def mesh(value: Any) -> Any:
    """The mesh of a DTensor, else None."""
    return value.device_mesh if is_part(value) else None


def rejoined(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The DTensor that is placed like ``like`` and of which ``value``, whose memory it shares, stands here."""
    whole: Any = like
    return type(whole).from_local(
        value, whole.device_mesh, whole.placements, run_check=False, shape=whole.shape, stride=whole.stride()
    )


def placed_as(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """``value``, of which this is the part that stands here if ``like`` is a DTensor, in the form of ``like``."""
    return rejoined(value, like) if is_part(like) else value


def is_split(p: torch.Tensor) -> bool:
    """Whether the elements of a parameter stand in several processes."""
    if is_part(p):
        mesh: Any = p.device_mesh  # type: ignore[attr-defined]
        placed = enumerate(p.placements)  # type: ignore[attr-defined]
        return any(mesh.size(i) > 1 and not one.is_replicate() for i, one in placed)
    return flattened(p) and torch.distributed.get_world_size() > 1


def flattened(p: torch.Tensor) -> bool:
    """Whether FSDP1 has made it a piece of a flat tensor, with ``use_orig_params`` or without."""
    return "torch.distributed.fsdp" in sys.modules and getattr(p, "_fsdp_flattened", False)


def shared(p: torch.Tensor) -> bool:
    """Whether it may be known to other processes than this one."""
    return is_part(p) or (flattened(p) and torch.distributed.get_world_size() > 1)


def owned(p: torch.Tensor) -> bool:
    """Whether this process speaks for the elements of a DTensor that it holds: each of them has one that does."""
    at = p.device_mesh.get_coordinate()  # type: ignore[attr-defined]
    placed = p.placements  # type: ignore[attr-defined]
    return at is not None and not any(where and one.is_replicate() for where, one in zip(at, placed, strict=True))


def gradient(p: torch.Tensor, name: str) -> torch.Tensor:
    """What stands here of the gradient of a parameter, placed as the parameter is.

    A gradient that is placed otherwise, as one whose sum over the processes is pending, is placed anew: all take part.

    Raises:
        ValueError: it is no DTensor of the same mesh and shape, or the parameter itself is a sum that is pending.
    """
    g: Any = p.grad
    whole: Any = p
    if not is_part(p):
        return g
    if any(one.is_partial() for one in whole.placements):
        raise ValueError(f"{name} is a sum that is pending, placed {whole.placements}: redistribute() it first")
    if not is_part(g):
        raise ValueError(f"the gradient of {name} is a plain tensor, and the parameter a DTensor: distribute it alike")
    if g.shape != p.shape:
        raise ValueError(f"the gradient of {name}: expected shape {tuple(p.shape)}, got {tuple(g.shape)}")
    if g.device_mesh != whole.device_mesh:
        raise ValueError(f"the gradient of {name} is on {g.device_mesh}, the parameter on {whole.device_mesh}")
    if g.placements != whole.placements:
        g = g.redistribute(whole.device_mesh, whole.placements)
    local = g._local_tensor
    return local.wait() if hasattr(local, "wait") else local


def placed_like(value: torch.Tensor, p: torch.Tensor, what: str) -> torch.Tensor:
    """What stands here of a loaded state tensor of a DTensor: of a whole one, the part that belongs here.

    Raises:
        ValueError: it is placed on another mesh, or split while the parameter is whole.
    """
    if not is_part(p):
        if not is_part(value):
            return value
        if is_split(value):
            raise ValueError(
                f"{what}: a DTensor in parts, and the parameter is whole: load what "
                "get_optimizer_state_dict(..., options=StateDictOptions(full_state_dict=True)) gives, or through "
                "torch.distributed.checkpoint"
            )
        return part(value)
    if value.shape != p.shape:
        raise ValueError(f"{what}: expected shape {tuple(p.shape)}, got {tuple(value.shape)}")
    if not is_part(value):
        from torch.distributed.tensor import distribute_tensor

        whole: Any = p
        return part(distribute_tensor(value.detach(), whole.device_mesh, whole.placements, src_data_rank=None))
    return placed_alike(value, p, what)


def placed_alike(value: Any, p: Any, what: str) -> torch.Tensor:
    """What stands here of a DTensor, placed as the parameter is; where it is not so, all processes take part.

    Raises:
        ValueError: it is of another shape, or on another mesh.
    """
    if value.shape != p.shape:
        raise ValueError(f"{what}: expected shape {tuple(p.shape)}, got {tuple(value.shape)}")
    if value.device_mesh != p.device_mesh:
        raise ValueError(f"{what}: expected on {p.device_mesh}, got {value.device_mesh}")
    return part(value if value.placements == p.placements else value.redistribute(placements=p.placements))
