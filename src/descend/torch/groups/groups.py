"""Parameter groups of a model: what decays and what does not, and how fast each part moves."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from ...core.nearest import did_you_mean
from ...core.settings import is_number
from .depth import ancestors, depths, is_norm
from .table import Groups

WORDS = ("bias", "norm", "embedding", "1d")
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


@dataclass
class _Leaf:
    """A parameter to be stepped, and what was decided for it."""

    name: str
    p: nn.Parameter
    owner: nn.Module
    base: int = 0
    spared: str = ""  # why it does not decay
    factor: float = 1.0  # of the learning rate
    why: tuple[str, ...] = ()


def param_groups(
    model: nn.Module,
    weight_decay: Any = None,
    *,
    no_decay: str | Iterable[str] | None = "bias+norm",
    lr: Any = None,
    lr_scale: Mapping[str, float] | None = None,
    layer_decay: float | None = None,
    depth: Callable[[str], int] | None = None,
    base: Sequence[Mapping[str, Any]] | None = None,
    show: bool | str = True,
    **settings: Any,
) -> list[dict[str, Any]]:
    """Parameter groups with names, for any class of ``descend.torch`` or ``torch.optim``.

    Frozen parameters are left out. A pattern is a glob in which ``*`` crosses dots; it matches a parameter by its
    full name, or by that of a module that holds it (``"head"``, ``"encoder.layer.*"``).

    Args:
        weight_decay: of what decays; a number, or a schedule where the class takes one. None: the class's own.
        no_decay: words joined by ``+``, or a list of words and patterns; what matches gets ``weight_decay=0``. The
            words: ``bias`` (parameters called so), ``norm`` (of normalisations), ``embedding``, ``1d`` (vectors and
            scalars). What ``model.no_weight_decay()`` names (a convention of timm) is spared too. None: nothing is
            said about what decays, as classes without ``weight_decay`` (Rprop, SparseAdam) need it.
        lr: the base rate, a number or a schedule; needed by the two below.
        lr_scale: pattern -> factor of ``lr``; the first pattern that matches counts.
        layer_decay: in (0, 1]; ``lr`` is multiplied by its k-th power, k layers below the deepest ones (Clark et al.
            2020, ELECTRA; Bao et al. 2021, BEiT). Layers are found by ``layer_depth.depths``.
        depth: name of a parameter -> its depth, where the order of modules does not say it.
        base: groups to divide further, such as ``muon_groups(model)``; each keeps its own settings, and its ``lr``.
        show: print a table of what went where, and why; ``"all"`` gives each parameter a row.
        settings: further keys of every group.
    Raises:
        TypeError: no module, a rate or a factor that is no number. ValueError: a model without trainable parameters,
            a pattern that matches none, a number out of its range, rates to scale and none given.
    """
    leaves, frozen = _leaves(model)
    groups = [dict(group) for group in base] if base is not None else [{}]
    if base is not None:
        leaves = _based(leaves, groups)
    _check_rates(lr, lr_scale, layer_decay, depth, groups)
    if no_decay is not None:
        _spare(model, leaves, no_decay, frozen)
    _scale(model, leaves, lr_scale or {}, layer_decay, depth, frozen)
    made: dict[tuple[int, bool, float], dict[str, Any]] = {}
    for leaf in leaves:
        key = (leaf.base, bool(leaf.spared), leaf.factor)
        if key not in made:
            kept = {k: v for k, v in groups[leaf.base].items() if k not in ("params", "param_names")}
            made[key] = {"params": [], **kept, **settings}
            rate = lr if lr is not None else kept.get("lr")
            if rate is not None:
                made[key]["lr"] = rate * leaf.factor if leaf.factor != 1 else rate
            if leaf.spared:
                made[key]["weight_decay"] = 0.0
            elif weight_decay is not None:
                made[key]["weight_decay"] = weight_decay
        made[key]["params"].append((leaf.name, leaf.p))
    result = Groups(made.values(), {leaf.name: (leaf.spared, leaf.why) for leaf in leaves}, frozen)
    if show:
        result.show(each=show == "all")
    return result


def _leaves(model: nn.Module) -> tuple[list[_Leaf], dict[str, str]]:
    """What can be trained; and name -> why not, of the rest."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"param_groups takes a torch.nn.Module, got {type(model).__name__}")
    owners = {
        f"{path}.{name}" if path else name: module
        for path, module in model.named_modules()
        for name in module._parameters
    }
    leaves, frozen = [], {}
    for name, p in model.named_parameters():
        if isinstance(p, nn.parameter.UninitializedParameter):
            raise ValueError(f"{name} has no shape yet: run one batch through the model first")
        if p.requires_grad:
            leaves.append(_Leaf(name, p, owners[name]))
        else:
            number = p.is_floating_point() or p.is_complex()
            frozen[name] = "frozen" if number else f"{str(p.dtype).removeprefix('torch.')}, cannot be trained"
    if not leaves:
        every = "every parameter of the model is frozen (requires_grad=False)" if frozen else "it has no parameters"
        raise ValueError(f"{type(model).__name__}: {every}: nothing to train")
    return leaves, frozen


