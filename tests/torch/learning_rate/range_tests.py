"""A training loop with everything a range test could disturb, and what it looks like, bit for bit."""

import random

import numpy as np
import schedulefree
import torch
from torch.utils.data import DataLoader, TensorDataset

import descend.torch as ours
from descend import schedules

OPTIMIZERS = {
    "ours Adam": lambda p: ours.Adam(p, lr=0.01),
    "ours Adam, a schedule": lambda p: ours.Adam(p, lr=0.01 * schedules.linear_warmup(5)),
    "ours Adam, measuring": lambda p: ours.Adam(p, lr=0.01, telemetry="cosine"),
    "ours Schedule-Free": lambda p: ours.ScheduleFreeAdamW(p, lr=0.01),
    "ours Prodigy": lambda p: ours.Prodigy(p),
    "ours on torch's engine": lambda p: ours.SGD(p, lr=0.01, momentum=0.9, engine="torch"),
    "torch SGD": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "torch Adam, tensor lr": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.01)),
    "L-BFGS": lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=3, history_size=4),
    "published Schedule-Free": lambda p: schedulefree.AdamWScheduleFree(p, lr=0.01),
}
FEW = {"steps": 20, "repeats": 2, "probes": 2}


def regression(seed: int = 0, wide: int = 6) -> tuple[torch.nn.Module, list[tuple[torch.Tensor, torch.Tensor]]]:
    """A linear model and ten batches of what a linear model can fit."""
    torch.manual_seed(seed)
    x = torch.randn(10, 16, wide)
    y = x @ torch.randn(wide, 1) + 0.1 * torch.randn(10, 16, 1)
    return torch.nn.Linear(wide, 1), list(zip(x, y, strict=True))


class Net(torch.nn.Module):
    """Batch norm, dropout, a frozen layer, a part in eval mode, a counter, NumPy's and Python's generators."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(4, 8)
        self.norm = torch.nn.BatchNorm1d(8)
        self.still = torch.nn.BatchNorm1d(8).eval()
        self.drop = torch.nn.Dropout(0.3)
        self.last = torch.nn.Linear(8, 3)
        self.frozen = torch.nn.Linear(3, 3).requires_grad_(False)
        self.unused = torch.nn.Linear(2, 2)
        self.calls = 0
        self.history: list[float] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.history.append(random.random() + np.random.rand())
        return self.frozen(self.last(self.drop(self.still(self.norm(torch.relu(self.first(x)))))))


class Loop:
    """Model, optimizer, loader; `train` goes on with them."""

    def __init__(self, optimizer: str, before: int = 3) -> None:
        random.seed(1)
        np.random.seed(2)
        torch.manual_seed(3)
        self.model = Net()
        self.opt = OPTIMIZERS[optimizer](self.model.parameters())
        x, y = torch.randn(40, 4), torch.randint(0, 3, (40,))
        generator = torch.Generator().manual_seed(4)
        self.loader = DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True, generator=generator)
        self.loss = torch.nn.functional.cross_entropy
        self.measured: list[str] = []
        self.train(before)
        self.model.last.weight.grad = torch.ones_like(self.model.last.weight)

    def train(self, steps: int) -> None:
        if hasattr(self.opt, "train"):
            self.opt.train()
        batches = iter(self.loader)
        for _ in range(steps):
            x, y = next(batches)

            def closure(x=x, y=y):
                self.opt.zero_grad()
                loss = self.loss(self.model(x), y)
                loss.backward()
                return loss

            self.opt.step(closure)
            self.measured.append(self.telemetry())

    def telemetry(self) -> str:
        """What the last step measured, of an optimizer that measures."""
        asked = getattr(self.opt, "_options", {}).get("telemetry")
        return str(self.opt.telemetry.tensors) if asked else ""

    def look(self) -> dict[str, object]:
        """Everything, as bytes and plain values."""
        model, opt = self.model, self.opt
        return {
            "parameters": {n: (bits(p), p.requires_grad, p.data_ptr()) for n, p in model.named_parameters()},
            "buffers": {n: (bits(b), b.data_ptr()) for n, b in model.named_buffers()},
            "gradients": {n: (p.grad is not None and bits(p.grad), id(p.grad)) for n, p in model.named_parameters()},
            "modes": {n: m.training for n, m in model.named_modules()},
            "counter": (model.calls, list(model.history)),
            "state": {k: plain(s) for k, s in enumerate(vars(opt).get("_state", vars(opt).get("state")).values())},
            "groups": [{k: plain(v) for k, v in group.items() if k != "params"} for group in opt.param_groups],
            "members": [[id(p) for p in group["params"]] for group in opt.param_groups],
            "attributes": sorted(vars(opt)),
            "steps": getattr(opt, "steps", None),
            "telemetry": [*self.measured, self.telemetry()],
            "random": (random.getstate(), plain(np.random.get_state()), bits(torch.get_rng_state())),
            "order": bits(self.loader.generator.get_state()),
        }  # fmt: skip

    def after(self, steps: int = 5) -> dict[str, object]:
        """What the next steps make of it; without addresses, to be compared with a twin."""
        self.train(steps)
        seen = self.look()
        return {
            "parameters": [bits(p) for p in self.model.parameters()],
            "buffers": [bits(b) for b in self.model.buffers()],
            **{name: seen[name] for name in ("modes", "counter", "state", "telemetry", "random", "order")},
        }


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().numpy().tobytes()


def plain(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return ("tensor", bits(value))
    if isinstance(value, np.ndarray):
        return ("array", value.tobytes())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, bool | int | float | str | type(None)) else repr(value)
