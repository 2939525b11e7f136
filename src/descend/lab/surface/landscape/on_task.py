"""Landscapes of the lab's tasks and of training scripts: rules trained from one start, and the loss around them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, mse_loss
from torch.nn.modules.batchnorm import _BatchNorm

from ....core.rule import Rule
from ....optimizer import Optimizer
from ....stepping import settle
from ...tasks.perceptron import Perceptron
from ...tasks.problem import Array, Problem
from ...tasks.task import Task, TaskError
from ...tasks.torch_module import TorchModule
from .along import Sharpness
from .losses import Losses, Until
from .planes import directions, plane_at, plane_of
from .shadow import Landscape
from .sharpness import sharpness_of
from .trail import Trail

EXAMPLES, BATCHES = 900, 8  # that a loss is the mean of: fewer than an epoch of the digits
LOOKS = 60  # points of a path
STEPS = 300
EXPLODED = 100.0  # times the first loss: there a training has diverged
FARTHEST = 8  # half decades from a rule's own rate that are tried


Run = tuple[Trail, int | None]
"""A training, and the step at which it diverged."""


class OfTask(Losses):
    """The mean training loss of a task over its first batches of seed 0: about 900 examples, 8 batches at most.

    Dropout is off; batches are normalised by their own statistics, for those of a training are of its last point alone.
    """

    def __init__(self, problem: Problem, card: Task, seed: int) -> None:
        super().__init__(torch.from_numpy(p) for p in problem.init(seed))
        self.problem, self.card = problem, card
        wanted = max(1, EXAMPLES // card.batch) if card.batch else BATCHES
        wanted = wanted if isinstance(problem, Perceptron) else min(wanted, BATCHES)
        seen: dict[Any, Any] = {}  # a script may give the same tensors again, in the next epoch
        for batch in islice(problem.batches(0, wanted), wanted):
            seen.setdefault(tuple(map(id, batch)) if isinstance(batch, tuple | list) else id(batch), batch)
        self.data = list(seen.values())
        if isinstance(problem, Perceptron):  # as one batch: the same mean, sooner; so all of them
            parts = (np.concatenate(part) for part in zip(*self.data, strict=True))
            self.data = [tuple(map(torch.from_numpy, parts))]

    def __call__(self, vector: Tensor) -> float:
        if isinstance(self.problem, Perceptron | TorchModule):
            return super().__call__(vector)
        params = [part.numpy() for part in self.parts(vector)]
        return float(np.mean([self.problem.loss_and_grads(params, batch)[0] for batch in self.data]))

    def gradient(self, params: list[Array]) -> tuple[float, list[Array]]:
        """Of this same loss: what a full batch gives."""
        data: list[Any] = self.data
        if isinstance(self.problem, Perceptron):
            data = [tuple(part.numpy() for part in self.data[0])]
        found = [self.problem.loss_and_grads(params, batch) for batch in data]
        grads = [np.mean(parts, axis=0, dtype=parts[0].dtype) for parts in zip(*(g for _, g in found), strict=True)]
        return float(np.mean([loss for loss, _ in found])), grads

    def terms(self, parts: list[Tensor]) -> Iterator[tuple[float, Tensor]]:
        problem = self.problem
        if isinstance(problem, Perceptron):
            out, y = self.data[0]
            for k in range(0, len(parts), 2):
                out = (out.relu() if k else out) @ parts[k] + parts[k + 1]
            yield 1.0, cross_entropy(out, y) if problem.classes else mse_loss(out, y)
        elif isinstance(problem, TorchModule):
            whole = _Whole(problem.module, problem.loss)
            for module in whole.modules():
                module.training = isinstance(module, _BatchNorm)
            names = [name for name, p in whole.named_parameters() if p.requires_grad]
            for batch in self.data:
                yield 1 / len(self.data), functional_call(whole, dict(zip(names, parts, strict=True)), (batch,))
        else:
            raise TaskError(
                f"sharpness needs a loss that torch differentiates twice, and the task {self.card.name} brings its own "
                "gradients; perceptrons and torch models have one"
            )

    def turned(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Matrices between this task's sides and torch's, which has filters along the first dimension."""
        return [p.T if p.ndim == 2 and not isinstance(self.problem, TorchModule) else p for p in parts]


