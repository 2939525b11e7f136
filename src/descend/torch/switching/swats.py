"""SWATS: begin with Adam, end with SGD, at the step and with the lr that Adam's own steps suggest."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ...core.rule import Rule
from ...core.untraced import untraced
from ...rules import adam
from ...rules.state import meaning
from ..optim.base import RuleOptimizer
from ..optim.group import given
from .handover import base
from .policy import Policy
from .rule import switch
from .settings import scaled


@untraced
class Swats(Policy):
    """What ``swats`` returns.

    Attributes:
        k: Adam's steps seen. projected: γ, the lr of plain gradient descent whose step, projected on Adam's last one,
            equals it; None before the first step and where the two are at right angles. average: its average, corrected
            for its start at zero. switched: the number of steps at the switch, or None.
    """

    def __init__(self, opt: RuleOptimizer, lr: Any, eps: float, carry: bool, settings: Mapping[str, Any]) -> None:
        super().__init__(opt)
        if not 0 < eps < float("inf"):
            raise ValueError(f"eps must be positive, got {eps!r}")
        self.lr, self.eps, self.carry, self.settings = lr, float(eps), carry, dict(settings)
        self.k, self._sum, self._weight = 0, 0.0, 0.0
        self.projected: float | None = None
        self.switched: int | None = None
        for group in _numbers(opt):
            rule, numbers = base(group[0]), group[1]
            if meaning.lr_ratio(rule, numbers, adam, numbers) != 1 or not {"beta1", "beta2"} <= set(numbers):
                raise ValueError(f"SWATS begins with a rule of Adam's kind, with lr and betas; {rule.name} is none")
        self._switch(self._begun(), 0)

    @property
    def average(self) -> float | None:
        return self._sum / self._weight if self._weight else None

    def _stages(self) -> int:
        return 1

    def _to_come(self) -> list[Mapping[str, Any]]:
        return [{"lr": self.lr, **self.settings}]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of Adam, measured, and perhaps the switch behind it; or a step of SGD."""
        if self.stage:
            return self.optimizer.step(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        opt, taken, numbers = self.optimizer, self.optimizer.steps, _numbers(self.optimizer)
        having = [[p for p in group["params"] if p.grad is not None] for group in opt.param_groups]
        with torch.no_grad():
            old = [[p.detach().clone(memory_format=torch.preserve_format) for p in group] for group in having]
            seen = self._seen(having)
        opt.step()
        if opt.steps > taken:
            with torch.no_grad():
                self._measure(having, old, seen, numbers)
            self._decide(numbers)
        return loss

    def _seen(self, having: list[list[torch.Tensor]]) -> list[tuple[float, float]]:
        """What each group makes of a gradient before the rule sees it: times the first (clipped, turned round for
        maximize), plus the second times the parameters (L2 decay)."""
        opt, made = self.optimizer, []
        norm = 0.0
        if any(group.get("clip_norm") is not None for group in opt.param_groups):
            norm = sum(float(_real(p.grad).double().square().sum()) for group in having for p in group) ** 0.5
        for group, (rule, _) in zip(map(given, opt.param_groups), _numbers(opt), strict=True):
            clip, l2 = group.get("clip_norm"), any(stage.name == "decay_l2" for stage in rule.stages)
            share = 1.0 if clip is None else min(1.0, _number(clip, opt.steps) / (norm + 1e-6))
            decay = _number(group["weight_decay"], opt.steps) if l2 else 0.0
            made.append((-share if group.get("maximize") else share, decay))
        return made

    def _measure(self, having: Any, old: Any, seen: Any, numbers: list[tuple[Rule, dict[str, float]]]) -> None:
        """One more γ in the average (Algorithm 1, lines 14-16); all parameters are one vector."""
        beta2, rates = numbers[0][1]["beta2"], _shares(numbers)
        self.k += 1
        square, along = 0.0, 0.0
        for params, before, (share, decay), (rule, s), rate in zip(having, old, seen, numbers, rates, strict=True):
            apart = s["lr"] * s["weight_decay"] if "weight_decay" in base(rule).settings else 0.0
            for p, start in zip(params, before, strict=True):
                begin = _real(start).double()
                step = _real(p).double() - begin + apart * begin
                square += float((step * step).sum())
                along += rate * float((step * (share * _real(p.grad).double() + decay * begin)).sum())
        self.projected = square / -along if along else None
        self._weight = 1 - beta2**self.k
        if self.projected is not None:
            self._sum = beta2 * self._sum + (1 - beta2) * self.projected

    def _decide(self, numbers: list[tuple[Any, dict[str, float]]]) -> None:
        if self.projected is None or self.k < 2 or self.average is None:
            return
        if abs(self.average - self.projected) < self.eps and self.average > 0:
            self.switched = self.steps
            self._next()

    def _switch(self, opt: RuleOptimizer, stage: int) -> RuleOptimizer:
        numbers = _numbers(opt)
        momenta = [s["beta1"] for _, s in numbers]
        rate = self.average if self.average is not None and self.average > 0 else 1.0
        asked = self.settings.get("momentum")
        lr = []
        groups = map(given, opt.param_groups)
        for group, (_, s), share, own in zip(groups, numbers, _shares(numbers), momenta, strict=True):
            momentum = own if asked is None else _number(asked, opt.steps)
            value = (1 - momentum) * rate * share
            lr.append(scaled(group["lr"], value / s["lr"]) if callable(group["lr"]) and s["lr"] else value)
        made: dict[str, Any] = {"lr": lr if self.lr is None else self.lr, "momentum": momenta, **self.settings}
        return switch(opt, "sgd", carry=self.carry, **made)

    def _extra(self) -> dict[str, Any]:
        return {"k": self.k, "sum": self._sum, "weight": self._weight, "switched": self.switched}

    def _load_extra(self, saved: Mapping[str, Any]) -> None:
        self.k, self._sum, self._weight = int(saved["k"]), float(saved["sum"]), float(saved["weight"])
        self.switched, self.projected = saved["switched"], None


def swats(opt: RuleOptimizer, lr: Any = None, *, eps: float = 1e-9, carry: bool = False, **settings: Any) -> Swats:
    """Adam first, SGD with momentum later: SWATS (Keskar & Socher 2017, Algorithm 1), as a policy on top of ``switch``.

    After each step p of Adam, with the gradient g, γ = p·p / (−p·g) is the rate at which a step of gradient descent
    has p as its projection on p. Once γ is within ``eps`` of its own average Λ (decay β₂, corrected for its start at
    zero), SGD with momentum β₁ takes over, at lr = (1 − β₁) Λ.

    Args:
        opt: an optimizer of Adam's kind. The paper's ε̂ is that of ``AdamEpsilonHat``.
        lr: of SGD; None for the projected one. A schedule of Adam's lr goes on, scaled.
        eps: the paper's; an absolute difference of rates, so 1e-9 fires late or never on noisy gradients; 1e-5 is
            in use.
        carry: whether SGD's momentum begins at Adam's; the paper begins it at zero.
        settings: of SGD, such as ``weight_decay`` or ``nesterov``.

    Dialect: γ is taken of the step without decoupled decay and the gradient as the rule sees it, clipped and with L2. A
    group whose lr is r times the largest counts with r · g, and has r times the lr afterwards. No switch while Λ ≤ 0.

    Returns:
        A policy to use in place of the optimizer; costs a copy of the parameters until it has switched.

    Raises:
        ValueError: a rule that is not of Adam's kind; eps that is not positive; what ``switch`` refuses.
    """
    return Swats(opt, lr, eps, carry, settings)


def _numbers(opt: RuleOptimizer) -> list[tuple[Rule, dict[str, float]]]:
    """The rule and the settings of each group at the step to come."""
    filled = [opt.spec.lifted({**opt.spec.arguments, **given(group)}) for group in opt.param_groups]
    made = [opt.spec.rule(group, False) for group in filled]
    return [(rule, opt.spec.numbers(g, rule, opt.steps)) for g, rule in zip(filled, made, strict=True)]


def _shares(numbers: list[tuple[Any, dict[str, float]]]) -> list[float]:
    """The lr of each group in parts of the largest."""
    largest = max(s["lr"] for _, s in numbers)
    return [s["lr"] / largest if largest else 1.0 for _, s in numbers]


def _number(value: Any, step: int) -> float:
    x: Any = value(step) if callable(value) else value
    return float(x)


def _real(x: Any) -> torch.Tensor:
    x = x.detach()
    x = x.to_dense() if x.layout is not torch.strided else x
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
