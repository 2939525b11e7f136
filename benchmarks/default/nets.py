"""Random nets on random data, of every scale from 1e-3 to 1e3: does an optimizer ever diverge on one?"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from .training import Recipe

EXAMPLES, BATCH = 128, 32
ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Identity, nn.LeakyReLU, nn.Softplus)
KINDS = ("perceptron", "residual", "convolution", "embedding")
HIGHEST = 1e30  # a net whose loss is above that before any step is drawn anew: float32 ends at 3e38


class Residual(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


@dataclass(frozen=True)
class Case:
    """A net with its data: inputs, targets, loss; and how it was drawn, for the report."""

    model: nn.Module
    x: torch.Tensor
    y: torch.Tensor
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    told: str


@dataclass(frozen=True)
class Verdict:
    """The loss over all examples before and after, and whether every loss and parameter stayed finite."""

    told: str
    before: float
    after: float
    finite: bool

    @property
    def diverged(self) -> bool:
        """A number that is not finite, or a loss that ended above where it began (by more than a hundredth)."""
        return not self.finite or self.after > 1.01 * self.before + 1e-12


def drawn(seed: int) -> Case:
    """The net of a seed; one whose loss overflows before any step is drawn anew."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        case = _drawn(generator)
        before = whole_loss(case)
        if math.isfinite(before) and before < HIGHEST:
            return case


def _drawn(generator: torch.Generator) -> Case:
    def pick(options):
        return options[int(torch.randint(len(options), (), generator=generator))]

    def log_uniform(low: float, high: float) -> float:
        return 10 ** (low + (high - low) * float(torch.rand((), generator=generator)))

    kind, activation, norm = pick(KINDS), pick(ACTIVATIONS), pick(("none", "layer", "batch"))
    depth, width = pick(range(1, 9)), round(log_uniform(0.5, 2))
    scale, inputs, targets = (log_uniform(-3, 3) for _ in range(3))
    classes = pick((0, 2, 10))  # 0: a regression
    outputs = classes or pick((1, 3))
    torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
    length = 8

    def normed() -> list[nn.Module]:
        if norm == "none":
            return []
        if kind == "convolution":
            return [nn.GroupNorm(1, width) if norm == "layer" else nn.BatchNorm1d(width)]
        return [nn.LayerNorm(width) if norm == "layer" else nn.BatchNorm1d(width)]

    def block(first: int) -> nn.Module:
        layer = nn.Conv1d(first, width, 3, padding=1) if kind == "convolution" else nn.Linear(first, width)
        return nn.Sequential(layer, *normed(), activation())

    if kind == "embedding":
        parts: list[nn.Module] = [nn.Embedding(20, width), nn.Flatten()]
        first, x = length * width, torch.randint(20, (EXAMPLES, length))
    elif kind == "convolution":
        parts, first, x = [], 3, inputs * torch.randn(EXAMPLES, 3, length)
    else:
        parts, first, x = [], 8, inputs * torch.randn(EXAMPLES, 8)
    for k in range(depth):
        made = block(first)
        parts.append(Residual(made) if kind == "residual" and k else made)
        first = width
    end = [nn.Flatten(), nn.Linear(width * length, outputs)] if kind == "convolution" else [nn.Linear(width, outputs)]
    model = nn.Sequential(*parts, *end)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Embedding):
                for p in module.parameters():
                    p.mul_(scale)
    y = torch.randint(classes, (EXAMPLES,)) if classes else targets * torch.randn(EXAMPLES, outputs)
    told = f"{kind} {depth}x{width} {activation.__name__} norm {norm} weights x{scale:.1g} inputs x{inputs:.1g}"
    told += f" {classes} classes" if classes else f" targets x{targets:.1g}"
    return Case(model, x, y, cross_entropy if classes else mse_loss, told)


def whole_loss(case: Case) -> float:
    with torch.no_grad():
        return float(case.loss(case.model(case.x), case.y))


def tried(seed: int, recipe: Recipe, steps: int) -> Verdict:
    """Train the net of a seed."""
    case = drawn(seed)
    before = whole_loss(case)
    optimizer = recipe(case.model, steps)
    order = torch.Generator().manual_seed(seed)
    finite = True
    for _ in range(steps):
        rows = torch.randint(EXAMPLES, (BATCH,), generator=order)
        optimizer.zero_grad()
        loss = case.loss(case.model(case.x[rows]), case.y[rows])
        finite = finite and math.isfinite(float(loss.detach()))
        loss.backward()
        optimizer.step()
    with optimizer.shipped():
        after = whole_loss(case)
    finite = finite and math.isfinite(after) and all(bool(p.isfinite().all()) for p in case.model.parameters())
    return Verdict(case.told, before, after, finite)
