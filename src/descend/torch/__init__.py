"""Layer 4: rules as ``torch.optim.Optimizer`` classes.

torch's own classes have torch's arguments. Every other rule of the catalogue has a class of its name, made when it is
asked for: ``from descend.torch import AdEMAMix, ScheduleFreeAdamW`` (case and underscores do not matter).
"""

import importlib
from typing import TYPE_CHECKING, Any

import torch as _torch

from ..core.nearest import did_you_mean, folded
from ..core.untraced import untraced
from ..rules.names import class_name
from ..schedules.formula import _remade
from .optim.base import RuleOptimizer
from .optim.classes import (
    ASGD,
    OF_TORCH,
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    Muon,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
    SparseAdam,
    optimizer,
)
from .optim.muon import muon_groups

if TYPE_CHECKING:
    from .check.checking import check_gradients, initial_loss, overfit_one_batch
    from .groups.groups import param_groups
    from .in_backward.step import step_in_backward
    from .kronecker.optimizer import KFAC
    from .learning_rate import LRFinding, find_lr
    from .loop.accumulator import Accumulator
    from .natural_gradient import NaturalGradient
    from .population import evolve
    from .second_order.gauss_newton import GaussNewton
    from .second_order.hessian_free import HessianFree
    from .second_order.lbfgs import LBFGS
    from .second_order.searching import (
        BFGS,
        Newton,
        NewtonCG,
        NonlinearCG,
        SaddleFree,
        SSBroyden,
        TrustExact,
        TrustKrylov,
        TrustNCG,
    )
    from .switching.policy import switch_at
    from .switching.rule import switch
    from .switching.swats import swats
    from .untuned import default
    from .watch.alarms import Alarms
    from .watch.live import live
    from .watch.log import TelemetryLogger

    choose: Any
    # What is made when it is asked for, for editors and type checkers.
    ADOPT = AMSGrad = AMSGradW = AdEMAMix = AdaBelief = AdaHessian = AdafactorVector = AdagradEpsInside = \
        AdamEpsInside = AdamEpsilonHat = AdamUncorrected = Adan = CAME = CAMEVector = DAdaptAdam = DAdaptSGD = DoG = \
        DoWG = FTRL = GradientDescent = Grams = LAMB = LARS = LaProp = MARS = MomentumAccumulation = \
        MomentumDampened = MomentumEMA = MomentumVelocity = MuonPolarExpress = NAdamW = NesterovAccumulation = \
        NesterovLookahead = NesterovRewritten = NorMuon = NovoGrad = PSGDKron = Prodigy = ProdigyTensor = \
        QuasiHyperbolic = RAdamW = RMSpropCentered = \
        RMSpropCenteredMomentum = RMSpropMomentum = RpropSimple = SOAP = ScheduleFreeAdamW = ScheduleFreeRAdam = \
        ScheduleFreeSGD = Shampoo = SignSGD = Signum = Sophia = Tiger = Yogi = RuleOptimizer  # fmt: skip

# torch's schedulers keep an lr that is a schedule in their checkpoints, which torch.load refuses otherwise
_torch.serialization.add_safe_globals([_remade])

# What is around the step, loaded when it is asked for: name -> module.
_AROUND = {
    "Alarms": "watch.alarms",
    "Accumulator": "loop.accumulator",
    "LBFGS": "second_order.lbfgs",
    "BFGS": "second_order.searching",
    "GaussNewton": "second_order.gauss_newton",
    "HessianFree": "second_order.hessian_free",
    "Newton": "second_order.searching",
    "NewtonCG": "second_order.searching",
    "NonlinearCG": "second_order.searching",
    "SSBroyden": "second_order.searching",
    "SaddleFree": "second_order.searching",
    "TrustExact": "second_order.searching",
    "TrustKrylov": "second_order.searching",
    "TrustNCG": "second_order.searching",
    "KFAC": "kronecker.optimizer",
    "LRFinding": "learning_rate",
    "NaturalGradient": "natural_gradient",
    "TelemetryLogger": "watch.log",
    "check_gradients": "check.checking",
    "choose": ".lab.choosing.on_model",  # above this room, with the lab: its name is looked up when it is asked for
    "default": "untuned",
    "initial_loss": "check.checking",
    "overfit_one_batch": "check.checking",
    "evolve": "population",
    "find_lr": "learning_rate",
    "live": "watch.live",
    "param_groups": "groups.groups",
    "step_in_backward": "in_backward.step",
    "swats": "switching.swats",
    "switch": "switching.rule",
    "switch_at": "switching.policy",
}

__all__ = [
    "ASGD", "BFGS", "KFAC", "LBFGS", "SGD", "Accumulator", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW",
    "Adamax", "Alarms", "GaussNewton", "HessianFree", "LRFinding", "Lion", "Muon", "NAdam", "NaturalGradient", "Newton",
    "NewtonCG", "NonlinearCG", "RAdam", "RMSprop", "Rprop", "RuleOptimizer", "SSBroyden", "SaddleFree", "SparseAdam",
    "TelemetryLogger", "TrustExact", "TrustKrylov", "TrustNCG", "check_gradients", "choose", "default", "evolve",
    "find_lr", "initial_loss", "live", "muon_groups", "optimizer", "overfit_one_batch", "param_groups",
    "step_in_backward", "swats", "switch", "switch_at",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted({*__all__, *_of_rules()})


def _of_rules() -> dict[str, str]:
    """The classes of rules for which torch has none -> the rule."""
    from .. import rules

    return {class_name(name): name for name in rules.all() if folded(name) not in OF_TORCH}


def __getattr__(name: str) -> Any:
    from ..rules.names import UnknownRule

    if name.startswith("_"):
        raise AttributeError(name)
    if name in _AROUND:
        found = untraced(getattr(importlib.import_module(f".{_AROUND[name]}", __name__), name))
    else:
        try:
            found = optimizer(name)
        except UnknownRule:
            hint = did_you_mean(name, __dir__())
            raise AttributeError(f"descend.torch has no {name!r}.{hint} dir(descend.torch) lists all.") from None
    globals()[name] = found
    return found
