"""The page around the tabs: head, navigation, and what stands there without a script."""

from collections.abc import Sequence
from html import escape

from ...draw import palette
from ...draw.page import BASE
from ..race.report import style
from .tab import Tab

RULES = 12  # of a race, at most


def colours() -> str:
    """The palette as CSS variables: as the reader's system has it, or as the button says; and the style of reports."""
    light, dark = ("".join(f"--{name}:{value};" for name, value in of.items()) for of in (palette.LIGHT, palette.DARK))
    chosen = (
        f':root[data-theme="light"]{{{light}color-scheme:light}}:root[data-theme="dark"]{{{dark}color-scheme:dark}}'
    )
    return f"{BASE}\n{style(RULES)}\n{chosen}"


def navigation(tabs: Sequence[Tab]) -> str:
    return "".join(
        f'<a role="tab" id="tab-{tab.name}" href="#{tab.name}" aria-controls="panel-{tab.name}" '
        f'aria-selected="false">{escape(tab.title)}</a>'
        for tab in tabs
    )


def panels(tabs: Sequence[Tab], served: bool) -> str:
    """`served`: by the server, which some tabs cannot do without: instead of these stands a line that says so."""

    def inside(tab: Tab) -> str:
        if served or tab.baked is not None:
            return f'<p class="about">{escape(tab.about)}</p>'
        why = f"{escape(tab.title)} needs the server of <code>descend lab</code>: {escape(tab.needs)}."
        return f'<p class="about" data-offline>{why}</p>'

    return "".join(
        f'<section role="tabpanel" id="panel-{tab.name}" aria-labelledby="tab-{tab.name}" tabindex="-1" hidden>'
        f"{inside(tab)}</section>"
        for tab in tabs
    )


def body(tabs: Sequence[Tab], served: bool = True) -> str:
    """What stands on the page before any script runs."""
    return (
        '<header class="bar"><h1 class="brand"><span>descend</span> lab</h1>'
        f'<div role="tablist" aria-label="Subjects" class="tabs">{navigation(tabs)}</div>'
        '<button type="button" id="theme" class="quiet-button" aria-label="Light or dark">◐</button></header>'
        f'<main id="lab"><p id="trouble" role="alert" hidden></p>{panels(tabs, served)}</main>'
        '<div id="said" role="status" aria-live="polite" class="unseen"></div>'
    )


def html(tabs: Sequence[Tab]) -> str:
    """The page as the server gives it; all addresses are relative, for the key is part of them."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<title>descend lab</title>\n'
        '<link rel="icon" href="static/icon.svg">\n<link rel="stylesheet" href="colours.css">\n'
        '<link rel="stylesheet" href="static/vendor/uPlot.min.css">\n<link rel="stylesheet" href="static/lab.css">\n'
        '<script src="static/vendor/uPlot.iife.min.js" defer></script>\n'
        '<script type="module" src="static/lab.js"></script>\n</head>\n'
        f"<body>{body(tabs)}\n<noscript><p>This page needs its scripts, which come from this computer only. "
        "Without: <code>descend surface</code>, <code>descend race</code>, <code>descend explain</code>.</p></noscript>"
        "</body>\n</html>\n"
    )
