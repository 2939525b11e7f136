"""The step where it is taken: right after torch's own work, and as a part of whole training steps.

After a backward pass torch's workers still spin, gradients are in the caches and the optimizer's state is not. A pause
between contestants hides all of that. So here every contestant steps once per turn, and in front of each step stands
work of torch's on all cores: an operation on a tensor, or the forward and backward pass of a network.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from .. import torch as ours
from .measures import Bar
from .peers import FUSED, PEERS, UNFUSED, torch_forms
from .timing import CLOCK, Clock, Times, ratios, spread
from .workloads import Shapes, Tensors

BUSY = 1 << 20  # elements that torch works on in front of a step, with all its threads
MOST, LEAST = 300, 7  # turns
SHAPES: dict[str, Shapes] = {
    "20M": [(20_000_000,)],
    "2M": [(2_000_000,)],
    "600k": [(600_000,)],
    "60k": [(60_000,)],
    "8 layers": [(256, 256), (256,)] * 8,
    "1000 x 1000": [(1000,)] * 1000,
    "100000 x 16": [(16,)] * 100_000,
    "MLP": [(64, 64), (64,), (10, 64), (10,)],
}


@dataclass(frozen=True)
class Claim:
    """Ours against torch's fastest form of a rule, right after work of torch's."""

    rule: str
    workload: str
    bar: float
    aim: float | None = None


STEPS = (
    *(Claim(rule, "20M", 0.97, 1.0) for rule in FUSED),
    Claim("adamw", "2M", 1.1, 1.2),
    Claim("adamw", "600k", 1.1, 1.2),
    Claim("adamw", "60k", 1.3),
    Claim("adamw", "8 layers", 1.5),
    *(Claim(rule, "20M", bar) for rule, bar in
      (("rmsprop", 4.2), ("nadam", 4.8), ("radam", 4.0), ("adadelta", 5.5), ("adamax", 3.3))),
    *(Claim(rule, "600k", 2.0) for rule in UNFUSED if rule not in ("rprop", "asgd")),
    Claim("adamw", "1000 x 1000", 9.0),
    Claim("adamw", "100000 x 16", 20.0),
    Claim("adamw", "MLP", 2.0),
)  # fmt: skip
QUICK = (Claim("adamw", "20M", 0.97, 1.0), Claim("adamw", "600k", 1.1, 1.2), Claim("adamw", "MLP", 2.0))


def turns(
    contestants: Mapping[str, Callable[[], object]], before: Callable[[], object], until: float, clock: Clock = CLOCK
) -> Times:
    """Seconds of single calls, in turns, each right behind ``before``; every other round goes backwards."""
    times: Times = {name: [] for name in contestants}
    names = list(contestants)
    for name in names:
        for _ in range(7):  # compiles, allocates; torch's RAdam does less in its first five steps
            contestants[name]()
    for k in range(MOST):
        for name in names[:: -1 if k % 2 else 1]:
            before()
            begin = clock.now()
            contestants[name]()
            times[name].append(clock.now() - begin)
        if k + 1 >= LEAST and clock.now() > until:
            break
    return times


def _against(times: Times, claim: str, bar: float, aim: float | None, note: str = "") -> Bar:
    """Ours against the fastest of the others, by the median over the turns of the ratio within one."""
    best = min((name for name in times if name != "ours"), key=lambda name: statistics.median(times[name]))
    found = ratios(times, "ours", best)
    value = statistics.median(found)
    # the error of a median of n turns, not the spread of a single one
    error = spread(found) * value / len(found) ** 0.5
    took = f"{1e3 * statistics.median(times['ours']):.3g} ms against {best}"
    return Bar(claim, value, bar, aim, note=took + note, spread=error)


def step(claim: Claim, until: float, seed: int = 0) -> Bar:
    """One claim of ``STEPS``."""
    tensors = Tensors(SHAPES[claim.workload], seed)
    name, arguments = PEERS[claim.rule]
    contestants = {
        "ours": getattr(ours, name)(tensors.copies(), **arguments).step,
        **dict(torch_forms(claim.rule, tensors)),
    }
    contestants = _likely(contestants)
    busy = torch.ones(BUSY)
    times = turns(contestants, lambda: busy.mul_(1.0000001), until)
    return _against(times, f"right after torch's work: {claim.rule}, {claim.workload}", claim.bar, claim.aim)


def _likely(contestants: dict[str, Callable[[], object]]) -> dict[str, Callable[[], object]]:
    """Without the forms of torch's that take twice as long as its fastest, or more."""
    if len(contestants) == 2:
        return contestants
    first: dict[str, float] = {}
    for name, call in contestants.items():
        call()
        begin = CLOCK.now()
        call()
        first[name] = CLOCK.now() - begin
    fastest = min(took for name, took in first.items() if name != "ours")
    return {name: call for name, call in contestants.items() if name == "ours" or first[name] < 2 * fastest}


