"""A rule as a notebook shows it above its text."""

from __future__ import annotations

from html import escape

from ...core.rule import Rule
from .markup import mathml
from .read import formulas


def picture(rule: Rule) -> str:
    """Title and formula; what cannot be read, as of a rule that was typed at a prompt, is left out."""
    try:
        lines = ["<style>mtd.left { text-align: left; }</style>"]
        lines += [line for part in formulas(rule) for line in mathml(part)]
    except (OSError, SyntaxError, TypeError, ValueError):
        lines = []
    return "".join([f"<p><b>{escape(rule.title or rule.name)}</b></p>", *lines])
