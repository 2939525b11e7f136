"""What the state of a rule means, so that another rule can take it over in the middle of a run.

A slot that is listed here is a common quantity in some form: the moving average M of gradients that begins at zero, or
the fading sum M / (1 - μ), or the velocity -lr · M / (1 - μ). A slot that is not listed belongs to its rule alone.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...core.ops import sign, sqrt
from ...core.rule import Rule
from .conversion import CONVENTIONS, QUASI, Convention

Numbers = Mapping[str, float]
GRADIENT, SQUARE = "average of gradients", "average of squared gradients"
ANEW, OWN = "anew", "own"


@dataclass(frozen=True)
class Meaning:
    """What one slot holds.

    Attributes:
        what: the quantity, equal for slots that can take each other over; "" if it is the rule's own.
        decay: the setting that says how fast the past fades, if any.
        form: ``"mean"`` (a moving average from zero), ``"first"`` (one that begins at its first value), ``"sum"``,
            ``"velocity"`` (-lr times the sum), or ``"same"`` (carried as it is or not at all).
        late: how many of the first gradients are not in it.
        begins: what to do where nobody has it. ``ANEW``: the rule divides by it, and zeros in the middle of a run would
            make steps far too long, so all of the rule begins anew. ``OWN``: the rule's own beginning does no harm.
            The name of another slot: as that one. Or a function of (p, new state, t, settings).
    """

    what: str = ""
    decay: str = ""
    form: str = "same"
    late: int = 0
    begins: Any = ANEW


@functools.lru_cache(4096)
def _product(t: float, beta1: float, momentum_decay: float) -> float:
    product, i = 1.0, 1
    while i <= t and product > 0:
        product *= beta1 * (1 - 0.5 * 0.96 ** (i * momentum_decay))
        i += 1
    return product


def _nadam_product(p: Any, state: Mapping[str, Any], t: float, settings: Numbers) -> float:
    """NAdam's product of momenta, as if it had run for t steps (Dozat 2016)."""
    return _product(t, settings["beta1"], settings["momentum_decay"])


def _ftrl_z(p: Any, state: Mapping[str, Any], t: float, settings: Numbers) -> Any:
    """The z whose solution is p (McMahan et al. 2013, Algorithm 1 solved for z): with zeros FTRL would forget p."""
    if settings["lr"] == 0:
        raise ValueError("ftrl divides by lr, which is 0 at this step")
    stiffness = (settings["smoothing"] + sqrt(state["n"])) / settings["lr"] + settings["l2"]
    return -(stiffness * p) - settings["l1"] * sign(p)


def _first(decay: str, form: str = "mean", late: int = 0) -> Meaning:
    return Meaning(GRADIENT, decay, form, late, OWN)


def _second(decay: str) -> Meaning:
    return Meaning(SQUARE, decay, "mean")


def _free(what: str, decay: str = "") -> Meaning:
    return Meaning(f"Schedule-Free's {what}, in Adam's steps", decay, begins=OWN)


_OWN = Meaning(begins=OWN)
_MOMENTS = {"m": _first("beta1"), "v": _second("beta2")}
_LARGEST = {**_MOMENTS, "v_max": Meaning("largest average of squares so far", "beta2", "mean", begins="v")}
_NADAM = {**_MOMENTS, "mu_product": Meaning("product of momenta", begins=_nadam_product)}
_FREE = {"z": _free("z", "beta1"), "v": _second("beta2"), "lr_max": _free("largest lr"), "weight_sum": _free("weights")}
_CENTRED = {"v": _second("alpha"), "a": Meaning("centre", "alpha", "mean", begins=OWN)}
_SQUARES = {"s": Meaning("sum of squared gradients")}


def _each(names: tuple[str, ...], slots: dict[str, Meaning]) -> dict[str, dict[str, Meaning]]:
    return {name: slots for name in names}


