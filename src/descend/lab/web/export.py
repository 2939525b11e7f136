"""The page as one file that works from disk: styles, scripts and answers inside it, and stills for who runs no script.

`offline/start.js` unpacks the scripts and begins. They import each other by the names they have in `static/`, through
an import map; `net.js` is replaced by `offline/net.js`, which answers from what is baked in.
"""

import base64
import gzip
import json
import posixpath
import re
from html import escape
from typing import Any

from . import bake, page
from .app import STATIC
from .tab import Lab
from .tabs import tabs

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' data:; img-src data:"
IMPORT = re.compile(r"""((?:from|import)\s*\(?\s*["`])(\.{1,2}/[^"`]+)(["`])""")
STYLES = ("vendor/uPlot.min.css", "lab.css")


def module(name: str) -> str:
    """A script of `static/` with what it imports named as in the import map."""

    def named(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), found[2]))
        return f"{found[1]}lab/{path}{found[3]}"

    file = "offline/net.js" if name == "net.js" else name
    return IMPORT.sub(named, (STATIC / file).read_text(encoding="utf-8"))


def modules(wanted: list[str]) -> dict[str, str]:
    """Name -> text of every script outside `vendor/` and `offline/`, of tabs those that are wanted."""
    names = [path.relative_to(STATIC).as_posix() for path in sorted(STATIC.rglob("*.js"))]
    kept = [
        name
        for name in names
        if not name.startswith(("vendor/", "offline/")) and (name[:5] != "tabs/" or name[5:-3] in wanted)
    ]
    return {f"lab/{name}": module(name) for name in kept}


def _packed(pieces: list[tuple[str, str, Any]]) -> str:
    """The script that holds the pieces (name, kind, content): an index, and all of them behind each other, gzipped."""
    index: list[tuple[str, str, int, int]] = []
    parts, at = [], 0
    for key, kind, content in pieces:
        text = json.dumps(content, ensure_ascii=False) if kind == "json" else content
        parts.append(text if isinstance(text, bytes) else text.encode("utf-8"))
        index.append((key, kind, at, at + len(parts[-1])))
        at += len(parts[-1])
    data = base64.b64encode(gzip.compress(b"".join(parts), mtime=0)).decode("ascii")
    held = json.dumps({"index": index, "rates": bake.RATES, "data": data}).replace("</", "<\\/")
    return f"globalThis.descendBaked = {held};"


def html(lab: Lab) -> str:
    """The file: what its tabs have asked of the library, and a line where a tab needs the server."""
    found = tabs()
    kept = [tab for tab in found if tab.baked is not None]
    answers = {key: answer for tab in kept if tab.baked for key, answer in tab.baked(lab).items()}
    styles = "\n".join([page.colours(), *((STATIC / name).read_text(encoding="utf-8") for name in STYLES)])
    pieces: list[tuple[str, str, Any]] = [
        (key, "rows" if isinstance(answer, bytes) else "json", answer) for key, answer in answers.items()
    ]
    pieces += [(name, "module", text) for name, text in modules([tab.name for tab in kept]).items()]
    pieces.append(("uPlot", "script", (STATIC / "vendor" / "uPlot.iife.min.js").read_text(encoding="utf-8")))
    start = (STATIC / "offline" / "start.js").read_text(encoding="utf-8")
    icon = base64.b64encode((STATIC / "icon.svg").read_bytes()).decode("ascii")
    stills = "".join(tab.stills(lab) for tab in kept if tab.stills is not None)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<title>descend lab</title>\n'
        f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">\n<style>{styles}</style>\n</head>\n'
        f"<body>{page.body(found, served=False)}\n<noscript><main>{stills}</main></noscript>\n"
        f"<script>{_packed(pieces)}</script>\n<script>{start}</script>\n</body>\n</html>\n"
    )
