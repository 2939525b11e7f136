"""A training as it went: where the parameters were, and how sharp a valley the rule could bear there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from ....core.rule import Rule
from .edge import EDGES
from .planes import flat


@dataclass(eq=False)
class Trail:
    """Looks at a training.

    Attributes:
        points: (P,) each, what `flat(model)` gives. steps: after how many steps each was taken.
        limits: of each the largest sharpness that the rule bears; NaN where that is not known.
        scales: of each the diagonal (P,) of what the rule scales the coordinates by; None where it does not.
        formula: of the limits, in words.
    """

    points: list[Tensor] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    scales: list[Tensor | None] = field(default_factory=list)
    formula: str = ""
    _looking: tuple[nn.Module, torch.optim.Optimizer] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, model: nn.Module, optimizer: torch.optim.Optimizer) -> Self:
        """A trail that looks at once, and again whenever `look()` is called after a step.

        The limit is known of torch's and this library's SGD, Adam, AdamW and RMSprop without their variants, and of
        this library's other forms of momentum, where all groups have the same.
        """
        made = cls(_looking=(model, optimizer))
        made.look()
        return made

    def __len__(self) -> int:
        return len(self.points)

    def look(self) -> None:
        """Note where the model is now."""
        if self._looking is None:
            raise ValueError("this trail looks at no training; make one by Trail.of(model, optimizer)")
        model, optimizer = self._looking
        steps = [float(state["step"]) for state in optimizer.state.values() if "step" in state]
        t = max(steps, default=float(len(self)))
        found = [_group(optimizer, group, int(t)) for group in optimizer.param_groups]
        known = {(rule.name, tuple(settings.items())) for rule, settings in found if rule is not None}
        owner = {p: n for n, group in enumerate(optimizer.param_groups) for p in group["params"]}
        params = list(model.parameters())
        if len(known) != 1 or len(owner) < sum(p.requires_grad for p in params):
            self.add(flat(model), len(self), None, {}, [], 1)
            return
        rule, settings = found[0]
        assert rule is not None
        name = next((slot.saved_as for slot in rule.slots if slot.name == "v"), "")
        held = [optimizer.state.get(p, {}) for p in params]
        v = [_host(state[name] if name in state else torch.zeros_like(p))
             for p, state in zip(params, held, strict=True)]  # fmt: skip
        self.add(flat(model), len(self), rule, settings, v, t)

    def add(
        self, point: Tensor, step: int, rule: Rule | None, settings: Mapping[str, float], v: list[np.ndarray], t: float
    ) -> None:
        """Note a point. `v`: the averages of squares of all parameters, after `t` steps, where the rule has them."""
        edge = EDGES.get(rule.name) if rule is not None else None
        self.points.append(point)
        self.steps.append(step)
        self.limits.append(np.nan if edge is None else edge.limit(settings))
        self.formula = "" if edge is None else edge.formula
        scaled = edge is not None and edge.scale is not None
        if scaled and not step:
            self.limits[-1] = np.nan  # nothing is averaged yet
        scale = edge.scale(settings, np.concatenate([a.ravel() for a in v]), t) if scaled and step else None  # pyright: ignore[reportOptionalMemberAccess,reportOptionalCall]
        self.scales.append(None if scale is None else torch.from_numpy(scale))


def _host(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float64).numpy()


def _group(optimizer: torch.optim.Optimizer, group: Mapping[str, Any], t: int) -> tuple[Rule | None, dict[str, float]]:
    """The rule of a group and its settings; None where no class of this library says what torch's does."""
    from .... import torch as ours

    spec = getattr(type(optimizer), "spec", None) or getattr(
        getattr(ours, type(optimizer).__name__, None), "spec", None
    )
    if spec is None:
        return None, {}
    group = {**spec.arguments, **group}
    rule = spec.choose(group)
    settings = spec.numbers(group, rule, t)
    settings.pop("weight_decay", None)  # which groups may differ in
    return rule, settings
