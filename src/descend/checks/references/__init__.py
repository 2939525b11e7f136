"""Every rule once more, slow and in paper notation, written without sight of the rules.

A reference takes x (a list of float64 arrays of any shapes), gradients (per step a list of arrays of the
same shapes) and the settings by keyword; after each step it yields (new x, dict state name -> list of
arrays). Inputs are never written to. Nothing is shared between references, so that one mistake cannot
hide in many. MODIFIERS hold functions (x, g, settings) -> new g, AFTER
functions (p, q, g, settings) -> new q around a step from p to q; see after.py.
"""

from . import (
    adam,
    adam_successors,
    adaptive,
    after,
    averaging,
    factored,
    matrix,
    modifiers,
    momentum,
    online,
    psgd,
    sign,
    trust,
    tuned,
)
from .registry import AFTER, MODIFIERS, REFERENCES

__all__ = [
    "AFTER", "MODIFIERS", "REFERENCES", "adam", "adam_successors", "adaptive", "after", "averaging", "factored",
    "matrix", "modifiers", "momentum", "online", "psgd", "sign", "trust", "tuned",
]  # fmt: skip
