"""The drop-in classes: torch.optim's names, arguments and defaults; the arithmetic is the rules'."""

import functools
from collections.abc import Mapping
from typing import Any

import torch

from ... import rules
from ...core.nearest import folded
from ...core.rule import Rule
from ...core.settings import all_given
from ...core.trace import admit
from ...rules.names import class_name, rule_of
from ..step import tensors
from ..step.leaf import Leaf
from . import muon
from .argument_words import described
from .base import RuleOptimizer
from .spec import HINTS, OPTIONS, OWN, Spec


def _is_zero(value: Any) -> bool:
    return not callable(value) and float(value) == 0


def _sgd(group: Mapping[str, Any]) -> Rule:
    if _is_zero(group["momentum"]):
        return rules.gradient_descent
    if group["nesterov"]:
        return rules.nesterov_accumulation
    return rules.momentum_accumulation if _is_zero(group["dampening"]) else rules.momentum_dampened


def _rmsprop(group: Mapping[str, Any]) -> Rule:
    momentum = not _is_zero(group["momentum"])
    centred = (rules.rmsprop_centered, rules.rmsprop_centered_momentum)
    return (centred if group["centered"] else (rules.rmsprop, rules.rmsprop_momentum))[momentum]


def _adam(group: Mapping[str, Any]) -> Rule:
    if group["amsgrad"]:
        return rules.amsgradw if group["decoupled_weight_decay"] else rules.amsgrad
    return rules.adamw if group["decoupled_weight_decay"] else rules.adam


def _machine_epsilon(group: Mapping[str, Any]) -> dict[str, float]:
    """torch.optim.Adafactor's first ε is the type's own unless one is given."""
    first, second = group["eps"]
    dtypes = {p.dtype for p in group["params"] if p.is_floating_point()}
    return {
        "eps1": torch.finfo(dtypes.pop() if dtypes else torch.float32).eps if first is None else first,
        "eps2": second,
    }


_ETAS = {
    "eta_minus": (lambda x: (x > 0) & (x < 1), "Invalid eta values: {}"),
    "eta_plus": (lambda x: x > 1, "Invalid eta values: {}"),
}
_RELATIVE = {
    "d": (lambda x: x >= 1, "Clipping threshold d should be >= 1 but is: {}"),
    "beta2_decay": (lambda x: x <= 0, "beta2_decay should be <= 0 but is: {}"),
}


def _sums(optimizer: RuleOptimizer, i: int) -> None:
    """torch.optim.Adagrad has its state before the first step; processes may share it from then on."""
    spec, group = optimizer.spec, optimizer.param_groups[i]
    (slot,), numbers = rules.adagrad.slots, spec.numbers({**spec.arguments, **group}, rules.adagrad, optimizer.steps)
    for p in group["params"]:
        if p.layout is torch.strided and (p.is_floating_point() or p.is_complex()):
            step = torch.zeros((), dtype=torch.float64, device="cpu")
            made = tensors.state_array(Leaf(i, p, p, ""), slot, p.detach(), numbers)
            optimizer._state[p] = {"step": step, slot.saved_as: made}


def _share_memory(self: RuleOptimizer) -> None:
    """Move the sums into memory that processes share, as torch's."""
    for group in self.param_groups:
        for p in group["params"]:
            self.state[p]["sum"].share_memory_()
    self._plan = None


def _dense_and_real(optimizer: RuleOptimizer, i: int) -> None:
    """torch.optim.SparseAdam's refusals; a rate of 0 is one at construction only: groups and schedulers may have it."""
    group, defaults = optimizer.param_groups[i], optimizer.defaults
    for name, words in (("lr", "Invalid learning rate: {}"), ("eps", "Invalid epsilon value: {}")):
        if i == 0 and not callable(defaults[name]) and float(defaults[name]) == 0:
            raise ValueError(f"{words.format(defaults[name])}; SparseAdam's must be above 0")
    for refused, words in (
        ([[i, k] for k, p in enumerate(group["params"]) if p.layout is not torch.strided],
         "Sparse params at indices {}: SparseAdam requires dense parameter tensors"),
        ([[i, k] for k, p in enumerate(group["params"]) if p.is_complex()],
         "Complex params at indices {}: SparseAdam does not support complex parameters"),
    ):  # fmt: skip
        if refused:
            raise ValueError(words.format(refused))


def make(spec: Spec, **members: Any) -> type[RuleOptimizer]:
    """A torch.optim.Optimizer class from its description, with ``members`` of its own."""
    members |= {"spec": spec, "__doc__": _described(spec), "__module__": "descend.torch"}
    return type(spec.name, (RuleOptimizer,), members)