# ---------------------------------------------------------------- whole training steps


class _Block(nn.Module):
    """A residual block of two convolutions (He et al. 2016)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        same = before == after and stride == 1
        self.short = nn.Identity() if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.short(x))


class _Transformer(nn.Module):
    """Six layers of width 384: 10.7 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(96, 384)
        layer = nn.TransformerEncoderLayer(384, 6, 1536, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
        self.head = nn.Linear(384, 96)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.embedding(x))).flatten(0, 1)


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def _cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def _resnet() -> nn.Module:
    blocks = [_Block(b, a, s) for b, a, s in ((64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2),
                                              (256, 256, 1), (256, 512, 2), (512, 512, 1))]  # fmt: skip
    return nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(512, 10))  # fmt: skip


Made = tuple[nn.Module, torch.Tensor, torch.Tensor]


def _batch(name: str, made: torch.Generator) -> Made:
    """A network, and a batch of random inputs and labels for it."""
    if name == "transformer":
        tokens = torch.randint(96, (4, 65), generator=made)
        return _Transformer(), tokens[:, :-1], tokens[:, 1:].flatten()
    shape = {"MLP": (64, 64), "CNN": (64, 1, 8, 8), "ResNet-18 shape": (4, 3, 32, 32)}[name]
    model = {"MLP": _mlp, "CNN": _cnn, "ResNet-18 shape": _resnet}[name]()
    return model, torch.randn(shape, generator=made), torch.randint(10, (shape[0],), generator=made)


NETS = {"MLP": 1.15, "CNN": 1.1, "transformer": 1.0, "ResNet-18 shape": 1.0}
"""Network -> what a whole training step with AdamW must reach against one with torch's fused AdamW."""


def training(name: str, until: float, seed: int = 0) -> Bar:
    """Whole training steps of one of ``NETS``: gradients cleared, forward, backward, step."""

    def contestant(of: type[torch.optim.Optimizer], **hints: object) -> Callable[[], object]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model, x, y = _batch(name, torch.Generator().manual_seed(seed))
        optimizer = of(model.parameters(), lr=1e-4, **hints)  # type: ignore[call-arg]

        def train() -> None:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

        return train

    contestants = {
        "ours": contestant(ours.AdamW),
        "torch fused": contestant(torch.optim.AdamW, fused=True),
        "torch default": contestant(torch.optim.AdamW),
    }
    times = turns(contestants, lambda: None, until)
    usual = statistics.median(ratios(times, "ours", "torch default"))
    del times["torch default"]
    return _against(
        times, f"whole training step with AdamW: {name}", NETS[name], None, f"; torch's default {usual:.2f} x"
    )


def measurements(quick: bool) -> Iterator[tuple[str, float, Callable[[float], Bar]]]:
    """What is measured: a name, about how many seconds it takes, and ``measure(until)``."""
    for claim in QUICK if quick else STEPS:
        about = {"100000 x 16": 25.0, "20M": 6.0}.get(claim.workload, 2.0) * (1.0 if claim.rule in FUSED else 1.5)
        yield f"{claim.rule}, {claim.workload}, in the loop", about, lambda until, claim=claim: step(claim, until)
    for name in ("MLP",) if quick else NETS:
        about = {"MLP": 1.0, "CNN": 2.0}.get(name, 15.0)
        yield f"training steps: {name}", about, lambda until, name=name: training(name, until)
