"""The page as one file that works from disk: styles, scripts and answers inside it, and stills for who runs no script.

Modules of one file cannot import each other by address, so each becomes a data: address in the page's import map, under
the name it has in `static/`. `net.js` is replaced by `offline/net.js`, which answers from what is baked in.
"""

from __future__ import annotations

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
    """Import map: every script outside `vendor/` and `offline/`, of tabs those that are wanted."""
    names = [path.relative_to(STATIC).as_posix() for path in sorted(STATIC.rglob("*.js"))]
    kept = [
        name
        for name in names
        if not name.startswith(("vendor/", "offline/")) and (name[:5] != "tabs/" or name[5:-3] in wanted)
    ]
    return {f"lab/{name}": _data(module(name)) for name in kept}


def _data(text: str) -> str:
    return "data:text/javascript;base64," + base64.b64encode(text.encode("utf-8")).decode("ascii")


def _baked(answers: dict[str, Any]) -> str:
    """The script that holds the answers: an index, and all of them behind each other, gzipped."""
    index: dict[str, Any] = {}
    pieces, at = [], 0
    for key, answer in answers.items():
        kind = "bytes" if isinstance(answer, bytes) else "json"
        piece = answer if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False).encode("utf-8")
        pieces.append(piece)
        index[key] = [kind, at, at + len(piece)]
        at += len(piece)
    data = base64.b64encode(gzip.compress(b"".join(pieces), mtime=0)).decode("ascii")
    held = json.dumps({"index": index, "rates": bake.RATES, "data": data}).replace("</", "<\\/")
    return f"globalThis.descendBaked = {held};"


def html(lab: Lab) -> str:
    """The file. Of the tabs it has those that say what to bake in."""
    kept = [tab for tab in tabs() if tab.baked is not None]
    answers = {key: answer for tab in kept if tab.baked for key, answer in tab.baked(lab).items()}
    styles = "\n".join([page.colours(), *((STATIC / name).read_text(encoding="utf-8") for name in STYLES)])
    importmap = json.dumps({"imports": modules([tab.name for tab in kept])})
    plot = (STATIC / "vendor" / "uPlot.iife.min.js").read_text(encoding="utf-8")
    icon = base64.b64encode((STATIC / "icon.svg").read_bytes()).decode("ascii")
    stills = "".join(tab.stills(lab) for tab in kept if tab.stills is not None)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<title>descend lab</title>\n'
        f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">\n<style>{styles}</style>\n</head>\n'
        f"<body>{page.body(kept)}\n<noscript><main>{stills}</main></noscript>\n"
        f'<script>{plot}</script>\n<script>{_baked(answers)}</script>\n<script type="importmap">{importmap}</script>\n'
        '<script type="module">import "lab/lab.js";</script>\n</body>\n</html>\n'
    )