def _described(spec: Spec) -> str:
    of_torch = {name: default for name, default in spec.arguments.items() if name not in OWN}
    return described(spec.doc, spec.name, spec.choose(spec.arguments), of_torch, {**OWN, **OPTIONS})


def _doc(rule: str, differs: str = "") -> str:
    return f"Drop-in for ``torch.optim`` with the same arguments; the rule is ``rules.{rule}``.{differs}"


_ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False}
_TAIL = {"foreach": None, "maximize": False, "capturable": False, "differentiable": False, "fused": None}

SGD = make(Spec(
    "SGD", _doc("gradient_descent, momentum_accumulation, momentum_dampened or nesterov_accumulation"),
    {"lr": 1e-3, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False,
     "maximize": False, "foreach": None, "differentiable": False, "fused": None, **OWN},
    _sgd, positional=5, sparse=lambda rule: rule is rules.gradient_descent, missing_step=1,
))  # fmt: skip
Adagrad = make(Spec(
    "Adagrad", _doc("adagrad"),
    {"lr": 1e-2, "lr_decay": 0.0, "weight_decay": 0.0, "initial_accumulator_value": 0.0, "eps": 1e-10,
     "foreach": None, "maximize": False, "differentiable": False, "fused": None, **OWN},
    lambda group: rules.adagrad, positional=6, sparse=lambda rule: rule is rules.adagrad, begins=_sums,
), share_memory=_share_memory)  # fmt: skip
RMSprop = make(Spec(
    "RMSprop", _doc("rmsprop, with momentum and centred forms"),
    {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0, "centered": False,
     "capturable": False, "foreach": None, "maximize": False, "differentiable": False, **OWN},
    _rmsprop, positional=10,
))  # fmt: skip
Adam = make(Spec(
    "Adam", _doc("adam"), {**_ADAM, **_TAIL, "decoupled_weight_decay": False, **OWN},
    _adam, positional=5,
))  # fmt: skip
AdamW = make(Spec(
    "AdamW", _doc("adamw"),
    {**_ADAM, "weight_decay": 1e-2, "maximize": False, **{k: v for k, v in _TAIL.items() if k != "maximize"},
     "decoupled_weight_decay": True, **OWN},
    _adam, positional=5, fixed={"decoupled_weight_decay": True},
))  # fmt: skip
Lion = make(Spec(
    "Lion", _doc("lion", " torch has no Lion; arguments follow lion-pytorch."),
    {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0, "maximize": False, **HINTS, **OWN},
    lambda group: rules.lion, positional=3,
))  # fmt: skip


_HINTS3 = {"capturable": False, "foreach": None, "maximize": False, "differentiable": False}
Adadelta = make(Spec(
    "Adadelta", _doc("adadelta"),
    {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.0, "foreach": None, "capturable": False,
     "maximize": False, "differentiable": False, **OWN},
    lambda group: rules.adadelta, positional=5,
))  # fmt: skip
Adamax = make(Spec(
    "Adamax", _doc("adamax"),
    {"lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "foreach": None, "maximize": False,
     "differentiable": False, "capturable": False, **OWN},
    lambda group: rules.adamax, positional=5,
))  # fmt: skip
NAdam = make(Spec(
    "NAdam", _doc("nadam, or nadamw with decoupled decay"),
    {"lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "momentum_decay": 4e-3,
     "decoupled_weight_decay": False, "foreach": None, "maximize": False, "capturable": False,
     "differentiable": False, **OWN},
    lambda group: rules.nadamw if group["decoupled_weight_decay"] else rules.nadam, positional=6,
))  # fmt: skip
RAdam = make(Spec(
    "RAdam", _doc("radam, or radamw with decoupled decay"),
    {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "decoupled_weight_decay": False,
     "foreach": None, "maximize": False, "capturable": False, "differentiable": False, **OWN},
    lambda group: rules.radamw if group["decoupled_weight_decay"] else rules.radam, positional=5,
))  # fmt: skip
Rprop = make(Spec(
    "Rprop", _doc("rprop"),
    {"lr": 1e-2, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50.0), **_HINTS3, **OWN},
    lambda group: rules.rprop, positional=3, limits=_ETAS,
    tuples={"etas": ("eta_minus", "eta_plus"), "step_sizes": ("step_min", "step_max")},
))  # fmt: skip
ASGD = make(Spec(
    "ASGD", _doc("asgd"),
    {"lr": 1e-2, "lambd": 1e-4, "alpha": 0.75, "t0": 1e6, "weight_decay": 0.0, "foreach": None,
     "maximize": False, "differentiable": False, "capturable": False, **OWN},
    lambda group: rules.asgd, positional=9,
))  # fmt: skip
Adafactor = make(Spec(
    "Adafactor", _doc("adafactor"),
    {"lr": 1e-2, "beta2_decay": -0.8, "eps": (None, 1e-3), "d": 1.0, "weight_decay": 0.0, "foreach": None,
     "maximize": False, **OWN},
    lambda group: rules.adafactor, positional=5, limits=_RELATIVE, tuples={"eps": ("eps1", "eps2")},
    derive=_machine_epsilon,
))  # fmt: skip


