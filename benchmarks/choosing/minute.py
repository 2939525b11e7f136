"""A net whose epoch takes two seconds: how soon there is an answer, and what it is worth beside an untuned AdamW.

The pictures of the digits with noise on them, as many as take two seconds on this machine; a perceptron of torch's.
"""

import itertools
import json
import math
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from os import environ, pathsep
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset

EPOCH = 2.0  # seconds
BATCH = 64
PROBE = 300  # steps by which an epoch is measured
LAST = 0.1  # of a training: the steps whose mean loss is what it came to
SCRIPT = """
import torch
from benchmarks.choosing.minute import BATCH, Digits, net as model

STEPS = {steps}
data = Digits({batches})

def loss(model, batch):
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])

def batches(seed):
    return torch.utils.data.DataLoader(data, BATCH, shuffle=True, generator=torch.Generator().manual_seed(seed))
"""


def net() -> torch.nn.Module:
    layer, relu = torch.nn.Linear, torch.nn.ReLU
    return torch.nn.Sequential(layer(64, 256), relu(), layer(256, 256), relu(), layer(256, 10))


class Digits(Dataset[Any]):
    """So many batches of digits, each picture with its own noise."""

    def __init__(self, batches: int) -> None:
        x, y = (torch.from_numpy(of) for of in load_digits(return_X_y=True))
        chosen = torch.randint(len(x), (batches * BATCH,), generator=torch.Generator().manual_seed(0))
        noise = torch.randn(len(chosen), 64, generator=torch.Generator().manual_seed(1))
        self.x, self.y = (x[chosen] / 16 - 0.5).float() + 0.5 * noise, y[chosen]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x[k], self.y[k]


@dataclass(frozen=True)
class Row:
    """One question. Seconds on the clock until the answer; `share` of the horizon that the longest runs had."""

    horizon: int
    asked: str
    seconds: float
    answer: str
    share: float
    confidence: str
    loss: float = math.nan  # of a training of the horizon with the answer
    adamw: float = math.nan  # and with torch's AdamW as it comes, from the same seed

    def __str__(self) -> str:
        worth = "" if math.isnan(self.loss) else f", comes to {self.loss:.4f} (AdamW as it is: {self.adamw:.4f})"
        return (
            f"{self.horizon} steps, {self.asked}: {self.seconds:.1f} s; {self.answer}, longest runs {self.share:.3g} "
            f"of the horizon, confidence {self.confidence}{worth}"
        )


def epoch(repeats: int = 3) -> tuple[int, float]:
    """Batches of an epoch that takes two seconds, and the seconds that one took in a loop of torch's AdamW."""

    def took(batches: int) -> float:
        begun = perf_counter()
        trained(torch.optim.AdamW, DataLoader(Digits(batches), BATCH, shuffle=True), batches)
        return perf_counter() - begun

    took(PROBE)
    each = statistics.median(took(PROBE) for _ in range(repeats)) / PROBE
    batches = round(EPOCH / each)
    return batches, took(batches)


def trained(make: Any, loader: Any, steps: int) -> float:
    """A training from seed 1; its mean loss over the last tenth. `make`: of the parameters, or of the model."""
    torch.manual_seed(1)
    model = net()
    optimizer = make(model.parameters() if isinstance(make, type) else model)
    losses = []
    for x, y in itertools.islice(itertools.chain.from_iterable(itertools.repeat(loader)), steps):
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return statistics.fmean(losses[-max(round(LAST * steps), 1) :])


def asked(batches: int, epochs: int, seconds: float | None) -> Row:
    """`descend.torch.choose` for a training of so many epochs; without seconds, with what it spends by itself."""
    from descend.torch import choose

    loader, horizon = DataLoader(Digits(batches), BATCH, shuffle=True), epochs * batches
    begun = perf_counter()
    found = choose(net, cross_entropy, loader, horizon=horizon, seconds=seconds)
    took = perf_counter() - begun
    loss = trained(found.optimizer, loader, found.steps)
    plain = trained(torch.optim.AdamW, loader, horizon)
    said = f"{found.rule} at {found.lr:g}"
    how = "choose(…)" if seconds is None else f"choose(…, seconds={seconds:g})"
    return Row(horizon, how, took, said, found.best.share, found.confidence, loss, plain)


def commanded(batches: int, epochs: int) -> Row:
    """`descend choose train.py` as it comes, from the shell to its end: imports and worker processes included."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "train.py"
        script.write_text(SCRIPT.format(steps=epochs * batches, batches=batches), encoding="utf-8")
        begun = perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "descend", "choose", str(script), "--json"],
            env={**environ, "DESCEND_DATA": folder, "PYTHONPATH": pathsep.join(("src", "."))},
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        took = perf_counter() - begun
    found = json.loads(done.stdout)
    share = found["options"][0]["share"]
    said = f"{found['rule']} at {found['lr']:g}"
    return Row(epochs * batches, "descend choose train.py", took, said, share, found["confidence"])
