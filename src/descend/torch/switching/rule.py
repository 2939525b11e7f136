"""``switch``: another rule in the middle of a run, which takes over the state that means the same to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, overload

import torch

from ...core.rule import Rule
from ...core.settings import unknown_setting
from ...engines import load
from ..optim import points
from ..optim.base import RuleOptimizer
from ..optim.classes import optimizer
from ..optim.spec import OPTIONS
from ..sharded import parts, refusals
from ..step.leaf import Leaf
from .handover import Handover
from .plan import SwitchPlan
from .settings import GroupSettings, settle
from .words import page

Target = str | Rule | type[RuleOptimizer]

HOOKS = (
    "_optimizer_step_pre_hooks", "_optimizer_step_post_hooks", "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks", "_optimizer_load_state_dict_pre_hooks", "_optimizer_load_state_dict_post_hooks",
)  # fmt: skip


@overload
def switch(
    opt: RuleOptimizer,
    rule: Target,
    *,
    plan: Literal[False] = False,
    at: str = "trained",
    carry: bool = True,
    **settings: Any,
) -> RuleOptimizer: ...
@overload
def switch(
    opt: RuleOptimizer, rule: Target, *, plan: Literal[True], at: str = "trained", carry: bool = True, **settings: Any
) -> SwitchPlan: ...
def switch(
    opt: RuleOptimizer, rule: Target, *, plan: bool = False, at: str = "trained", carry: bool = True, **settings: Any
) -> RuleOptimizer | SwitchPlan:
    """Go on with another rule: a new optimizer of the same parameters, groups and names; the old one steps no more.

    State that means the same is carried: with equal decays bit for bit, between a mean, a sum and a velocity converted.
    A rule that divides by something the last one did not keep begins anew as a whole, its step count too. Settings are
    the given ones, else kept or converted where they mean the same, else the default. Schedules go on at ``opt.steps``.

    Args:
        opt: an optimizer of ``descend.torch``. rule: a class of it, a rule or chain, or the name of one of these.
        plan: change nothing; print what would be carried, converted and begun anew, and return that.
        at: ``"trained"``, go on from the parameters as they are, or ``"shipped"``, from what the rule ships.
        carry: False begins without any state.
        settings: of the new class, for all groups; a list holds one value per group. ``engine``, ``nonfinite`` and
            ``telemetry`` may be among them.

    Raises:
        TypeError: no optimizer of ``descend.torch``, no rule, or an unknown setting.
        ValueError: lr (or something else) would mean another thing and is not given; a value that is not admitted; a
            state of which a part is gone. RuntimeError: ``opt`` has been switched before, or is stepping.
            Nothing has been changed then.
    """
    made = Switch(opt, rule, at, carry, settings)
    if plan:
        found = page(made)
        found.show()
        return found
    return made.carry_out()


def resolved(rule: Target) -> type[RuleOptimizer]:
    """The class that a name, a rule or a class means.

    Raises:
        TypeError, ValueError: it means none.
    """
    if isinstance(rule, Rule | str):
        return optimizer(rule)
    if not isinstance(rule, type) or not issubclass(rule, RuleOptimizer) or "spec" not in vars(rule):
        raise TypeError(f"switch() takes a class of descend.torch, a rule, a chain or the name of one; got {rule!r}")
    return rule


@dataclass(frozen=True)
class _Group:
    """One group, handed over: what its tensors with rows and columns do, and what its vectors do."""

    params: list[torch.Tensor]
    settings: GroupSettings
    hands: dict[bool, Handover]

    def hand(self, p: torch.Tensor) -> Handover:
        return self.hands[p.dim() > 1]


class Switch:
    """A switch that is worked out but not done: everything validated, nothing changed."""

    def __init__(self, opt: RuleOptimizer, rule: Target, at: str, carry: bool, settings: Mapping[str, Any]) -> None:
        if not isinstance(opt, RuleOptimizer):
            name = type(opt).__name__
            foreign = isinstance(opt, torch.optim.Optimizer) and type(opt).__module__.startswith("torch.")
            hint = f": make a descend.torch.{name} and load its state_dict" if foreign else ""
            raise TypeError(f"switch() takes an optimizer of descend.torch, got a {name}{hint}")
        if opt._successor is not None:
            raise RuntimeError(f"this {opt.spec.name} was switched to {opt._successor.spec.name} before")
        points.refuse(opt, "switch()")
        if at not in ("trained", "shipped"):
            raise ValueError(f'at must be "trained" or "shipped", got {at!r}')
        load("torch")  # registers the words of the vocabulary for tensors
        self.opt, self.cls, self.at, self.carry = opt, resolved(rule), at, carry
        spec = self.cls.spec
        for name in settings:
            if name not in spec.arguments and name not in OPTIONS:
                raise TypeError(unknown_setting(name, [*spec.arguments, *OPTIONS], spec.name))
        self.options = {**opt._options, **{name: settings[name] for name in OPTIONS if name in settings}}
        self.given = {name: value for name, value in settings.items() if name not in OPTIONS}
        self.groups = [self._group(i, group) for i, group in enumerate(opt.param_groups)]
        for i, group in enumerate(self.groups):
            if not spec.takes_complex(group.settings.rule) and any(p.is_complex() for p in group.params):
                raise ValueError(f"{spec.name} does not support the complex parameters of group {i}")
        if at == "shipped" and not any(h.source.shipped_point for g in self.groups for h in g.hands.values()):
            raise ValueError(f'{opt.spec.name} ships the point it trains: leave out at="shipped"')

    def _group(self, i: int, group: dict[str, Any]) -> _Group:
        made = settle(self.opt, group, self.cls.spec, self._given(i))
        shipped = self.at == "shipped"
        hands = {
            wide: Handover(
                made.source.of(shape), made.before, made.rule.of(shape), made.numbers, self.carry, shipped
            )
            for wide, shape in ((True, (2, 2)), (False, ()))
        }  # fmt: skip
        return _Group(group["params"], made, hands)

    def _given(self, i: int) -> dict[str, Any]:
        """The given settings of one group: a list holds a value for each."""
        found, count = {}, len(self.opt.param_groups)
        for name, value in self.given.items():
            several = isinstance(value, list) and not isinstance(self.cls.spec.arguments[name], tuple)
            if several and len(value) != count:
                raise ValueError(f"switch(): {name} has {len(value)} values, and there are {count} groups")
            found[name] = value[i] if several else value
        return found

    def successor(self) -> tuple[RuleOptimizer, dict[torch.Tensor, torch.Tensor]]:
        """The new optimizer with its state, and where parameters must move; nothing is changed yet.

        Raises:
            ValueError, TypeError: settings or state that do not fit.
        """
        opt = self.opt
        defaults = settle(opt, opt.defaults, self.cls.spec, self._given(0)).values
        groups = []
        for old, group in zip(opt.param_groups, self.groups, strict=True):
            names = {"param_names": list(old["param_names"])} if "param_names" in old else {}
            groups.append({"params": list(group.params), **names, **group.settings.labels, **group.settings.values})
        made = self.cls(groups, **defaults, **self.options)
        state, moves = self._state()
        made.state = state
        made.steps, made.skipped, made._zero = opt.steps, opt.skipped, opt._zero
        made._show()
        for hooks in HOOKS:  # the same dictionaries, so that handles go on to remove what they added
            setattr(made, hooks, getattr(opt, hooks))
        return made, moves

    def _state(self) -> tuple[dict[torch.Tensor, dict[str, Any]], dict[torch.Tensor, torch.Tensor]]:
        state: dict[torch.Tensor, dict[str, Any]] = {}
        moves: dict[torch.Tensor, torch.Tensor] = {}
        share = refusals.share(self.opt)
        with torch.inference_mode(False), torch.no_grad():
            if self.at == "shipped":
                moves = {p: point().to(p.dtype) for p, point in points._points(self.opt, "shipped_point")}
            for i, group in enumerate(self.groups):
                for k, p in enumerate(group.params):
                    name = parts.named(self.opt.param_groups[i], i, k)
                    hand, here = group.hand(p), parts.part(p)
                    held = {key: parts.part(value) for key, value in self.opt._begun(p).items()}
                    refusals.refuse(self.cls.spec.name, hand.target, name, parts.is_split(p), share)
                    try:
                        entries, point = hand.state(Leaf(i, here, here, name, held), parts.part(moves.get(p)))
                    except ValueError as error:
                        way = f"{self.opt.spec.name} to {self.cls.spec.name}"
                        where = "" if name in str(error) else f", {name}"
                        raise ValueError(f"switch() from {way}{where}: {error}; or give carry=False") from error
                    if entries:
                        state[p] = hand.placed(entries, p)
                    if point is not None:
                        moves[p] = point
        return state, moves

    def carry_out(self) -> RuleOptimizer:
        """Do it.

        Raises:
            RuntimeError: the optimizer is stepping in another thread. ValueError: see ``successor``.
        """
        opt = self.opt
        if not opt._lock.acquire(blocking=False):
            raise RuntimeError(f"{opt.spec.name}.step() is running in another thread; switch between steps")
        try:
            made, moves = self.successor()
            with torch.no_grad():
                for p, point in moves.items():
                    parts.part(p).copy_(parts.part(point))
            retire(opt, made)
        finally:
            opt._lock.release()
        return made


def retire(opt: RuleOptimizer, successor: RuleOptimizer, where: str = "") -> None:
    """Make every later step of the old optimizer an error, and its empty checkpoint: the state is the new one's."""
    name = successor.spec.name + where

    def refuse() -> None:
        raise RuntimeError(
            f"this {opt.spec.name} was switched to {name}: step and save the optimizer that switch() returned"
        )

    opt._successor = successor
    opt.__dict__["_update"] = opt.__dict__["state_dict"] = refuse
    opt.state = {}
    opt._elsewhere, opt._apart = "", {}
