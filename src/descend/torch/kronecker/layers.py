"""Which weights have Kronecker factors: their layers by kind, their blocks, and why every other parameter has none."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..sharded.refusals import refuse_use


@dataclass(eq=False)
class Block:
    """A weight, or rows of one, and its bias: a matrix (out, in), whose last column the bias is.

    Attributes:
        name: of the weight, with what the rows are. kind: of the layer.
        rows: of the weight's first dimension. inward: of the matrix, with the column of the bias.
        embedding: the weight is the matrix transposed, and A is diagonal: what enters is one of its rows.
    """

    name: str
    kind: str
    weight: nn.Parameter
    bias: nn.Parameter | None
    rows: slice
    embedding: bool = False

    @property
    def outward(self) -> int:
        return self.weight.shape[1] if self.embedding else self.rows.stop - self.rows.start

    @property
    def inward(self) -> int:
        return len(self.weight) if self.embedding else self.weight[0].numel() + (self.bias is not None)

    @property
    def members(self) -> list[nn.Parameter]:
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def matrix(self, of: dict[nn.Parameter, Tensor]) -> Tensor:
        """What belongs to this block in the tensors of its parameters, (out, in)."""
        part = of[self.weight][self.rows].flatten(1)
        if self.embedding:
            return part.T
        return part if self.bias is None else torch.cat([part, of[self.bias][self.rows, None]], dim=1)

    def write(self, matrix: Tensor, into: dict[nn.Parameter, Tensor]) -> None:
        """The inverse of ``matrix``."""
        if self.embedding:
            into[self.weight].copy_(matrix.T)
            return
        part = into[self.weight][self.rows]
        if self.bias is not None:
            into[self.bias][self.rows] = matrix[:, -1]
            matrix = matrix[:, :-1]
        part.copy_(matrix.reshape(part.shape))


@dataclass
class Found:
    """What a model has.

    Attributes:
        blocks: of all weights. layers: layer -> the blocks of its weights.
        without: parameter -> why it has no factors; in the model's order. names: of all that can be trained.
    """

    blocks: list[Block] = field(default_factory=list)
    layers: dict[nn.Module, list[Block]] = field(default_factory=dict)
    without: dict[nn.Parameter, str] = field(default_factory=dict)
    names: dict[nn.Parameter, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Use:
    """A weight in a layer, or why it can have no factors there."""

    layer: nn.Module
    kind: str
    weight: Any
    bias: Any = None
    parts: tuple[str, ...] = ("",)  # the rows fall into as many blocks
    refused: str = ""


def find(model: nn.Module, skip: Sequence[str], max_size: int) -> Found:
    """The blocks of a model's trainable weights.

    Args:
        skip: regular expressions; layers whose name has a match get no factors.
        max_size: the most rows a factor may have.
    """
    found = Found()
    skipped = {m for name, m in model.named_modules() if any(re.search(one, name) for one in skip)}
    owners: dict[nn.Parameter, set[nn.Module]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        if p.requires_grad:
            found.names.setdefault(p, name)
            owners.setdefault(p, set()).add(model.get_submodule(name.rpartition(".")[0]))
    uses: dict[nn.Parameter, list[Use]] = {}
    for use in _uses(model):
        if isinstance(use.weight, nn.Parameter) and use.weight in found.names:
            uses.setdefault(use.weight, []).append(use)
    for weight, of in uses.items():
        bias, why = _bias(of, owners), _refusal(of, owners[weight], skipped)
        parts, height = of[0].parts, len(weight) // len(of[0].parts)
        made = [
            Block(f"{found.names[weight]}{part}", of[0].kind, weight, bias, slice(i * height, (i + 1) * height),
                  of[0].kind == "Embedding")
            for i, part in enumerate(parts)
        ]  # fmt: skip
        full = [one.outward for one in made] + [one.inward for one in made if not one.embedding]
        if not why and max(full) > max_size:
            why = f"a factor of {max(full)}×{max(full)} is above max_size={max_size}"
        if why:
            found.without[weight] = why
            continue
        found.blocks += made
        for use in of:
            found.layers.setdefault(use.layer, []).extend(made)
    factored = {p for block in found.blocks for p in block.members}
    for p in found.names:
        if p not in factored:
            kinds = " and ".join(sorted({type(m).__name__ for m in owners[p]}))
            why = found.without.pop(p, f"no factors for a parameter of {kinds}")
            found.without[p] = why
    return found


def _uses(model: nn.Module) -> Iterator[Use]:
    inside = {m.out_proj for m in model.modules() if isinstance(m, nn.MultiheadAttention)}  # whose hooks nobody calls
    for m in model.modules():
        if m in inside:
            continue
        own, kind = m._parameters, type(m).__name__
        if isinstance(m, nn.Linear) and type(m).forward is nn.Linear.forward:
            yield Use(m, "Linear", own.get("weight"), own.get("bias"))
        elif isinstance(m, nn.Conv2d) and type(m).forward is nn.Conv2d.forward:
            yield Use(m, "Conv2d", own.get("weight"), own.get("bias"), refused="groups > 1" * (m.groups > 1))
        elif isinstance(m, nn.Embedding) and type(m).forward is nn.Embedding.forward:
            flags = [flag for flag in ("sparse", "scale_grad_by_freq") if getattr(m, flag)]
            yield Use(m, "Embedding", own.get("weight"), refused=" and ".join(f"{flag}=True" for flag in flags))
        elif isinstance(m, nn.MultiheadAttention) and type(m).forward is nn.MultiheadAttention.forward:
            bias = own.get("in_proj_bias")
            yield Use(m, kind, own.get("in_proj_weight"), bias, ("[query]", "[key]", "[value]"))
            for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                yield Use(m, kind, own.get(name))  # their bias is one for all three
            yield Use(m, kind, m.out_proj._parameters.get("weight"), m.out_proj._parameters.get("bias"))


def _bias(uses: list[Use], owners: dict[nn.Parameter, set[nn.Module]]) -> nn.Parameter | None:
    """The bias that always goes with a weight, if it is trained."""
    bias = uses[0].bias
    if bias is None or bias not in owners or any(use.bias is not bias for use in uses):
        return None
    return bias if len(owners[bias]) == len(uses) else None


def _refusal(uses: list[Use], owners: set[nn.Module], skipped: set[nn.Module]) -> str:
    layers = {layer for use in uses for layer in (use.layer, getattr(use.layer, "out_proj", use.layer))}
    if layers & skipped:
        return "in skip_layers"
    for use in uses:
        if use.refused:
            return f"{use.kind} with {use.refused}"
    kinds = {use.kind for use in uses} | {type(m).__name__ for m in owners - layers}
    if len(kinds) > 1:
        return f"shared by {' and '.join(sorted(kinds))}"
    return "complex numbers" if uses[0].weight.is_complex() else ""


def check_model(model: Any) -> None:
    """Refuse by name what is no model, or one whose layers cannot be heard.

    Raises:
        TypeError, ValueError: no module, DataParallel, compiled, nothing to train, lazy layers, parts of tensors.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"KFAC takes a model, whose layers its factors belong to: KFAC(model); got {type(model).__name__}"
        )
    if isinstance(model, nn.DataParallel):
        raise ValueError("KFAC: DataParallel computes with copies of the layers, which nobody hears: take "
                         "DistributedDataParallel")  # fmt: skip
    inside = model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
    if isinstance(inside, torch._dynamo.eval_frame.OptimizedModule):
        raise ValueError("KFAC: compiled code calls no hooks: give the model that was compiled to KFAC, and train that")
    params = [p for p in model.parameters() if p.requires_grad]
    if not params:
        raise ValueError("KFAC: the model has no parameter that requires a gradient")
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in params):
        raise ValueError("KFAC: the model has lazy layers: run one forward pass first")
    refuse_use(params, "KFAC", "the factors would be of parts of a layer")


