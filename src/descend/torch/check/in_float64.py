"""Evaluate a loss in float64, whatever it was written in."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_LOW = (torch.float32, torch.float16, torch.bfloat16)
_CASTS = ("float", "half", "bfloat16")


class InFloat64(TorchFunctionMode):
    """Inside, every torch function gets its real tensors of lower precision as float64, and makes none itself.

    The data and the buffers of a float32 model need no conversion; its parameters do. A buffer that a function would
    write to (running statistics) stays as it is: the function gets a copy.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in _CASTS and args and isinstance(args[0], torch.Tensor):
            return args[0].double()
        if name in ("__get__", "__set__"):
            if func == torch.Tensor.dtype.__get__:  # type: ignore[attr-defined] - modules compare dtypes
                return _widened(func(*args))
            return func(*args, **(kwargs or {}))
        return func(*_widened(args), **_widened(kwargs or {}))


def _widened(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype in _LOW and type(value) in (torch.Tensor, torch.nn.Parameter) else value
    if isinstance(value, torch.dtype):
        return torch.float64 if value in _LOW else value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_widened, value))
    if isinstance(value, tuple | list):
        return type(value)(map(_widened, value))
    if isinstance(value, Mapping):
        return {key: _widened(item) for key, item in value.items()}
    return value
