"""What a rule is called: the one place that finds a rule by a name, however the name is spelled.

Case, hyphens, underscores and spaces do not matter; torch's names, those of the classes and plain words are known; and
``+`` joins names to a chain: ``clip_norm+adamw``.
"""

from functools import cache
from typing import Any

from ..core.nearest import did_you_mean, folded, listed
from ..core.rule import Rule, chain

# Other words for a rule. Of a word that means several things the first is meant, torch's, and the rest are said.
_MOMENTUM = ("momentum_accumulation", "momentum_ema", "momentum_velocity", "momentum_dampened")
_NESTEROV = ("nesterov_accumulation", "nesterov_rewritten", "nesterov_lookahead")
WORDS: dict[str, tuple[str, ...]] = {
    "sgd": ("gradient_descent",),
    "gd": ("gradient_descent",),
    "stochastic_gradient_descent": ("gradient_descent",),
    "momentum": _MOMENTUM,
    "sgd_momentum": _MOMENTUM,
    "sgdm": _MOMENTUM,
    "momentum_sgd": _MOMENTUM,
    "heavy_ball": _MOMENTUM,
    "nesterov": _NESTEROV,
    "nesterov_momentum": _NESTEROV,
    "sgd_nesterov": _NESTEROV,
    "nag": _NESTEROV,
    "qhm": ("quasi_hyperbolic",),
    "quasi_hyperbolic_momentum": ("quasi_hyperbolic",),
    "rmsprop_centred": ("rmsprop_centered",),
    "rmsprop_centred_momentum": ("rmsprop_centered_momentum",),
    "sparse_adam": ("adam_epsilon_hat",),
    "adam_amsgrad": ("amsgrad",),
    "adamw_amsgrad": ("amsgradw",),
    "mars_adamw": ("mars",),
    "sophia_g": ("sophia",),
    "psgd": ("psgd_kron",),
    "kron": ("psgd_kron",),
    "polar_express": ("muon_polar_express",),
    "ftrl_proximal": ("ftrl",),
    "averaged_sgd": ("asgd",),
    "agc": ("adaptive_clip",),
    "clip_grad_norm": ("clip_norm",),
    "clip_grad_value": ("clip_value",),
    "centralise": ("centralize",),
    "gradient_centralization": ("centralize",),
    "l2": ("decay_l2",),
}

# Words of a rule's name as its authors write them.
_WRITTEN = {
    word.lower(): word
    for word in (
        "ADOPT", "AMSGrad", "AMSGradW", "ASGD", "AdEMAMix", "AdaBelief", "AdaHessian", "AdamW", "CAME", "DAdapt", "DoG",
        "DoWG", "EMA", "FTRL", "LAMB", "LARS", "LaProp", "MARS", "NAdam", "NAdamW", "NorMuon", "NovoGrad", "PSGD",
        "RAdam", "RAdamW", "RMSprop", "SGD", "SOAP", "SWA",
    )
}  # fmt: skip


class UnknownRule(KeyError, ValueError):
    """There is no rule of that name, or there are several; the message has the nearest."""

    def __str__(self) -> str:
        return self.args[0]


def class_name(name: str) -> str:
    """What the class of a rule is called: ``ScheduleFreeAdamW`` of ``schedule_free_adamw``."""
    return "".join(_WRITTEN.get(part, part.capitalize()) for part in name.replace("+", "_").split("_"))


def find(name: str) -> Rule:
    """The rule, modifier or chain ``a+b+c`` of that name.

    Raises:
        UnknownRule: there is none. TypeError: no text, or parts that make no chain.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a rule is text, got {name!r:.60}")
    parts = [part.strip() for part in name.split("+")]
    if len(parts) > 1 and "" in parts:
        raise UnknownRule(_a_part_is_missing(name, parts))
    stages = [_one(part) for part in parts]
    if len(stages) == 1:
        return stages[0]
    try:
        return chain(*stages)
    except TypeError as error:
        ordered = sorted(stages, key=lambda stage: ("before", "rule", "after").index(stage.kind))
        if [stage.kind for stage in stages].count("rule") != 1 or ordered == stages:
            raise
        raise TypeError(f"{error}. Did you mean {'+'.join(stage.name for stage in ordered)!r}?") from None


def find_rule(name: str) -> Rule:
    """The same where a modifier alone would not do.

    Raises:
        UnknownRule: there is none, or it is a modifier. TypeError: as ``find``.
    """
    found = find(name)
    if found.kind != "rule":
        example = f"{found.name}+adamw" if found.kind == "before" else f"adamw+{found.name}"
        raise UnknownRule(f"no rule {name!r}: it is a modifier; name a chain with a rule in it: {example}.")
    return found


def rule_of(rule: Rule | str) -> Rule:
    """A rule or chain itself, or that of the name.

    Raises:
        TypeError: a modifier alone, or something else. UnknownRule: as ``find_rule``.
    """
    rule = find_rule(rule) if isinstance(rule, str) else rule
    if not isinstance(rule, Rule) or rule.kind != "rule":
        raise TypeError(f"{rule!r} is no rule; a modifier needs chain(...) around it (and a function @rule)")
    return rule


def note(name: str) -> str:
    """Which of several meanings a name was taken for; empty where it has one."""
    said = []
    for part in name.split("+"):
        first, *others = _spellings().get(_key(part), ("",))
        if others:
            said.append(f"{part.strip()}: {first}, as torch has it; other forms are {', '.join(others)}")
    return "\n".join(said)


def _a_part_is_missing(name: str, parts: list[str]) -> str:
    """What is wrong with `adamw+`, `+cautious` and `adamw++cautious`, and what may have been meant."""
    where = "behind it" if not parts[-1] else "before it" if not parts[0] else "between two of them"
    rest = "+".join(filter(None, parts))
    try:
        meant = f"Did you mean {find_rule(rest).name!r}?"
    except (UnknownRule, TypeError):
        meant = "As in 'clip_norm+adamw', 'adamw+cautious'."
    return f"no rule {name!r}: + joins a rule with its modifiers, and nothing stands {where}. {meant}"


def _one(name: str) -> Rule:
    known, spelled = _catalogue(), _key(name)
    if meant := _spellings().get(spelled):
        return known[meant[0]]
    longer = [other for other in known if spelled in map("".join, _beginnings(other))]
    if len(longer) > 1:
        raise UnknownRule(f"no rule {name!r}: it may mean {listed(map(repr, longer), 'or')}.")
    raise UnknownRule(f"no rule {name!r}.{did_you_mean(spelled, [*known, *WORDS])} `descend list` shows all.")


def _beginnings(name: str) -> list[list[str]]:
    parts = name.split("_")
    return [parts[:k] for k in range(1, len(parts))]


def _key(name: str) -> str:
    return folded(name.strip().rpartition(".")[2])  # torch.optim.AdamW is AdamW


def _catalogue() -> dict[str, Any]:
    from . import all, modifiers

    return {**all(), **modifiers()}


@cache
def _spellings() -> dict[str, tuple[str, ...]]:
    """A name as it is folded -> what it means."""
    words = {folded(word): meant for word, meant in WORDS.items()}
    return words | {folded(name): (name,) for name in _catalogue()}
