"""Alarms: which tensor deserves a look and why, from the measurements of a run; said once per episode."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from ...core.settings import check_count
from ...core.shown import Shown
from ..optim.base import RuleOptimizer
from ..step.telemetry import RATIO, Measured, of_all, stored
from .alarm import ADVICE, Alarm, dead, exploding, frozen, missing, nonfinite, runaway, summary
from .running_median import RunningMedian

__all__ = ["Alarm", "Alarms", "summary"]

FROZEN = 1e-7
"""Update/weight below which float32 weights practically stand still: its spacing is 6e-8 to 1.2e-7 of a number."""
NOISE = 1e-6
"""Of the norm of all gradients: a tensor's below it is what rounding leaves, as of a bias before a normalisation."""
SAMPLE = 4096


@dataclass
class _Episode:
    """One kind of trouble of one tensor: when it began, and whether it was said."""

    since: int = 0
    looks: int = 0  # in a row at which it was so
    quiet: int = 0  # in a row at which it was not, since it was said
    said: Alarm | None = None


class _Tensor:
    def __init__(self, window: int) -> None:
        self.gradient, self.ratio = RunningMedian(window), RunningMedian(window)
        self.episodes = {kind: _Episode() for kind in ADVICE}
        self.sample: torch.Tensor | None = None


