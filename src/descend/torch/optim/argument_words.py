"""The docstring of a class: what each of its arguments means and what it is by default, torch's first, then ours."""

import textwrap
from collections.abc import Mapping
from typing import Any

from ...core.rule import Rule
from ...core.symbols import MEANING, meaning
from ...rules.state.meaning import decay_form

WIDTH = 96

# Arguments that are no settings of a rule, or that are said otherwise of a class.
_WORDS = {
    "maximize": "climb: the gradient is negated first",
    "nesterov": "step from where the momentum is about to lead",
    "centered": "divide by the spread of the gradients around their average",
    "amsgrad": "divide by the largest second moment so far",
    "decoupled_weight_decay": "shrink the parameters themselves; else weight_decay is added to the gradient",
    "foreach": "accepted as in torch; there is one way to step here, and it takes all tensors at once",
    "fused": "accepted as in torch; the step is one fused pass wherever its engine has kernels",
    "capturable": "accepted as in torch",
    "differentiable": "a step is no part of a graph of autograd: True is refused",
    "etas": "factors of a step length: where the sign turned, where it stayed",
    "step_sizes": "the shortest and the longest step",
    "adamw": "a group that AdamW steps: vectors, embeddings, a head (see muon_groups)",
    "polar_express": "the coefficients of Polar Express, another set in each of the iterations",
    "ns_coefficients": "coefficients of the iteration that orthogonalises (Newton-Schulz)",
    "ns_steps": "how many such iterations",
    "adjust_lr_fn": 'how lr is fitted to a matrix: None or "original" or "match_rms_adamw", the size of AdamW\'s steps',
    "clip_norm": "clip all gradients together to this norm first; a number, a schedule, or None: do not",
    "engine": '"auto", or "llvm" (kernels for the processor), "triton" (for the GPU), "torch" or "numpy" to insist',
    "nonfinite": 'what NaN or infinity in a gradient does: "propagate" as in torch, "skip" the step, or "raise" '
    "NonFiniteGradient; the last two change nothing",
    "telemetry": 'measure norms in every step, see .telemetry; "cosine" measures the step\'s turn too',
}
_SPECIAL = {
    "Adafactor.eps": "keeps the division away from zero (None: the type's own epsilon), and the least size of the "
    "parameters that the step is relative to",
    "SGD.momentum": "share of the past steps that goes into the next",
    "SGD.dampening": "share of a new gradient that is left out of the momentum",
}
_DECAY = {
    "L2": "pull towards zero: so much of the parameter is added to its gradient (L2)",
    "decoupled": "pull towards zero, apart from the gradient (decoupled)",
}


def described(doc: str, name: str, rule: Rule, arguments: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """``doc`` with every argument behind it.

    Args:
        name: of the class. rule: what it steps with by default.
        arguments: name -> default, of torch's class or of the rule. own: those that every class here has besides.
    """
    params = "tensors, (name, tensor) pairs, or groups of them: dictionaries with settings of their own"
    lines = [doc, "", "Args:", *_entry("params", params)]
    for argument, default in arguments.items():
        lines += _entry(f"{argument} ({_shown(default)})", _said(argument, name, rule, default))
    lines += ["", "And of every class here:"]
    for argument, default in own.items():
        lines += _entry(f"{argument} ({_shown(default)})", _WORDS[argument])
    return "\n".join([*lines, "", "A number may also be a schedule (``descend.schedules``), a function of the step."])


def _entry(head: str, said: str) -> list[str]:
    return textwrap.wrap(f"{head}: {said}.", WIDTH, initial_indent="    ", subsequent_indent=" " * 8)


def _shown(default: Any) -> str:
    """A default as one would type it."""
    return f"({', '.join(map(_shown, default))})" if isinstance(default, tuple) else repr(default)


def _said(argument: str, name: str, rule: Rule, default: Any) -> str:
    if argument == "betas":
        each = ("beta1", "beta2", "beta3")[: len(default)]
        return "; ".join(_said(beta, name, rule, None) for beta in each)
    if argument == "weight_decay":
        form = decay_form(rule)
        return _DECAY.get(form, f"pull towards zero, {form}")
    special = _SPECIAL.get(f"{name}.{argument}")
    return special or meaning(argument, rule.name, MEANING) or _WORDS.get(argument) or f"a setting of {rule.name}"
