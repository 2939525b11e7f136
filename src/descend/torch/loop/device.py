"""A batch on another device, whatever it is made of."""

import copy
import dataclasses
from collections import UserDict
from typing import Any

import torch


def moved(batch: Any, device: torch.device | None) -> Any:
    """The batch with its tensors on a device.

    Containers and dataclasses keep their type and what else they hold, and nothing of the user's is written to. What
    has all its tensors there already comes back itself; what has a method `to` of its own is asked.
    """
    if device is None:
        return batch
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if callable(getattr(type(batch), "to", None)):  # of the class: a dictionary may answer for any attribute
        asked: Any = batch if isinstance(batch, tuple) else _twin(batch)  # some of these write to themselves
        return asked.to(device)
    if isinstance(batch, tuple | list):
        return _sequence(batch, [moved(item, device) for item in batch])
    if isinstance(batch, dict | UserDict):
        return _filled(batch, dict(batch.items()), device)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        return _with_fields(batch, device)
    return batch


def _sequence(batch: Any, items: list[Any]) -> Any:
    if all(new is old for new, old in zip(items, batch, strict=True)):
        return batch
    if type(batch) in (tuple, list):
        return type(batch)(items)
    if isinstance(batch, list):
        twin = copy.copy(batch)
        twin[:] = items
        return twin
    try:  # round the constructor of a subclass, which may ask for anything
        twin = tuple.__new__(type(batch), items)
    except TypeError:  # what torch.max and its like return
        return type(batch)(items)
    if hasattr(twin, "__dict__"):
        vars(twin).update(vars(batch))
    return twin


def _filled(batch: Any, held: dict[Any, Any], device: torch.device) -> Any:
    items = {key: moved(item, device) for key, item in held.items()}
    if all(items[key] is item for key, item in held.items()):
        return batch
    if type(batch) is dict:
        return items
    twin = copy.copy(batch)
    for key, item in items.items():
        twin[key] = item
    return twin


def _with_fields(batch: Any, device: torch.device) -> Any:
    present = {
        field.name: getattr(batch, field.name) for field in dataclasses.fields(batch) if hasattr(batch, field.name)
    }
    changed = {name: new for name, item in present.items() if (new := moved(item, device)) is not item}
    if not changed:
        return batch
    twin = copy.copy(batch)
    for name, item in changed.items():
        object.__setattr__(twin, name, item)  # also where it is frozen
    return twin


def _twin(batch: Any) -> Any:
    try:
        return copy.copy(batch)
    except Exception:  # what cannot be copied is asked itself
        return batch