MEANINGS: dict[str, dict[str, Meaning]] = {
    **_each(("adam_uncorrected", "adam", "adam_epsilon_hat", "adam_eps_inside", "adamw"), _MOMENTS),
    **_each(("radam", "radamw", "lamb", "grams"), _MOMENTS),
    **_each(("amsgrad", "amsgradw"), _LARGEST),
    **_each(("nadam", "nadamw"), _NADAM),
    **_each(("adamax", "yogi", "adabelief", "adan"), {"m": _first("beta1")}),
    "ademamix": {**_MOMENTS, "slow": _OWN},
    "sophia": {"m": _first("beta1"), "h": _OWN},
    "adahessian": {"m": _first("beta1"), "v": _OWN, "h": _OWN},
    # These two average scaled gradients, and only their second moment is one of plain gradients.
    "laprop": {"m": _OWN, "v": _second("beta2")},
    "adopt": {"m": _OWN, "v": Meaning(SQUARE, "beta2", "first")},
    "dadapt_adam": {"v": _second("beta2")},
    **_each(("signum", "tiger", "quasi_hyperbolic"), {"m": _first("beta")}),
    "momentum_ema": {"v": _first("beta")},
    "lion": {"m": _first("beta2")},
    **_each(("momentum_accumulation", "nesterov_accumulation"), {"v": _first("momentum", "sum")}),
    "momentum_dampened": {"v": _first("momentum", "sum")},
    **_each(("momentum_velocity", "nesterov_lookahead", "nesterov_rewritten"), {"v": _first("momentum", "velocity")}),
    **_each(("muon", "muon_polar_express", "psgd_kron"), {"m": _first("momentum")}),
    "normuon": {"m": _first("beta1"), "v": _OWN},
    "soap": {"m": _first("beta1", late=1)},
    "rmsprop": {"v": _second("alpha")},
    "rmsprop_momentum": {"v": _second("alpha"), "b": _OWN},
    "rmsprop_centered": _CENTRED,
    "rmsprop_centered_momentum": {**_CENTRED, "b": _OWN},
    "adadelta": {"v": _second("rho"), "u": _OWN},
    **_each(("adagrad", "adagrad_eps_inside"), _SQUARES),
    "ftrl": {"n": Meaning("sum of squared gradients", begins=OWN), "z": Meaning(begins=_ftrl_z)},
    **_each(("rprop", "rprop_simple"), {"step": Meaning("step sizes"), "g_prev": _OWN}),
    **_each(("schedule_free_adamw", "schedule_free_radam"), _FREE),
}

# Where lr means the same: what a step of lr = 1 is made of.
_SCALES = (
    (
        "adam_uncorrected", "adam", "adam_epsilon_hat", "adam_eps_inside", "adamw", "amsgrad", "amsgradw", "adamax",
        "nadam", "nadamw", "radam", "radamw", "adabelief", "laprop", "adopt", "ademamix", "grams",
    ),
    ("sign_sgd", "signum", "tiger", "lion"),
    ("rmsprop", "rmsprop_centered"),
    ("rmsprop_momentum", "rmsprop_centered_momentum"),
    ("adagrad", "adagrad_eps_inside"),
    ("muon", "muon_polar_express"),
    ("rprop", "rprop_simple"),
    ("schedule_free_adamw", "schedule_free_radam"),
)  # fmt: skip
# ε outside the corrected root, and at one default.
_EPSILON = ("adam", "adamw", "amsgrad", "amsgradw", "nadam", "nadamw", "ademamix", "grams")
_MOMENTA = {"gradient_descent": Convention(""), **CONVENTIONS, "quasi_hyperbolic": QUASI}
_SUM = Convention()
_COUPLED = ("lars", "lamb", "novograd")


def name_of(rule: Rule) -> str:
    """The rule's name in the catalogue, or "" if it is not from there (a name alone proves nothing)."""
    from .. import all as catalogue

    known = catalogue().get(rule.name)
    if known is not None and known.fn is rule.fn:
        return rule.name
    # by its module's name: the module itself is hidden from users, and asking for it would look for the nearest rule
    return "muon" if rule.name == "chosen_muon" and rule.fn.__module__ == "descend.rules.matrix" else ""