# ------------------------------------------------------------ what goes through a layer, as rows


def entering(layer: nn.Module, x: Tensor) -> Tensor:
    """The input of a Linear or Conv2d as rows (n, in): one for each position (Grosse & Martens 2016)."""
    if not isinstance(layer, nn.Conv2d):
        return x.reshape(-1, x.shape[-1])
    x = x if x.dim() == 4 else x[None]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    x = nn.functional.pad(x, layer._reversed_padding_repeated_twice, mode=mode)
    patches = nn.functional.unfold(x, layer.kernel_size, layer.dilation, 0, layer.stride)  # type: ignore[arg-type]
    return patches.transpose(1, 2).reshape(-1, patches.shape[1])


def leaving(layer: nn.Module, g: Tensor) -> Tensor:
    """The gradient by the output of a layer as rows (n, out), in the order of ``entering``."""
    if not isinstance(layer, nn.Conv2d):
        return g.reshape(-1, g.shape[-1])
    g = g if g.dim() == 4 else g[None]
    return g.flatten(2).transpose(1, 2).reshape(-1, g.shape[1])


def batch_shape(layer: nn.Module, x: Tensor) -> tuple[int, ...]:
    """The dimensions of a layer's input that are no features: the batch first, then positions."""
    if isinstance(layer, nn.Conv2d):
        return tuple(x.shape[:1]) if x.dim() == 4 else ()
    if isinstance(layer, nn.Embedding):
        return tuple(x.shape)
    shape = tuple(x.shape[:-1])
    if isinstance(layer, nn.MultiheadAttention):
        if len(shape) == 1:  # one sequence without a batch
            return (1, *shape)
        return shape if layer.batch_first else shape[::-1]
    return shape