class Alarms(Shown):
    """Looks at ``optimizer.telemetry`` when told to, and says what is new.

    An alarm is raised once; again only after ``rest`` looks in a row without it. The thresholds are habits, no laws:

    * exploding: gradient norm, or update/weight ratio above ten times 1e-3, is over ``factor`` times its running
      median, and over three times all of the older half of its window. A level that lasts becomes the median, and so
      ends the episode. Gradients below a millionth of all together are rounding. Before a tenth of the window is
      known: all gradients together are over ``factor`` times those of the first look, and a step moves the weights by
      over a tenth of their size.
    * dead: the gradient was exactly zero, or there was none, at every look for ``patience`` steps.
    * frozen: for ``patience`` steps update/weight stays below 1e-7, or the weights keep their bits, while the gradient
      is not zero. Weights of 16 bits are compared in a sample of 4096.
    * nonfinite: NaN or infinity in the gradient or the weights, or a step that was skipped for it. Steps that a
      GradScaler skips to find its scale count from the fifth in a row on. With ``nonfinite="raise"`` the exception
      says it instead, and no hook runs.

    Args:
        optimizer: made with ``telemetry=``. names: a model or ``model.named_parameters()``; else the groups' own names.
        factor: over the median. patience: in steps; three looks at least. window: of the median, in looks. rest: in
            looks.
    Raises:
        ValueError: the optimizer measures nothing, or a threshold makes no sense.
    """

    def __init__(
        self,
        optimizer: RuleOptimizer,
        *,
        names: torch.nn.Module | Iterable[tuple[str, torch.Tensor]] | None = None,
        factor: float = 10.0,
        patience: int = 20,
        window: int = 100,
        rest: int = 5,
    ) -> None:
        if not factor > 1:
            raise ValueError(f"factor must be above 1, got {factor!r}")
        for name, value, least in (("patience", patience, 1), ("window", window, 10), ("rest", rest, 1)):
            check_count(name, value, least)
        self.telemetry = optimizer.telemetry if names is None else optimizer.telemetry.named(names)
        self.factor, self.patience, self.window, self.rest = factor, patience, window, rest
        self._tensors: dict[tuple[int, int], _Tensor] = {}
        self._at = (self.telemetry.step, self.telemetry.skipped)
        self._skipped_in_a_row = 0
        self._begun = 0.0  # the norm of all gradients at the first look

    def __repr__(self) -> str:
        return f"<alarms on {self.telemetry!r}, {len(self.active)} active>"

    def __str__(self) -> str:
        return "\n".join(map(str, self.active)) or f"no alarm at step {self._at[0]}"

    @property
    def active(self) -> list[Alarm]:
        """The alarms of the episodes that last."""
        said = (e.said for t in self._tensors.values() for e in t.episodes.values() if e.quiet == 0)
        return [alarm for alarm in said if alarm is not None]

    def look(self) -> list[Alarm]:
        """Judge the last step; the alarms that are new. Nothing new where no step was taken or skipped since."""
        step, skipped = at = (self.telemetry.step, self.telemetry.skipped)
        if at == self._at:
            return []
        more, moved = skipped > self._at[1], step != self._at[0]
        self._skipped_in_a_row = self._skipped_in_a_row * (not moved) + (skipped - self._at[1]) if more else 0
        self._at = at
        found = self._judge(step) if moved else []
        scaling = "found_inf" in self.telemetry._optimizer.__dict__
        if more and self._skipped_in_a_row >= (5 if scaling else 1):
            found += self._blame(step)
        return found

    # ---------------------------------------------------------------- what is wrong

    def _judge(self, step: int) -> list[Alarm]:
        new: list[Alarm] = []
        found = dict(self.telemetry._read())
        total = of_all(list(found.values()))
        if total is None or not total.elements:
            return new
        self._begun = self._begun or total.gradient_norm
        for i, group in enumerate(self.telemetry._optimizer.param_groups):
            for k, p in enumerate(group["params"]):
                m, tensor = found.get((i, k)), self._tensors.setdefault((i, k), _Tensor(self.window))
                troubles: Iterable[tuple[str, str]] = ()
                if m is None and p.requires_grad:
                    troubles = [("dead", missing(tensor.episodes["dead"].looks + 1))]
                elif m is not None and m.elements:
                    troubles = self._troubles(p, m, tensor, total)
                for kind, seen in troubles:
                    new += self._take(tensor, kind, seen, i, self.telemetry._name(i, k, p), step)
        return new

    def _troubles(self, p: torch.Tensor, m: Measured, tensor: _Tensor, total: Measured) -> Iterator[tuple[str, str]]:
        """Every kind of trouble, with what was seen, or with "" where all is well."""
        finite = m.nonfinite == 0 and math.isfinite(m.weight_norm)
        yield "nonfinite", "" if finite else nonfinite(m)
        yield "exploding", self._explosion(m, tensor, total) if finite else ""
        # squares of gradients below 1e-23 are zero in float32: the gradient itself knows, while it is there
        zero = m.gradient_norm == 0 and (p.grad is None or not bool(stored(p.grad).any()))
        yield "dead", dead(m, tensor.episodes["dead"].looks + 1) if zero else ""
        group = self.telemetry._optimizer.param_groups[m.group]
        same = self._same_bits(p, tensor)
        still = m.update_norm == 0 or m.ratio < FROZEN or same > 0
        stuck = finite and m.gradient_norm > 0 and still
        yield "frozen", frozen(m, self.telemetry._lr(group), same, p.dtype) if stuck else ""

    def _explosion(self, m: Measured, tensor: _Tensor, total: Measured) -> str:
        factor = self.factor / 3 if tensor.episodes["exploding"].said else self.factor  # it must fall well below
        over: list[tuple[str, float, float, int]] = []
        early = ""
        noise = NOISE * total.gradient_norm if math.isfinite(total.gradient_norm) else 0.0
        for what, value, floor, median in (
            ("gradient norm", m.gradient_norm, noise, tensor.gradient),
            ("update/weight ratio", m.ratio, 10 * RATIO, tensor.ratio),
        ):
            usual, known = median.value, median.count >= self.window // 10
            if usual and value > max(factor * usual, floor):
                # where gradients vary much, as near a loss of zero, such values are usual, too
                if known and (tensor.episodes["exploding"].said or value > 3 * median.largest_before):
                    over.append((what, value, usual, median.count))
                elif not known and median is tensor.gradient:
                    early = self._early(m, total)
            if 0 < value < math.inf:
                median.add(value)
        return exploding(over) if over else early

    def _early(self, m: Measured, total: Measured) -> str:
        """Whether the whole runs away before anybody knows what is usual."""
        grown = total.gradient_norm / self._begun if self._begun else 0.0
        return runaway(m, grown, total.ratio) if grown > self.factor and total.ratio > 100 * RATIO else ""

    def _same_bits(self, p: torch.Tensor, tensor: _Tensor) -> int:
        """How many weights of 16 bits were compared with the last look, if they all have the same bits; else 0."""
        if p.dtype not in (torch.bfloat16, torch.float16):
            return 0
        stride = max(1, p.numel() // SAMPLE)
        before, tensor.sample = tensor.sample, p.detach().reshape(-1)[::stride][:SAMPLE].clone()
        return len(tensor.sample) if before is not None and torch.equal(before, tensor.sample) else 0

    def _blame(self, step: int) -> list[Alarm]:
        """A step was skipped: the tensors whose gradients, which still stand, are not finite."""
        bad = {id(p): name for name, p in self.telemetry._nonfinite()}
        new = []
        for i, group in enumerate(self.telemetry._optimizer.param_groups):
            for k, p in enumerate(group["params"]):
                if id(p) in bad:
                    tensor = self._tensors.setdefault((i, k), _Tensor(self.window))
                    seen = f"its gradient holds NaN or infinity, and the step was skipped ({self._at[1]} so far)"
                    new += self._take(tensor, "nonfinite", seen, i, bad[id(p)], step + 1)
        return new

    # ---------------------------------------------------------------- when to say it

    def _take(self, tensor: _Tensor, kind: str, seen: str, group: int, name: str, step: int) -> list[Alarm]:
        episode = tensor.episodes[kind]
        if not seen:
            episode.looks = 0
            if episode.said:
                episode.quiet += 1
                if episode.quiet >= self.rest:
                    tensor.episodes[kind] = _Episode()
            return []
        if not episode.looks:
            episode.since = step
        episode.looks += 1
        episode.quiet = 0
        lasting = kind in ("dead", "frozen")
        if episode.said or (lasting and (step - episode.since < self.patience or episode.looks < 3)):
            return []
        episode.said = Alarm(kind, name, group, step, episode.since, seen, ADVICE[kind])
        return [episode.said]
