"""Mixed precision on the CPU: torch.autocast and torch.amp.GradScaler, whose division runs inside the step.

python examples/mixed_precision.py --epochs 4
"""

import argparse

import torch
from digits import digits, network
from torch.nn.functional import cross_entropy

from descend.schedules import cosine
from descend.torch import AdamW
from descend.torch.loop.accumulator import Accumulator


def main(epochs: int = 4) -> tuple[float, float]:
    """Returns the loss of the first and of the last step."""
    _, loader = digits()
    model = network()
    opt = AdamW(model.parameters(), lr=0.01 * cosine(epochs * len(loader)), clip_norm=1.0)
    # so large a scale overflows float16 at first: those steps are skipped, and do not advance the schedule
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    losses = []
    for _ in range(epochs):
        with Accumulator(opt, every=1, scaler=scaler) as acc:
            for x, y in loader:
                with torch.autocast("cpu", dtype=torch.float16):
                    loss = cross_entropy(model(x), y)
                if acc.backward(loss, count=len(x)):
                    losses.append(acc.loss)
    print(f"{opt.steps} steps, {opt.skipped} skipped, scale {scaler.get_scale():g}")
    return losses[0], losses[-1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    print("loss: first {:.4f}, last {:.4f}".format(*main(parser.parse_args().epochs)))
