"""What there is to say of a method: its idea, paper, memory and options, read off its class."""

import inspect
import re
from typing import Any

from . import names
from .method import Method

AS_FOR = r"\w[\w, ]*: as for \w+\.\s*"  # options whose meaning stands with another class, which is printed too


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
    bases = [other for other in kind.__mro__[1:] if issubclass(other, Method)]
    arguments: list[str] = []
    for block in (own, *map(_arguments, bases)):
        block = re.sub(AS_FOR, "", block)
        if block.strip() and f" {block.split(':')[0].strip()}:" not in "".join(arguments):  # what a subclass says again
            arguments.append(block.rstrip())
    text = "\n\n".join([text.strip(), *(said for other in bases if (said := _dialect(other)))])
    return {
        "name": names.spelled(name),
        "class": kind.__name__,
        "idea": title,
        "text": text.strip(),
        "uses": None if kind.uses is None else sorted(kind.uses),
        "arguments": "\n".join(arguments),
        "options": {option: one.default for option, one in names.options(kind).items()},
        "keeps_bounds": kind.bounded,
        "source": f"{kind.__module__.replace('.', '/')}.py",
    }


def _arguments(kind: type[Method]) -> str:
    """What a class says of its own options; those of every method are said by ``minimize``."""
    return "" if kind is Method else (inspect.cleandoc(kind.__doc__ or "")).partition("Args:\n")[2]


def _dialect(kind: type[Method]) -> str:
    """Where a class says that it differs from its paper, a paragraph; "" if it does not."""
    paragraphs = inspect.cleandoc(kind.__doc__ or "").partition("Args:\n")[0].split("\n\n")
    return next((paragraph.strip() for paragraph in paragraphs if paragraph.startswith("Dialect:")), "")


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
    return "\n\n".join(part for part in parts if part).replace("``", "")