def meanings(rule: Rule) -> dict[str, Meaning]:
    """What each slot of a rule (not of a chain) means; own slots of a rule begin anew with it."""
    known = MEANINGS.get(name_of(rule), {})
    return {slot.name: known.get(slot.name, Meaning()) for slot in rule.slots}


def same_rule(a: Rule, b: Rule) -> bool:
    return a.fn is b.fn


def lr_ratio(source: Rule, a: Numbers, target: Rule, b: Numbers) -> float | None:
    """What an lr of ``source`` is multiplied by to mean the same to ``target``; None if it cannot.

    Among the momentum rules at one μ it is the ratio of the shares at which a gradient enters the sum.
    """
    one, other = name_of(source), name_of(target)
    if one in _MOMENTA and other in _MOMENTA:
        mine, theirs = _MOMENTA[one], _MOMENTA[other]
        if a.get(mine.decay, 0.0) != b.get(theirs.decay, 0.0):
            return None
        share, new_share = mine.gain(a), theirs.gain(b)
        return 1.0 if share == new_share else share / new_share if new_share else None
    alike = same_rule(source, target) or (one != "" and any(one in some and other in some for some in _SCALES))
    return 1.0 if alike else None


def same_epsilon(source: Rule, target: Rule) -> bool:
    return same_rule(source, target) or {name_of(source), name_of(target)} <= set(_EPSILON)


def decay_form(rule: Rule) -> str:
    """How the ``weight_decay`` of a rule or chain acts: "decoupled", "L2", or in a way of its own."""
    inner = next((stage for stage in rule.stages if stage.kind == "rule"), rule)
    if "weight_decay" in inner.settings:
        return f"in the way of {inner.name}" if name_of(inner) in ("", *_COUPLED) else "decoupled"
    others = [inner.vectors] if inner.vectors else []
    others += [stage for stage in rule.stages if stage.name != "decay_l2"]
    owner = next((one for one in others if "weight_decay" in one.settings), None)
    return "L2" if owner is None else f"in the way of {inner.name if owner is inner.vectors else owner.name}"


def factor(source: Meaning, a: Numbers, target: Meaning, b: Numbers, t: float) -> tuple[float, float]:
    """What to multiply and to divide the source's slot by, after ``t`` steps, so that it means the same to the target.

    With one decay an average stays as it is; with another it is scaled so that the average corrected for its start at
    zero stays: M' = M (1 - b'ᵗ) / (1 - bᵗ).

    Raises:
        ValueError: a momentum of 1 or an lr of 0 that would have to be divided by; z with another β.
    """
    decay, new_decay = a.get(source.decay, 0.0), b.get(target.decay, 0.0)
    if "same" in (source.form, target.form):
        if decay != new_decay:
            raise ValueError(
                f"{source.what} cannot be taken over with another {target.decay}: {decay} was {new_decay} now"
            )
        return 1.0, 1.0
    both = {source.form, target.form} <= {"sum", "velocity"} and decay == new_decay
    if source.form == target.form and decay == new_decay and (source.form != "sum" or _SUM.gain(a) == _SUM.gain(b)):
        return 1.0, 1.0
    count = t - source.late
    if count <= 0:
        return 1.0, 1.0
    times, by = 1.0, 1.0
    if source.form == "first":
        times *= 1 - decay**t
    elif source.form != "mean":
        times *= 1.0 if both else 1 - decay
        by *= _SUM.gain(a) if source.form == "sum" else -a["lr"]
    if decay != new_decay:
        times, by = times * (1 - new_decay**t), by * (1 - decay**count)
    if target.form == "first":
        by *= 1 - new_decay**t
    elif target.form != "mean":
        by *= 1.0 if both else 1 - new_decay
        times *= _SUM.gain(b) if target.form == "sum" else -b["lr"]
    if by == 0 or (times == 0 and target.form != "velocity"):
        raise ValueError(f"{target.what}: it cannot be converted with an lr of 0 or a momentum of 1; change it first")
    return times, by
