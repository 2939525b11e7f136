"""Who enters a race: each rule with its settings, its default rate and the one people use.

Where a range test shows nothing, the grid is laid around the usual rate. All settings but the rate stay at the rule's
defaults.
"""

from dataclasses import dataclass

from ...core.rule import Rule
from ..conditions import text_of
from .protocol.settings import ranges
from .race import Entry


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


def enter(rule: Rule, stream: int = 1, tune: bool = False) -> Entry:
    """A rule as it enters. `stream`: 2 and so on for the same rule once more, on seeds of its own.

    `tune`: its settings are searched, too.
    """
    own = {**(rule.vectors.settings if rule.vectors else {}), **rule.settings}
    settings = {name: float(value) for name, value in own.items()}
    default_lr = settings.pop("lr")
    common = usual(rule.name, default_lr)
    slots = sum(slot.init.shape == "element" for slot in rule.slots)  # of a rule for matrices, beside the factors
    return Entry(
        rule=rule.name if stream == 1 else f"{rule.name}#{stream}",
        doc=rule.doc,
        source=text_of(rule),
        settings=settings,
        default_lr=default_lr,
        usual_lr=common.lr,
        usual_reason=common.reason,
        state_bytes=4 * slots,
        space=ranges({name: own[name] for name in settings}) if tune else {},
    )
