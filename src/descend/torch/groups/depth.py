"""How deep in a model each parameter lies, read off the order of its modules."""

from collections.abc import Iterator

from torch import nn

_LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def is_norm(module: nn.Module) -> bool:
    """A normalisation, of torch or of a library: the name of its class says so, or that of a parent class."""
    return any("norm" in kind.__name__.lower() for kind in type(module).__mro__[:-2])


def depths(model: nn.Module) -> dict[str, int]:
    """Name of each parameter -> its depth, 0 for what stands before the first block.

    A *block* is an element, itself made of modules, of a ``ModuleList``, ``Sequential`` or ``ModuleDict``: a layer of
    ViT, BERT or GPT, a residual block of ResNet. An element that is itself such a list of blocks, or holds one whose
    elements are all of one class (a stage of Swin or ConvNeXt), is gone into. Blocks are numbered from 1 in the order
    of registration. What stands before the first block (embeddings, stem) is 0; after the last one (final norm,
    pooler, head) one more than it; between two blocks (a downsampling) as the block that follows.

    In a model without blocks every module with parameters of its own is a layer, numbered from 0; a normalisation
    belongs to the layer before it. A shared parameter lies where it comes first.
    """
    blocks = list(_blocks(model, ""))
    names = [name for name, _ in model.named_parameters()]
    if not blocks:
        return _of_leaves(model)
    found: dict[str, int] = {}
    number = {block: i for i, block in enumerate(blocks, 1)}
    following = len(blocks) + 1
    for name in reversed(names):
        inside = next((number[prefix] for prefix in ancestors(name) if prefix in number), None)
        if inside is not None:
            following = inside
        found[name] = following
    first = next(i for i, name in enumerate(names) if any(prefix in number for prefix in ancestors(name)))
    return {name: 0 if i < first else found[name] for i, name in enumerate(names)}


def ancestors(name: str) -> list[str]:
    """``a.b.c`` -> ``["a", "a.b", "a.b.c"]``."""
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _elements(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Children with parameters."""
    return [(name, child) for name, child in module.named_children() if next(child.parameters(), None) is not None]


def _composite(module: nn.Module) -> bool:
    return bool(_elements(module)) and not is_norm(module)


def _is_stage(module: nn.Module) -> bool:
    """Goes on being a list of blocks one level down."""
    if isinstance(module, _LISTS):
        return any(_composite(child) for _, child in _elements(module))
    for _, child in _elements(module):
        inner = [element for _, element in _elements(child)] if isinstance(child, _LISTS) else []
        if inner and all(map(_composite, inner)) and len({type(element) for element in inner}) == 1:
            return True
    return False


def _blocks(module: nn.Module, path: str, in_stage: bool = False) -> Iterator[str]:
    for name, child in _elements(module):
        where = f"{path}.{name}" if path else name
        if not (isinstance(module, _LISTS) and _composite(child)):
            yield from _blocks(child, where, in_stage)
        elif _is_stage(child) and not in_stage:  # stages do not nest: what looks so is a block made of equal parts
            yield from _blocks(child, where, True)
        else:
            yield where


def _of_leaves(model: nn.Module) -> dict[str, int]:
    found: dict[str, int] = {}
    owners = {name: module for name, module in model.named_modules() if module._parameters}
    known = {name for name, _ in model.named_parameters()}
    depth = -1
    for owner, module in owners.items():
        own = [f"{owner}.{p}" if owner else p for p, value in module._parameters.items() if value is not None]
        own = [name for name in own if name in known]
        if own:
            depth = depth if is_norm(module) and depth >= 0 else depth + 1
        found.update(dict.fromkeys(own, depth))
    return found
