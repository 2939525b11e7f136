"""Hooks that sum up the second moments of what enters the layers of a model, and of the gradients by what leaves."""

import math
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .layers import Block, Found, batch_shape, entering, leaving


@dataclass
class Moments:
    """What one block has seen since the last step.

    Attributes:
        inward: Σ a aᵀ over the rows, (in, in), or the counts (in,) of an embedding. outward: Σ g gᵀ, (out, out).
        rows: how many. terms: backward pass -> of how many terms the loss is the mean there.
    """

    inward: Tensor | None = None
    outward: Tensor | None = None
    rows: int = 0
    terms: dict[int, int] = field(default_factory=dict)

    def add(self, inward: Tensor, outward: Tensor, rows: int, terms: int) -> None:
        self.inward = inward if self.inward is None else self.inward + inward
        self.outward = outward if self.outward is None else self.outward + outward
        self.rows += rows
        now = torch._C._current_graph_task_id()  # a layer called often in one pass sees the same terms each time
        self.terms[now] = max(terms, self.terms.get(now, 0))


class Recorder:
    """Sums up moments for the blocks of a model, for as long as its hooks are there.

    A layer is heard when it is in training mode, gradients are on, and a backward pass reaches its output.

    Attributes:
        moments: block -> what was seen. wanted: whether the next step asks for it.
        drawn: the moments are of gradients for targets drawn from the model, and the loss's own are left out.
        drawing: the number of terms while such a backward pass runs, else 0.
    """

    def __init__(self, found: Found, averaged_over: int) -> None:
        self.averaged_over = averaged_over
        self.moments: dict[Block, Moments] = {}
        self.wanted, self.drawn, self.drawing = True, False, 0
        self._blocks = found.layers
        self._by_weight: dict[nn.Parameter, list[Block]] = {}
        for block in found.blocks:
            self._by_weight.setdefault(block.weight, []).append(block)
        self._handles = [handle for layer in found.layers for handle in _listen(self, layer)]

    def forget(self) -> None:
        self.moments.clear()
        self.drawn = False

    def close(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def hears(self, layer: nn.Module) -> bool:
        return self.wanted and layer.training and torch.is_grad_enabled()

    def terms(self, layer: nn.Module, x: Tensor) -> int:
        return math.prod(batch_shape(layer, x)[: self.averaged_over])

    def follow(
        self, output: Tensor, weight: Tensor, x: Tensor, terms: int, layer: nn.Module, by_linear: bool = False
    ) -> None:
        """Sum up when a backward pass arrives at ``output``, of which ``weight`` made it out of ``x``."""
        if not output.requires_grad:
            return
        of = self._by_weight.get(weight if weight._base is None else weight._base, ())  # type: ignore[arg-type]
        first = int(weight.storage_offset()) // max(1, weight.stride(0)) if weight._base is not None else 0
        blocks = [b for b in of if first <= b.rows.start and b.rows.stop <= first + len(weight)] if by_linear else of
        x, me = x.detach(), weakref.ref(self)

        def arrives(g: Tensor) -> None:
            recorder = me()
            if recorder is not None and (recorder.drawing or not recorder.drawn):
                with torch.autocast(g.device.type, enabled=False):  # a backward pass inside one would round the sums
                    recorder._sum_up(blocks, first, x, g.detach(), recorder.drawing or terms, layer, by_linear)

        output.register_hook(arrives)

    def _sum_up(
        self, blocks: Any, first: int, x: Tensor, g: Tensor, terms: int, layer: nn.Module, by_linear: bool
    ) -> None:
        dtype = torch.float64 if g.dtype == torch.float64 else torch.float32
        embedding = isinstance(layer, nn.Embedding)
        out = (g.reshape(-1, g.shape[-1]) if by_linear else leaving(layer, g)).to(dtype)
        moments: dict[bool, Tensor] = {}  # with the column of a bias or without
        if embedding:
            index = x.reshape(-1)
            if layer.padding_idx is not None:  # whose row gets no gradient
                index, out = index[index != layer.padding_idx], out[index != layer.padding_idx]
            moments[False] = torch.bincount(index, minlength=layer.num_embeddings).to(dtype)
            rows = len(index)
        else:
            into = (x.reshape(-1, x.shape[-1]) if by_linear else entering(layer, x)).to(dtype)
            rows = len(into)
            for bias in {block.bias is not None for block in blocks}:
                a = torch.cat([into, into.new_ones(rows, 1)], dim=1) if bias else into
                moments[bias] = a.T @ a
        for block in blocks:
            part = out if embedding else out[:, block.rows.start - first : block.rows.stop - first]
            seen = self.moments.setdefault(block, Moments())
            seen.add(moments[block.bias is not None], part.T @ part, rows, terms)


# ------------------------------------------------------------ hooks


class Hook:
    """A hook of a module that knows its recorder weakly; in a copy of the module, or out of a pickle, it is deaf."""

    def __init__(self, recorder: Recorder, heard: Callable[..., Any]) -> None:
        self.recorder, self.heard = weakref.ref(recorder), heard

    def __call__(self, layer: nn.Module, *given: Any) -> None:
        recorder = self.recorder()
        if recorder is not None and recorder.hears(layer):
            self.heard(recorder, layer, *given)

    def __reduce__(self) -> Any:
        return _deaf, ()


def _nothing(*_: Any) -> None:
    """The hook of a copy."""


def _deaf() -> Callable[..., None]:
    return _nothing


def _listen(recorder: Recorder, layer: nn.Module) -> list[Any]:
    if not isinstance(layer, nn.MultiheadAttention):
        return [layer.register_forward_hook(Hook(recorder, _after), with_kwargs=True)]
    around = Attending()
    return [
        layer.register_forward_pre_hook(Hook(recorder, around.before), with_kwargs=True),
        layer.register_forward_hook(around.after, always_call=True),
    ]


def _after(recorder: Recorder, layer: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
    (x,) = (*args, *kwargs.values())
    weight: Any = layer.weight
    recorder.follow(output, weight, x, recorder.terms(layer, x), layer)


class Attending:
    """Follows the projections inside a MultiheadAttention, which calls functions and no layers.

    While its forward runs, a function mode gives the function it calls a ``linear`` that is heard.
    """

    def __init__(self) -> None:
        self._modes: list[TorchFunctionMode] = []

    def before(self, recorder: Recorder, layer: nn.Module, args: Any, kwargs: Any) -> None:
        terms = recorder.terms(layer, args[0] if args else kwargs["query"])

        def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
            output = nn.functional.linear(x, weight, bias)
            recorder.follow(output, weight, x, terms, layer, by_linear=True)
            return output

        self._modes.append(_Projections(linear))
        self._modes[-1].__enter__()

    def after(self, layer: nn.Module, *_: Any) -> None:
        if self._modes:
            self._modes.pop().__exit__(None, None, None)

    def __reduce__(self) -> Any:
        return Attending, ()


class _Projections(TorchFunctionMode):
    def __init__(self, linear: Callable[..., Tensor]) -> None:
        super().__init__()
        self._linear = linear

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        called = _with_linear(self._linear) if func is nn.functional.multi_head_attention_forward else func
        return called(*args, **(kwargs or {}))


def _with_linear(linear: Callable[..., Tensor]) -> Any:
    """torch's own function, on globals of its own: patching torch's would reach other threads."""
    own = {**vars(nn.functional), "linear": linear}
    for name in ("_in_projection_packed", "_in_projection", "multi_head_attention_forward"):
        theirs = getattr(nn.functional, name)
        own[name] = types.FunctionType(theirs.__code__, own, name, theirs.__defaults__, theirs.__closure__)
        own[name].__kwdefaults__ = theirs.__kwdefaults__
    return own["multi_head_attention_forward"]
