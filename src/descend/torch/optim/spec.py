"""What a class needs to know beyond its rules: how torch's arguments choose a rule and its settings."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from logging import WARNING
from typing import Any

import numpy as np
import torch

from ... import rules
from ...core.rule import Rule, chain
from ...core.settings import check_setting, is_number, unknown_setting
from ...optimizer import CLIP
from ...rules import watching
from ...schedules.ahead import refuse_values
from ...schedules.schedule import Schedule
from ...stepping import say_once
from .group_keys import carried

OPTIONS: dict[str, Any] = {"engine": "auto", "nonfinite": "propagate", "telemetry": False}
"""Arguments of every class that are no settings of a group -> default."""
HINTS: dict[str, Any] = {"foreach": None, "capturable": False, "differentiable": False, "fused": None}
_FLAGS = ("maximize", "nesterov", "centered", "amsgrad", "decoupled_weight_decay", "adamw", "polar_express")
OWN: dict[str, Any] = {"clip_norm": None}
BETAS = {"betas": ("beta1", "beta2", "beta3")}

_DECAY = "Give 0, or make a class of a chain that decays: optimizer(chain(rules.decay_l2, rule))."

ROUNDING = 1e-6

# How torch words the refusal of a setting; users and torch's own tests look for these sentences.
_TORCH_WORDS = {"lr": "Invalid learning rate: {}", "eps": "Invalid epsilon value: {}"}


def _admitted(name: str, x: float) -> bool:
    try:
        check_setting(name, x)
    except ValueError:
        return False
    return True


@functools.cache
def _composed(rule: Rule, scaled: bool, watch: str, clip: bool | Rule, maximize: bool, l2: bool) -> Rule:
    stages = [rules.unscale] if scaled else []
    stages += [watching.watch_gradient] if watch else []
    stages += [clip if isinstance(clip, Rule) else CLIP] if clip else []
    stages += [rules.negate] if maximize else []
    stages += [rules.decay_l2] if l2 else []
    behind = [watching.watch_step] if watch else []
    behind += [watching.watch_turn] if watch == "cosine" else []
    return chain(*stages, rule, *behind)


@dataclass(frozen=True)
class Spec:
    """A torch class, as data.

    Attributes:
        arguments: name -> default, in torch's order; a group has these keys.
        choose: the rule (or chain) that a group's arguments ask for.
        positional: how many of the arguments may be given by position.
        tuples: argument -> the settings that its entries are, such as betas -> (beta1, beta2).
        derive: settings that follow from a group in another way.
        sparse: whether the rule of a group may be applied to the rows of a sparse gradient alone.
        limits: setting -> what it must be beside what its name admits, and how torch words the refusal.
        begins: what a new group, by its number, has from the start beyond what every class has, or why it is refused.
        chosen: arguments that are no numbers but choose the rule -> what refuses a value (ValueError).
        missing_step: the step to assume for a checkpoint that has state but no step (torch's SGD).
        fixed: flags that the class stands for, whatever a checkpoint says.
    """

    name: str
    doc: str
    arguments: dict[str, Any]
    choose: Callable[[Mapping[str, Any]], Rule]
    positional: int = 0
    tuples: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: BETAS)
    sparse: Callable[[Rule], bool] = lambda rule: False
    derive: Callable[[Mapping[str, Any]], dict[str, float]] | None = None
    limits: Mapping[str, tuple[Callable[[Any], Any], str]] = field(default_factory=dict)
    begins: Callable[[Any, int], None] = lambda optimizer, i: None
    chosen: Mapping[str, Callable[[Any], None]] = field(default_factory=dict)
    missing_step: int | None = None
    fixed: Mapping[str, bool] = field(default_factory=dict)
    settings: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        flags = {*HINTS, *_FLAGS, *self.chosen}
        object.__setattr__(self, "settings", tuple(n for n in self.arguments if n not in flags))

    def taken(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The arguments that a caller gave, and all options.

        Raises:
            TypeError: too many by position, an unknown one, or two values for one.
        """
        if len(args) > self.positional:
            raise TypeError(f"{self.name} takes at most {self.positional} arguments by position after params")
        given, valid = dict(zip(self.arguments, args, strict=False)), [*self.arguments, *OPTIONS]
        for name, value in kwargs.items():
            if name not in valid:
                raise TypeError(unknown_setting(name, valid, self.name))
            if name in given:
                raise TypeError(f"{self.name} got two values for {name!r}")
            if name in self.fixed and value is not self.fixed[name]:
                raise TypeError(f"{self.name} has {name}={self.fixed[name]}; got {value!r}")
            given[name] = value
        return given, {name: given.pop(name, default) for name, default in OPTIONS.items()}

    def signature(self) -> inspect.Signature:
        """Of the class that is made from this."""
        kinds, names = inspect.Parameter, {"params": inspect.Parameter.empty, **self.arguments, **OPTIONS}
        return inspect.Signature([
            kinds(n, kinds.POSITIONAL_OR_KEYWORD if i <= self.positional else kinds.KEYWORD_ONLY, default=default)
            for i, (n, default) in enumerate(names.items())
        ])  # fmt: skip

    @functools.cached_property
    def newer(self) -> dict[str, Any]:
        """Flags that torch's class of the name sets to their defaults where a checkpoint is older than they are."""
        theirs = getattr(torch.optim, self.name, torch.optim.Optimizer)
        if theirs is torch.optim.Optimizer or "__setstate__" not in vars(theirs):
            return {}
        return {n: d for n, d in self.arguments.items() if n in (*HINTS, *_FLAGS)}

    def takes_complex(self, rule: Rule) -> bool:
        """Complex numbers are stepped as pairs of reals where torch's class of the name does so; matrices are not."""
        return hasattr(torch.optim, self.name) and rule.vectors is None and self.name != "SparseAdam"

    def not_by_rows(self, rule: Rule) -> str | None:
        """Why a group's rule, watched or not, may not be applied to the rows of a sparse gradient alone, or None."""
        stages = [s for s in rule.stages or (rule,) if s not in (*watching.STAGES, rules.negate)]
        if rules.decay_l2 in stages:
            return "the weight_decay option is not compatible with sparse gradients"
        if len(stages) == 1 and self.sparse(stages[0]):
            return None
        if any(map(self.sparse, stages)):
            return f"{self.name} does not take them together with clip_norm or a GradScaler"
        return (
            f"{self.name} does not support sparse gradients with these settings; SGD without momentum, Adagrad and "
            "SparseAdam do"
        )

    def rule(self, group: Mapping[str, Any], clip: bool | Rule, scaled: bool = False, watch: str = "") -> Rule:
        """The rule of a group, with the stages it asks for before it, in torch's order.

        ``clip``: some group of the optimizer clips by global norm, so this one's norm counts; a rule: the stage that
        clips. ``scaled``: the
        gradients are of a scaled loss. ``watch``: "" or what telemetry wants, "norms" or "cosine".
        """
        rule = self.choose(group)
        decay = group["weight_decay"] if "weight_decay" in self.arguments else 0.0
        known = {**rule.settings, **(rule.vectors.settings if rule.vectors else {})}
        l2 = "weight_decay" not in known and (callable(decay) or float(decay) != 0)
        return _composed(rule, scaled, watch, clip, bool(group.get("maximize")), l2)

    def check(self, group: Mapping[str, Any], where: str) -> None:
        """Refuse, by name, an argument that torch refuses (or should).

        Raises:
            TypeError: an unknown argument, or one of the wrong type. ValueError: a value not admitted.
        """
        for name, value in group.items():
            if name not in self.arguments and not self._initial(name) and not carried(name, value, self.arguments):
                words = unknown_setting(name, self.arguments, f"{self.name}{where}")
                raise TypeError(f"{words} {_DECAY}" if name == "weight_decay" else words)
        for name, refuse in self.chosen.items():
            refuse(group[name])
        for name in set(self.arguments) - {*self.settings, *self.chosen}:
            if group[name] not in (True, False, None):
                raise TypeError(f"{self.name}{where}: {name} must be True or False, got {group[name]!r}")
        for name in self.settings:
            value = group[name]
            if name in self.tuples:
                self._check_tuple(name, value, where)
            elif not callable(value) and not (value is None and name in OWN):
                self._check_number(name, value, where)
        if "dampening" in group and group.get("nesterov") and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening" + where)
        if group.get("differentiable"):
            raise ValueError(f"{self.name}{where}: differentiable=True is not supported: a step is no autograd graph")
        if group.get("fused") and group.get("foreach"):
            raise RuntimeError("`fused` and `foreach` cannot be `True` together." + where)

    def lifted(self, group: dict[str, Any]) -> dict[str, Any]:
        """The group, in which what a scheduler has let fall a rounding error below 0 is 0.

        An error is one of at most a millionth of what the setting was before any scheduler, or of the scheduler's
        maximum; of ``lr`` where nobody says, of the class's default.
        """
        for name in self.settings:
            value = group[name]
            if not isinstance(value, int | float | np.number | torch.Tensor) or name in self.tuples:
                continue
            if isinstance(value, torch.Tensor) and (value.numel() != 1 or value.is_meta):
                continue  # refused by ``check``
            if not value < 0:
                continue
            said = [group[key] for key in (f"initial_{name}", f"max_{name}") if key in group]
            said = said or [self.arguments["lr"]] * (name == "lr")
            largest = max((float(x) for x in said if is_number(x)), default=0.0)
            if float(value) >= -ROUNDING * largest and not _admitted(name, float(value)):
                say_once(self.name, f"{self.name}: {name} fell a rounding error below 0, so 0 is used", WARNING)
                group = {**group, name: 0.0}
        return group

    def _initial(self, key: str) -> bool:
        """Whether a key says what a setting was before any scheduler."""
        parts = (part for name, parts in self.tuples.items() if name in self.arguments for part in parts)
        return key.startswith("initial_") and key.removeprefix("initial_") in (*self.settings, *parts)

    def look_ahead(self, group: Mapping[str, Any], where: str) -> None:
        """Refuse a schedule that a setting will not admit at some step.

        Raises:
            ValueError: the setting, the value and the step.
        """
        for name in self.settings:
            values = group[name] if name in self.tuples else (group[name],)
            for setting, value in zip(self.tuples.get(name, (name,)), values, strict=False):
                if isinstance(value, Schedule):
                    refuse_values(value, setting, self.name + where, also=self.limits.get(setting, (None,))[0])

    def _check_tuple(self, name: str, values: Any, where: str) -> None:
        count = len(self.arguments[name])
        if not isinstance(values, tuple | list) or len(values) != count:
            raise TypeError(f"{self.name}{where}: {name} must be {count} numbers or schedules, got {values!r}")
        tensors = [isinstance(x, torch.Tensor) for x in values]
        if any(tensors) and not all(tensors):
            raise ValueError(f"{name} must be either both floats or both Tensors" + where)
        for i, x in enumerate(values):
            if callable(x) or (x is None and self.arguments[name][i] is None):
                continue
            number = self._number(name, x, where)
            if not (0 <= number < 1 if name == "betas" else 0 <= number < math.inf):
                words = (
                    f"Invalid beta parameter at index {i}: {x}"
                    if name == "betas"
                    else f"Invalid {name} value: {values}"
                )
                raise ValueError(words + where)
            self._check_limit(self.tuples[name][i], number, where, values)

    def _check_number(self, name: str, value: Any, where: str) -> None:
        x = self._number(name, value, where)
        words = _TORCH_WORDS.get(name, f"Invalid {name} value: {{}}")
        try:
            check_setting(name, x, self.name)
        except ValueError:
            raise ValueError(words.format(value) + where) from None
        self._check_limit(name, x, where, x)

    def _check_limit(self, setting: str, x: float, where: str, shown: Any) -> None:
        within, words = self.limits.get(setting, (None, ""))
        if within is not None and not within(x):
            raise ValueError(words.format(shown) + where)

    def _number(self, name: str, value: Any, where: str) -> float:
        if isinstance(value, torch.Tensor):
            if value.numel() != 1:
                raise ValueError(f"Tensor {name} must be 1-element" + where)
            value = value.detach()
        if not is_number(value):
            raise TypeError(f"{self.name}{where}: {name} must be a number or a schedule, got {value!r}")
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            shown = f"{value!r:.40}"
            raise ValueError(f"{self.name}{where}: {name} must be one number, got {shown}: {error}") from None

    def numbers(self, group: Mapping[str, Any], rule: Rule, step: int, scale: float | None = None) -> dict[str, float]:
        """The settings of ``rule`` in this group at this step, schedules evaluated and tensors read."""
        found: dict[str, Any] = {"loss_scale": scale} if scale is not None else {}
        for name in self.settings:
            value = group[name]
            if name in self.tuples:
                found |= dict(zip(self.tuples[name], value, strict=False))
            else:
                found[name] = value
        if self.derive is not None:
            found |= self.derive(group)
        if found.get("clip_norm") is None:
            found["clip_norm"] = math.inf  # another group clips, and this one's gradients count in the norm
        values = {}
        of_vectors = rule.vectors.settings if rule.vectors else {}
        for name, default in {**of_vectors, **rule.settings}.items():
            value = found.get(name, default)
            value = value.detach() if isinstance(value, torch.Tensor) else value
            values[name] = check_setting(name, value(step) if callable(value) else value, self.name)
            # plain numbers have passed ``check``: what is beyond its limit here is what a schedule says of this step
            self._check_limit(name, values[name], f", at step {step}", values[name])
        return values

    def at(self, name: str, places: Mapping[int, Any], step: int) -> dict[int, float]:
        """What the schedules at some places of an argument say of a step.

        Raises:
            TypeError, ValueError: a value not admitted; besides, what a schedule raises.
        """
        names = self.tuples.get(name, (name,))
        return {
            # times one: a number of its own, so that any other that is assigned is told from it
            i: check_setting(names[i] if i < len(names) else name, schedule(step), self.name) * 1.0
            for i, schedule in places.items()
        }

    def read(self, group: Mapping[str, Any], setting: str) -> Any:
        """An argument of a group, or one number of a tuple there.

        Raises:
            ValueError: there is none of the name.
        """
        if setting in self.arguments:
            return group[setting]
        for name, parts in self.tuples.items():
            if name in self.arguments and setting in parts[: len(self.arguments[name])]:
                return group[name][parts.index(setting)]
        raise ValueError(unknown_setting(setting, self.arguments, self.name))

    def shown(self, group: Mapping[str, Any]) -> str:
        """What a group's keys hold, without those that say nothing."""
        keys = [*self.arguments, *sorted(set(group) - set(self.arguments) - {"params", "param_names"})]
        keys = [key for key in keys if not key.startswith(("initial_lr", "schedule_"))]
        silent = [key for key in keys if key in self.fixed or group.get(key) is None or group[key] is False]
        return ", ".join(f"{key}={group[key]!r}" for key in keys if key not in silent)
