"""Policies that switch by themselves: each looks like the optimizer that steps now."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ...core.untraced import untraced
from ...schedules.plateau import Plateau
from ..optim import checkpoint, points
from ..optim.base import RuleOptimizer
from ..optim.classes import picklable
from ..optim.group import given
from .rule import HOOKS, Target, resolved, retire, switch


@untraced
class Policy(torch.optim.Optimizer):
    """What switches between optimizers: groups, state and everything else are those of ``optimizer``, which steps now.

    ``state_dict`` is that of ``optimizer`` with one more key, ``"policy"``, that says which stage it is of.
    A GradScaler divides the gradients itself, before ``step``.
    """

    _step_supports_amp_scaling = False

    def __init__(self, opt: RuleOptimizer) -> None:
        if not isinstance(opt, RuleOptimizer):
            raise TypeError(f"a policy begins with an optimizer of descend.torch, got a {type(opt).__name__}")
        self.optimizer, self.stage = opt, 0
        groups = [dict(given(group)) for group in opt.param_groups]
        self._first = type(opt), groups, dict(opt.defaults), dict(opt._options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "optimizer":
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    @property
    def steps(self) -> int:
        """Steps taken, by all optimizers together."""
        return self.optimizer.steps

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As the optimizer's. A group that comes after a switch is unknown to checkpoints loaded into a new policy."""
        self.optimizer.add_param_group(param_group)
        if self.stage == 0:
            self._first[1].append(dict(given(self.optimizer.param_groups[-1])))

    def _begun(self) -> RuleOptimizer:
        """The first optimizer, as it was made: no state, no steps."""
        kind, groups, defaults, options = self._first
        return kind([{**group, "params": list(group["params"])} for group in groups], **defaults, **options)

    def _switch(self, opt: RuleOptimizer, stage: int) -> RuleOptimizer:
        """``opt``, of stage ``stage``, as the optimizer of the next stage."""
        raise NotImplementedError

    def _stages(self) -> int:
        raise NotImplementedError

    def _next(self) -> None:
        if any("initial_lr" in group for group in self.optimizer.param_groups):
            warnings.warn(
                "a scheduler of torch is attached and goes on with the lr of the rule before; give lr= a schedule of "
                "descend instead", stacklevel=4,
            )  # fmt: skip
        self.optimizer = self._switch(self.optimizer, self.stage)
        self.stage += 1

    def _extra(self) -> dict[str, Any]:
        return {}

    def _load_extra(self, saved: Mapping[str, Any]) -> None:
        pass

    def _to_come(self) -> list[Mapping[str, Any]]:
        """The settings of later stages."""
        return []

    def _plateaus(self) -> list[Plateau]:
        values = [value for settings in self._to_come() for value in settings.values()]
        each = [one for value in values for one in (value if isinstance(value, list) else [value])]
        return [plateau for one in each for plateau in checkpoint.plateaus(one)]

    def state_dict(self) -> dict[str, Any]:
        seen = [plateau.state_dict() for plateau in self._plateaus()]
        more = {**self._extra(), **({"plateaus": seen} if seen else {})}
        return self.optimizer.state_dict() | {"policy": {"stage": self.stage, "steps": self.steps, **more}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a checkpoint of such a policy, of any stage.

        Raises:
            ValueError: it is of none, or does not fit. Nothing has been changed.
        """
        saved = state_dict.get("policy") if isinstance(state_dict, dict) else None
        if not isinstance(saved, dict) or not isinstance(saved.get("stage"), int):
            raise ValueError("this is no checkpoint of a switching policy: it has no 'policy' with its 'stage'")
        mine, theirs = self._plateaus(), saved.get("plateaus", [])
        read = [one for plateau, its in zip(mine, theirs, strict=False) for one in plateau.read_state(its)]
        stage, rest = saved["stage"], {key: value for key, value in state_dict.items() if key != "policy"}
        if not 0 <= stage <= self._stages():
            raise ValueError(f"the checkpoint is of stage {stage}; this policy has {self._stages()} switches")
        if self.optimizer._inside:
            points.refuse(self.optimizer, "load_state_dict()")
        left = points.unmoved(self.optimizer)
        if stage == self.stage:
            self.optimizer.load_state_dict(rest)
        else:
            made = self._begun()
            for i in range(stage):
                made = self._switch(made, i)
            made.load_state_dict(rest)
            if not (made._elsewhere or made._apart):
                points.put(left)
            for hooks in HOOKS:
                setattr(made, hooks, getattr(self.optimizer, hooks))
            retire(self.optimizer, made, " of a checkpoint")
            self.optimizer, self.stage = made, stage
        # a rule without a step count, or one that began anew, does not know how many there were
        self.optimizer.steps = int(saved.get("steps", self.optimizer.steps))
        self.optimizer._show()
        self._load_extra(saved)
        if len(mine) == len(theirs):
            for plateau, its in read:
                vars(plateau).update(its)
        elif mine:
            warnings.warn(
                f"the stages of this policy have {len(mine)} plateaus, and had {len(theirs)} when it was saved: what "
                "they had seen is not taken over", stacklevel=2,
            )  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_first": (picklable(self._first[0]), *self._first[1:])}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        return f"{type(self).__name__}, stage {self.stage} of {self._stages()}: {self.optimizer!r}"


@untraced
class SwitchAt(Policy):
    """What ``switch_at`` returns."""

    def __init__(self, opt: RuleOptimizer, at: Mapping[int, Target | tuple[Target, Mapping[str, Any]]]) -> None:
        super().__init__(opt)
        self.at = sorted((step, *_rule_and_settings(step, value)) for step, value in _checked(at).items())
        trial = self._begun()
        for step, rule, settings in self.at:
            trial.steps = step
            trial = switch(trial, rule, **settings)

    def _stages(self) -> int:
        return len(self.at)

    def _to_come(self) -> list[Mapping[str, Any]]:
        return [settings for *_, settings in self.at]

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"at": [(step, picklable(rule), more) for step, rule, more in self.at]}

    def _switch(self, opt: RuleOptimizer, stage: int) -> RuleOptimizer:
        _, rule, settings = self.at[stage]
        try:
            return switch(opt, rule, **settings)
        except ValueError as error:
            if not opt._state or settings.get("carry") is False:
                raise
            # what no trial without state could know, as an lr that is 0 just now: no reason to end a run
            made = switch(opt, rule, **{**settings, "carry": False})
            why = error.__cause__ or error
            warnings.warn(f"step {opt.steps}: {made.spec.name} begins without state: {why}", stacklevel=4)
            return made

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Switch if it is time, then step."""
        while self.stage < len(self.at) and self.optimizer.steps >= self.at[self.stage][0]:
            self._next()
        return self.optimizer.step(closure)


def switch_at(opt: RuleOptimizer, at: Mapping[int, Target | tuple[Target, Mapping[str, Any]]]) -> SwitchAt:
    """Switch rules at given steps: ``{1000: ("sgd", {"lr": 0.1}), 5000: "nesterov_accumulation"}``.

    Args:
        opt: the optimizer to begin with. at: the number of steps taken -> what ``switch`` takes: a rule, or a rule and
            settings (``at`` and ``carry`` may be among them). The first 1000 steps are taken by the first rule.

    Returns:
        A policy to use in place of the optimizer: ``step``, ``param_groups``, ``state_dict`` and the rest.

    Raises:
        TypeError, ValueError: what ``switch`` would refuse at any of the steps; steps that are no counts.
    """
    return SwitchAt(opt, at)


def _checked(at: Any) -> Mapping[int, Any]:
    if not isinstance(at, Mapping) or not at:
        raise TypeError(f"switch_at takes {{step: rule}}, got {at!r:.60}")
    for step in at:
        if isinstance(step, bool) or not isinstance(step, int) or step < 0:
            raise ValueError(f"switch_at: a step is a whole number from 0 on, got {step!r}")
    return at


def _rule_and_settings(step: int, value: Any) -> tuple[Target, dict[str, Any]]:
    pair: Any = value if isinstance(value, tuple) and len(value) == 2 else (value, {})
    rule, settings = pair
    if not isinstance(settings, Mapping) or "plan" in settings:
        raise TypeError(f"switch_at, step {step}: give a rule, or (rule, settings), got {value!r:.60}")
    resolved(rule)
    return rule, dict(settings)
