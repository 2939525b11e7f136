"""The search space of a race: seven learning rates for each rule, laid out before any run.

Every rule gets the same layout around its usual learning rate: from one decade below to two decades above,
in half decades. It leans upwards for every rule alike, because a small network trained for a short time
bears larger steps than the long runs the usual values come from.
"""

from dataclasses import dataclass

from ...core.rule import Rule
from .race import Entry

HALF_DECADES = range(-2, 5)
TRIALS = len(HALF_DECADES)


@dataclass(frozen=True)
class Usual:
    """A learning rate that people use, and where it comes from."""

    lr: float
    reason: str


_MOMENTUM = Usual(1e-2, "0.01 with momentum 0.9: Krizhevsky et al. 2012")
_PLAIN = Usual(1e-1, "ten times the momentum rules: momentum 0.9 adds up to a tenfold step")
_ADAGRAD = Usual(1e-2, "default of torch.optim.Adagrad")
_RMSPROP = Usual(1e-2, "default of torch.optim.RMSprop")
_ADAM = Usual(1e-3, "Kingma & Ba 2015, Algorithm 1")

USUAL: dict[str, Usual] = {
    "gradient_descent": _PLAIN,
    "momentum_accumulation": _MOMENTUM,
    "momentum_dampened": _MOMENTUM,
    "momentum_ema": _PLAIN,
    "momentum_velocity": _MOMENTUM,
    "nesterov_rewritten": _MOMENTUM,
    "nesterov_accumulation": _MOMENTUM,
    "adagrad": _ADAGRAD,
    "adagrad_eps_inside": _ADAGRAD,
    "rmsprop": _RMSPROP,
    "adam": _ADAM,
    "adamw": Usual(1e-3, "Loshchilov & Hutter 2019, Algorithm 2"),
    "lion": Usual(1e-4, "default of the authors' code: Chen et al. 2023"),
}

DEFAULT_RULES = (
    "gradient_descent",
    "momentum_accumulation",
    "nesterov_accumulation",
    "adagrad",
    "rmsprop",
    "adam",
    "adamw",
    "lion",
)


def usual(rule: str, default_lr: float) -> Usual:
    """The table's entry for a rule, or the rule's own default where the table has none."""
    return USUAL.get(rule, Usual(default_lr, "default of the rule"))


def enter(rule: Rule) -> Entry:
    """A rule with its search space; everything but the learning rate stays at the rule's defaults."""
    own = {**(rule.vectors.settings if rule.vectors else {}), **rule.settings}
    settings = {name: float(value) for name, value in own.items()}
    default_lr = settings.pop("lr")
    common = usual(rule.name, default_lr)
    slots = sum(slot.init.shape == "element" for slot in rule.slots)  # of a rule for matrices, beside the factors
    return Entry(
        rule=rule.name,
        doc=rule.doc,
        source="\n\n".join(stage.source for stage in rule.stages or (rule,)),
        settings=settings,
        default_lr=default_lr,
        usual_lr=common.lr,
        usual_reason=common.reason,
        grid=tuple(grid(common.lr)),
        state_bytes=4 * slots,
    )


def grid(usual_lr: float) -> list[float]:
    """Seven learning rates from a tenth of `usual_lr` to a hundred times it, ascending, in three digits."""
    return [float(f"{usual_lr * 10 ** (k / 2):.3g}") for k in HALF_DECADES]
