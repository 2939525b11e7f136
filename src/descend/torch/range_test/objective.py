"""From a batch of any form to one loss: whose turn it is to call what, and what is refused."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

Loss = Callable[[Any], torch.Tensor]


def objective(model: Any, loss_fn: Callable[..., Any] | None) -> Loss:
    """A function of a batch that returns its scalar loss.

    * ``loss_fn=None``: the model returns its loss: a scalar, or something with a ``loss`` (attribute or key), or a
      tuple that begins with it. A dictionary goes in by keywords, a tuple or list by position; what only derives from
      these two (a named tuple, a packed sequence) is one argument.
    * ``loss_fn(model, batch)``: a function whose first parameter is called ``model``; any batch.
    * ``loss_fn(output, target)``: the batch is a pair (input, target); the input may again be a dictionary, tuple or
      list.
    """
    if loss_fn is not None and not callable(loss_fn):
        raise TypeError(f"loss_fn must be callable or None, got {loss_fn!r}")
    if not callable(model) and (loss_fn is None or not _takes_model(loss_fn)):
        raise TypeError(f"model must be a module or a function of the input, got {model!r:.60}")
    if loss_fn is None:
        return lambda batch: checked(_own_loss(_apply(model, batch)))
    if _takes_model(loss_fn):
        return lambda batch: checked(loss_fn(model, batch))

    def of_pair(batch: Any) -> torch.Tensor:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            shown = f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, tuple | list) else "")
            raise TypeError(
                f"loss_fn(output, target) needs batches that are pairs (input, target), got {shown}; for other "
                "batches write loss_fn(model, batch), with a first parameter of that name"
            )
        return checked(loss_fn(_apply(model, batch[0]), batch[1]))

    return of_pair


def _takes_model(loss_fn: Callable[..., Any]) -> bool:
    try:
        return next(iter(inspect.signature(loss_fn).parameters), "") == "model"
    except (TypeError, ValueError):  # a builtin has no signature
        return False


def _apply(model: Any, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if type(inputs) in (tuple, list):
        return model(*inputs)
    return model(inputs)


def _own_loss(output: Any) -> Any:
    if isinstance(output, dict) and "loss" in output:
        return output["loss"]
    if (loss := getattr(output, "loss", None)) is not None:
        return loss
    if isinstance(output, tuple | list) and output:
        return output[0]
    return output


def checked(loss: Any) -> torch.Tensor:
    """The loss, if it is one number.

    Raises:
        TypeError: it is no tensor. ValueError: it has a shape, or is complex.
    """
    if not isinstance(loss, torch.Tensor):
        raise TypeError(f"the loss must be a tensor with one number, got {type(loss).__name__}: {loss!r:.60}")
    if loss.numel() != 1:
        raise ValueError(f"the loss must be one number, got shape {tuple(loss.shape)}: take its mean, loss.mean()")
    if loss.is_complex():
        raise ValueError("the loss must be real, got a complex number")
    return loss.reshape(())


def check_first_loss(loss: torch.Tensor) -> None:
    """Refuse a first loss from which no range test can start.

    Raises:
        ValueError: it is not finite, or hangs on no parameter.
    """
    value = float(loss.detach())
    if not math.isfinite(value):
        raise ValueError(
            f"the loss is {value} at the starting point, before any step: look at the model's parameters and the "
            "first batch; no learning rate can help"
        )
    if not loss.requires_grad:
        raise ValueError("the loss depends on no parameter: was it computed under no_grad, or detached?")


def check_first_gradients(params: list[torch.nn.Parameter]) -> None:
    """Refuse a loss whose gradient reaches none of these parameters.

    Raises:
        ValueError: that.
    """
    if all(p.grad is None for p in params):
        raise ValueError("the loss depends on none of the optimizer's parameters: was it made for another model?")
