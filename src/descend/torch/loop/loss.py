"""From a batch of any form to one loss: whose turn it is to call what, and what is refused."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

Loss = Callable[[Any], torch.Tensor]


FORMS = ("model, batch", "output, target")
"""What a loss function may take, as ``form`` says it."""
_MODELS = {"model", "net", "network", "module", "m"}
_OUTPUTS = {"output", "outputs", "out", "pred", "preds", "prediction", "predictions", "logits", "input", "y_hat"}


def objective(model: Any, loss_fn: Callable[..., Any] | None, form: str | None = None) -> Loss:
    """A function of a batch that returns its scalar loss.

    * ``loss_fn=None``: the model returns its loss: a scalar, or something with a ``loss`` (attribute or key), or a
      tuple that begins with it. A dictionary goes in by keywords, a tuple or list by position; what only derives from
      these two (a named tuple, a packed sequence) is one argument.
    * ``form="model, batch"``: ``loss_fn(model, batch)``; any batch.
    * ``form="output, target"``: ``loss_fn(output, target)``; the batch is a pair (input, target). The input may again
      be a dictionary, tuple or list.
    * ``form=None``: the names of the first two parameters say it: ``(model, …)``, ``(net, …)``, ``(m, …)`` or
      ``(…, batch)`` take the model, all others the output. Where that guess fails, the message says that it was one.
    """
    if loss_fn is not None and not callable(loss_fn):
        raise TypeError(f"loss_fn must be callable or None, got {loss_fn!r}")
    if isinstance(loss_fn, type):
        raise TypeError(f"loss_fn is the class {loss_fn.__name__}: give what it makes, {loss_fn.__name__}()")
    if form is not None and form not in FORMS:
        raise ValueError(f"form must be {' or '.join(map(repr, FORMS))}, what loss_fn takes; got {form!r}")
    if form is not None and loss_fn is None:
        raise ValueError(f"form={form!r} says what loss_fn takes, and there is no loss_fn")
    names = [] if loss_fn is None else _names(loss_fn)
    takes_model = form == FORMS[0] if form else _seems_to_take_model(names)
    if not callable(model) and (loss_fn is None or not takes_model):
        raise TypeError(f"model must be a module or a function of the input, got {model!r:.60}")
    if loss_fn is None:
        return lambda batch: checked(_own_loss(_whole_batch(model, batch)))

    def of_pair(batch: Any) -> Any:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            shown = f"a {type(batch).__name__}" + (f" of {len(batch)}" if isinstance(batch, tuple | list) else "")
            raise TypeError(
                f"loss_fn(output, target) needs batches that are pairs (input, target), got {shown}; if it takes the "
                f"model and any batch, say form={FORMS[0]!r}"
            )
        output = _apply(model, batch[0])
        return _called(loss_fn, output, batch[1], guess)

    guess = None if form else (FORMS[0] if takes_model else FORMS[1], names)
    if takes_model:
        return lambda batch: checked(_called(loss_fn, model, batch, guess))
    return lambda batch: checked(of_pair(batch))


def _called(loss_fn: Callable[..., Any], first: Any, second: Any, guess: tuple[str, list[str]] | None) -> Any:
    """``loss_fn(first, second)``.

    Raises:
        TypeError: it failed as it would if the guess about its form were wrong; the message says how to say it.
    """
    try:
        return loss_fn(first, second)
    except (TypeError, AttributeError) as error:
        if guess is None:
            raise
        form, names = guess
        other = next(x for x in FORMS if x != form)
        raise TypeError(
            f"loss_fn was called as loss_fn({form}), which was guessed from its parameters ({', '.join(names)}), and "
            f"failed: {error}. If it takes ({other}), say form={other!r}"
        ) from error


def _names(loss_fn: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(loss_fn).parameters)
    except (TypeError, ValueError):  # a builtin has no signature
        return []


def _seems_to_take_model(names: list[str]) -> bool:
    first, second = (*names, "", "")[:2]
    return first in _MODELS or (second == "batch" and first not in _OUTPUTS)


def _apply(model: Any, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if type(inputs) in (tuple, list):
        return model(*inputs)
    return model(inputs)


def _whole_batch(model: Any, batch: Any) -> Any:
    """Raises TypeError: the model does not take it; the message says why it was asked to."""
    try:
        return _apply(model, batch)
    except TypeError as error:
        raise TypeError(
            f"without a loss_fn the model takes the whole batch and returns its loss, and that failed: {error}"
        ) from error


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
