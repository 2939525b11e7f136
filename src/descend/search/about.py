"""What there is to say of a method: its idea, paper, memory and options, read off its class."""

from __future__ import annotations

import inspect
from typing import Any

from . import names
from .method import Method


def known(name: str) -> bool:
    """Whether a method is called so, in any spelling."""
    return names.spelled(name) is not None


def about(name: str) -> dict[str, Any]:
    """The facts of a method, plain enough for JSON.

    Raises:
        ValueError: there is none of that name.
    """
    kind = names.find(name)
    title, _, text = (inspect.getdoc(kind) or "").partition("\n")
    text, _, own = text.partition("Args:\n")
    arguments = [own] + [_arguments(other) for other in kind.__mro__[1:] if issubclass(other, Method)]
    return {
        "name": names.spelled(name),
        "class": kind.__name__,
        "idea": title,
        "text": text.strip(),
        "arguments": "\n".join(block.rstrip() for block in arguments if block.strip()),
        "options": {option: one.default for option, one in names.options(kind).items()},
        "keeps_bounds": kind.bounded,
        "source": f"{kind.__module__.replace('.', '/')}.py",
    }


def _arguments(kind: type[Method]) -> str:
    """What a class says of its own options; those of every method are said by ``minimize``."""
    return "" if kind is Method else (inspect.cleandoc(kind.__doc__ or "")).partition("Args:\n")[2]


def page(name: str) -> str:
    """The same for a terminal."""
    facts = about(name)
    call = ", ".join([f'"{facts["name"]}"', *(f"{option}={value!r}" for option, value in facts["options"].items())])
    bounds = "keeps bounds" if facts["keeps_bounds"] else "keeps no bounds"
    parts = [
        f"{facts['name']}, a method of search\n{facts['idea']}",
        f"  descend.minimize(f, x0, {call})",
        facts["text"],
        facts["arguments"],
        f"It {bounds}. Read it: {facts['source']}",
    ]
    return "\n\n".join(part for part in parts if part)