SparseAdam = make(Spec(
    "SparseAdam", _doc("adam_epsilon_hat", " Lazy: only the rows of a sparse gradient move, and their state."),
    {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "maximize": False, **OWN},
    lambda group: rules.adam_epsilon_hat, positional=4, sparse=lambda rule: rule is rules.adam_epsilon_hat,
    begins=_dense_and_real,
))  # fmt: skip
Muon = make(Spec(
    "Muon", _doc("muon", " Groups with adamw=True are stepped by AdamW: see muon_groups."),
    {"lr": 1e-3, "weight_decay": 0.1, "momentum": 0.95, "nesterov": True, "ns_coefficients": muon.COEFFICIENTS,
     "eps": 1e-7, "ns_steps": 5, "adjust_lr_fn": None, "betas": (0.9, 0.999), "adamw": False, "polar_express": False,
     "maximize": False, **OWN},
    muon.choose, positional=8, chosen=muon.CHOSEN,
))  # fmt: skip


OF_TORCH: dict[str, type[RuleOptimizer]] = {
    folded(cls.__name__): cls
    for cls in (SGD, ASGD, Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Lion, Muon, NAdam, RAdam, RMSprop, Rprop,
                SparseAdam)
}  # fmt: skip
"""The classes with torch's arguments, by their folded names."""


def optimizer(rule: Rule | str, name: str | None = None) -> type[RuleOptimizer]:
    """A ``torch.optim.Optimizer`` class out of any rule or chain, or of the name of one.

    ``"adam"`` and the other names of torch give the class with torch's arguments. Any other class takes the rule's
    settings as keyword arguments (``beta1`` and ``beta2`` together as ``betas``), each a number or a schedule, and
    ``maximize``, ``clip_norm``, ``nonfinite``, ``engine``.

    Raises:
        TypeError: a modifier alone, or something that is no rule. Refused: a rule that no engine can run.
        ValueError: a name of none; the nearest are named.
    """
    if isinstance(rule, str):
        own = OF_TORCH.get(folded(rule.rpartition(".")[2]))
        if own is not None and name is None:
            return own
    rule = admit(rule_of(rule))
    return _made(rule, name or class_name(rule.name))


@functools.cache
def _made(rule: Rule, name: str) -> type[RuleOptimizer]:
    settings = {**(rule.vectors.settings if rule.vectors else {}), **rule.settings}
    all_given(settings, rule.name)
    arguments: dict[str, Any] = {}
    for key, value in settings.items():
        if key == "beta1" and "beta2" in settings:
            arguments["betas"] = tuple(settings[b] for b in ("beta1", "beta2", "beta3") if b in settings)
        elif not ("betas" in arguments and key in ("beta2", "beta3")):
            arguments[key] = value
    arguments |= {"maximize": False, **HINTS, **OWN}
    made = make(Spec(name, rule.doc, arguments, lambda group: rule))
    # its module may not know a class that is made at run time, so it is found through its rule
    made.recipe = rule, name
    made.__reduce_ex__ = lambda self, protocol: (_blank, (rule, name), self.__getstate__())  # type: ignore[method-assign]
    return made


class Named:
    """A class on its way into a pickle, out of which it comes as itself."""

    def __init__(self, recipe: tuple[Rule, str]) -> None:
        self.recipe = recipe

    def __reduce__(self) -> Any:
        return optimizer, self.recipe


def picklable(target: Any) -> Any:
    """``target``, or what stands for it in a pickle: a class that was made at run time."""
    recipe = target.recipe if isinstance(target, type) and issubclass(target, RuleOptimizer) else None
    return target if recipe is None else Named(recipe)


def _blank(rule: Rule, name: str) -> RuleOptimizer:
    made = optimizer(rule, name)
    return made.__new__(made)