class _Whole(nn.Module):
    """A model and its loss as one module, so that its parameters can be others for a call."""

    def __init__(self, model: nn.Module, loss: Callable[[nn.Module, Any], Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Any) -> Tensor:
        return self.loss(self.model, batch)


@dataclass
class Trained:
    """Rules trained from one start: `rates` and `trails` by name, `diverged` at which step, and what was left out."""

    loss: OfTask
    seed: int
    steps: int
    full_batch: bool
    trails: dict[str, Trail]
    rates: dict[str, float | None]
    diverged: dict[str, int]
    left_out: list[str]
    tuned: bool

    def named(self) -> dict[str, Trail]:
        """The trails by what stands in a key."""
        said = {name: f", diverged at step {step}" for name, step in self.diverged.items()}
        rates = {name: "" if rate is None else f", lr {rate:g}" for name, rate in self.rates.items()}
        return {f"{name}{rates[name]}{said.get(name, '')}": trail for name, trail in self.trails.items()}

    @property
    def about(self) -> list[str]:
        """What was trained and judged how, in sentences without their stops."""
        card, how = self.loss.card, "full batches" if self.full_batch else "mini-batches"
        data = self.loss.data
        many = f"{len(data)} batches" if len(data) > 1 else "one batch"
        if isinstance(self.loss.problem, Perceptron):
            many = f"{len(data[0][1]):,} examples"
        said = [f"{card.name}: {self.steps} steps of {how} from the weights of seed {self.seed}"]
        said[0] += ", each rule at its best rate of those tried by this loss" * self.tuned
        said += [f"The loss is the mean over {many} of training"]
        return said + [f"Time was up before {', '.join(self.left_out)} had been trained"] * bool(self.left_out)


def train(
    problem: Problem,
    card: Task,
    rules: Sequence[Rule],
    rates: Mapping[str, float | None] | None,
    steps: int | None = None,
    seed: int = 0,
    full_batch: bool = False,
    until: Until | None = None,
) -> Trained:
    """Train rules from one start with the same batches, looking at the parameters on the way.

    Args:
        rates: rule -> rate, where there is none its own; None: for each the best of rates half a decade apart.
        steps: default: the task's, at most 300.
    Raises:
        TaskError: the loss of the first batch is no finite number.
    """
    until = until or Until()
    steps = min(card.steps, STEPS) if steps is None else steps
    loss = OfTask(problem, card, seed)
    trails: dict[str, Trail] = {}
    diverged: dict[str, int] = {}
    used: dict[str, float | None] = {}
    left_out: list[str] = []

    for n, rule in enumerate(rules):
        if until.over(n, len(rules)):
            left_out.append(rule.name)
            continue

        def run(lr: float | None, part: float = 0.0, parts: int = 1, n: int = n, rule: Rule = rule) -> Run:
            def over(share: float) -> bool:
                return until.over(n + min(0.95, (part + share) / parts), len(rules))

            return _walk(loss, rule, lr, steps, seed, full_batch, over)

        if rates is not None or "lr" not in rule.settings:
            used[rule.name] = rate = (rates or {}).get(rule.name)
            trail, at = run(rate)
        else:
            used[rule.name], trail, at = _tuned(rule.settings["lr"], run, loss, until)
        trails[rule.name] = trail
        if at is not None:
            diverged[rule.name] = at
    return Trained(loss, seed, steps, full_batch, trails, used, diverged, left_out, rates is None)


def _tuned(own: Any, run: Callable[..., Run], loss: OfTask, until: Until) -> tuple[float, Trail, int | None]:
    """The run with the lowest loss at its end, of rates half a decade apart: tried until both neighbours are worse."""
    known: dict[int, tuple[float, float, Trail, int | None]] = {}
    wanted = [0]
    while wanted and (not known or not until.over()):
        lr = float(f"{(1.0 if callable(own) else own) * 10 ** (wanted[0] / 2):.1g}")
        trail, at = run(lr, len(known), 6)  # so many are tried, mostly
        end = math.inf if at is not None else loss(trail.points[-1])
        known[wanted[0]] = (end if math.isfinite(end) else math.inf, lr, trail, at)
        best = min(known, key=lambda k: (known[k][0], k))
        wanted = [k for k in (best + 1, best - 1) if k not in known and abs(k) <= FARTHEST]
    _, lr, trail, at = min(known.values(), key=lambda one: one[:2])
    return lr, trail, at


def _walk(
    loss: OfTask, rule: Rule, lr: float | None, steps: int, seed: int, full_batch: bool, over: Callable[[float], bool]
) -> Run:
    """One training, and the step at which it diverged."""
    problem, trail = loss.problem, Trail()
    params = problem.init(seed)
    given: dict[str, Any] = {} if lr is None or "lr" not in rule.settings else {"lr": lr}
    optimizer = Optimizer(rule, params, engine="auto", threads=1, **given)
    settings = settle(optimizer.rule.settings, 0, rule.name)
    looks = set(np.linspace(0, steps, min(steps, LOOKS) + 1).round().astype(int).tolist())

    def look(step: int) -> None:
        point = torch.from_numpy(np.concatenate([p.ravel() for p in optimizer.shipped_point()]))
        v = optimizer.state.get("v", [])
        trail.add(point, step, rule, settings, v if isinstance(v, list) else [], max(1, step))

    first = None
    with np.errstate(all="ignore"):
        look(0)
        batches = [None] * steps if full_batch else problem.batches(seed, steps)
        for step, batch in enumerate(batches, 1):
            at = optimizer.gradient_point()
            value, grads = loss.gradient(at) if full_batch else problem.loss_and_grads(at, batch)
            first = abs(value) if first is None else first
            if not value < EXPLODED * max(first, 1e-12):
                if step == 1:
                    raise TaskError(f"the loss of the first batch is {value}")
                return trail, step
            optimizer.step(grads)
            if step in looks:
                if not all(np.isfinite(p).all() for p in optimizer.shipped_point()):
                    return trail, step
                look(step)
            if over(step / steps):
                break
    return trail, None


def through(trained: Trained, n: int = 51, until: Until | None = None) -> Landscape:
    """The plane of the trainings; raises as `planes.through`."""
    found = plane_of(trained.loss, {k: t.points for k, t in trained.named().items()}, n, until=until)
    steps = [np.array(trail.steps) for trail in trained.trails.values()]
    paths = [replace(path, steps=at) for path, at in zip(found.paths, steps, strict=True)]
    return replace(found, paths=paths, about=trained.about)


def around(trained: Trained, n: int = 51, span: float = 1.0, until: Until | None = None) -> Landscape:
    """The plane of two random directions around the end of the lowest training, with filters as long as its own."""
    ends = {name: trained.loss(trail.points[-1]) for name, trail in trained.named().items()}
    name = min(ends, key=lambda k: ends[k] if math.isfinite(ends[k]) else math.inf)
    loss, end = trained.loss, trained.named()[name].points[-1]
    drawn = directions(loss.turned(loss.parts(end)), trained.seed)
    along = torch.stack([torch.cat([d.reshape(-1) for d in loss.turned(one)]) for one in drawn])
    said = f"filters as long as those at the end of {name}, seed {trained.seed}"
    return replace(plane_at(loss, end, along, span, n, said, until), about=trained.about)


def sharp(trained: Trained, until: Until | None = None) -> Sharpness:
    """How sharp the loss is along the trainings."""
    return replace(sharpness_of(trained.loss, trained.named(), until=until), about=trained.about)