def _based(leaves: list[_Leaf], groups: list[dict[str, Any]]) -> list[_Leaf]:
    """The leaves that the groups hold."""
    where: dict[int, int] = {}
    for i, group in enumerate(groups):
        held = group.get("params", ())
        for p in [held] if isinstance(held, torch.Tensor) else held:
            where[id(p[1] if isinstance(p, tuple) else p)] = i
    for leaf in leaves:
        leaf.base = where.pop(id(leaf.p), -1)
    if any(leaf.base < 0 for leaf in leaves):
        missing = ", ".join(leaf.name for leaf in leaves if leaf.base < 0)
        raise ValueError(f"base: its groups lack {missing:.200}")
    if where:
        raise ValueError(f"base: its groups hold {len(where)} tensors that are no trainable parameters of this model")
    return leaves


def _number(name: str, value: Any, low: float, high: float, words: str) -> float:
    if not is_number(value):
        raise TypeError(f"{name} must be {words}, got {value!r}")
    if not low <= float(value) <= high or not math.isfinite(float(value)):
        raise ValueError(f"{name} must be {words}, got {value!r}")
    return float(value)


def _check_rates(lr: Any, lr_scale: Any, layer_decay: Any, depth: Any, groups: list[dict[str, Any]]) -> None:
    if lr is not None and not callable(lr):
        _number("lr", lr, 0, math.inf, "a finite number, 0 or more, or a schedule")
    if lr_scale is not None and not isinstance(lr_scale, Mapping):
        raise TypeError(f"lr_scale must map patterns to factors, got {lr_scale!r}")
    for pattern, factor in (lr_scale or {}).items():
        _number(f"lr_scale[{pattern!r}]", factor, 0, math.inf, "a finite number, 0 or more")
    if layer_decay is not None and not _number("layer_decay", layer_decay, 0, 1, "a number above 0, at most 1"):
        raise ValueError("layer_decay must be a number above 0, at most 1, got 0")
    if depth is not None and layer_decay is None:
        raise ValueError("depth needs layer_decay=, the factor from one layer to the next")
    asks = "lr_scale" if lr_scale else "layer_decay" if layer_decay is not None else ""
    if asks and lr is None and not all("lr" in group for group in groups):
        raise ValueError(f"{asks} needs lr=, the rate that it scales")
    if lr is not None and any("lr" in group for group in groups):
        raise ValueError("the groups of base have an lr of their own: leave lr= out")


def _spare(model: nn.Module, leaves: list[_Leaf], no_decay: str | Iterable[str], frozen: Mapping[str, str]) -> None:
    asked = [word.strip() for word in no_decay.split("+")] if isinstance(no_decay, str) else list(no_decay)
    asked = [word for word in asked if word]
    for word in asked:
        if not isinstance(word, str):
            raise TypeError(f"no_decay takes words and patterns, got {word!r}")
        if word not in WORDS:
            _matching("no_decay", word, leaves, frozen)
    named = getattr(model, "no_weight_decay", None)
    own = set(named()) if callable(named) else set()  # type: ignore[call-overload]
    for leaf in leaves:
        for word in asked:
            if _is(word, leaf):
                leaf.spared = {"1d": "fewer than two dimensions"}.get(word, word)
                break
        else:
            if leaf.name in own or getattr(leaf.p, "_no_weight_decay", False):
                leaf.spared = "the model says so"


def _is(word: str, leaf: _Leaf) -> bool:
    if word == "bias":
        last = leaf.name.rpartition(".")[2]
        return last == "bias" or last.startswith("bias_") or last.endswith("_bias")
    if word == "norm":
        return is_norm(leaf.owner)
    if word == "embedding":
        return isinstance(leaf.owner, _EMBEDDINGS)
    if word == "1d":
        return leaf.p.dim() < 2
    return _matches(word, leaf.name)


def _matches(pattern: str, name: str) -> bool:
    return any(fnmatchcase(part, pattern) for part in ancestors(name))


def _matching(argument: str, pattern: str, leaves: list[_Leaf], frozen: Mapping[str, str]) -> list[_Leaf]:
    """Raises: ValueError: the pattern matches nothing that is trained."""
    found = [leaf for leaf in leaves if _matches(pattern, leaf.name)]
    if found:
        return found
    if still := [name for name in frozen if _matches(pattern, name)]:
        raise ValueError(f"{argument}: the pattern {pattern!r} matches only frozen parameters ({still[0]})")
    known = list(dict.fromkeys(part for leaf in leaves for part in ancestors(leaf.name)))
    if argument == "no_decay":
        known += WORDS
    hint = did_you_mean(pattern, [*known, *(f"{part}.*" for part in known)])
    first = "" if hint else f" The first names are {', '.join(known[:4])}."
    raise ValueError(f"{argument}: the pattern {pattern!r} matches no parameter.{hint}{first}")


def _scale(
    model: nn.Module, leaves: list[_Leaf], lr_scale: Mapping[str, float], layer_decay: float | None,
    depth: Callable[[str], int] | None, frozen: Mapping[str, str],
) -> None:  # fmt: skip
    taken: set[str] = set()
    for pattern, factor in lr_scale.items():
        fresh = [leaf for leaf in _matching("lr_scale", pattern, leaves, frozen) if leaf.name not in taken]
        if not fresh:
            raise ValueError(f"lr_scale: earlier patterns match all that {pattern!r} does; put it before them")
        for leaf in fresh:
            taken.add(leaf.name)
            leaf.factor, leaf.why = float(factor), (f"lr × {factor:g} by {pattern!r}",)
    if layer_decay is None:
        return
    found = depths(model) if depth is None else {name: depth(name) for name, _ in model.named_parameters()}
    deepest = max(found.values())
    for leaf in leaves:
        leaf.factor *= float(layer_decay) ** (deepest - found[leaf.name])
        leaf.why = (*leaf.why, f"depth {found[leaf.name]} of {deepest}")
