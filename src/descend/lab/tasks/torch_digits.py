"""The digits for torch: network and initial weights of `lab.digits`, by seed, four fifths of all images to train on.

The task's own split keeps half of them back, for races are judged on those; range tests judge by what they train on.
"""

from collections.abc import Iterator

import torch

from . import digits

HELD = 0.2  # of the images of each class; 1,438 stay
ORDER = 2  # the lab's own streams are 0 (weights) and 1 (order of the race)


def model(seed: int) -> torch.nn.Sequential:
    """The perceptron 64-64-10 with the initial weights of `digits.init(seed)`, float32."""
    w1, b1, w2, b2 = (torch.from_numpy(p.T.copy()) for p in digits.init(seed))
    made = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    made.load_state_dict({"0.weight": w1, "0.bias": b1, "2.weight": w2, "2.bias": b2})
    return made


class Batches:
    """Shuffled epochs of the training images: batches (x (batch, 64), y (batch,)), without the short last one."""

    def __init__(self, seed: int, batch: int = 64) -> None:
        data = digits.load(share=HELD)
        self.x, self.y = torch.tensor(data.train_x), torch.tensor(data.train_y)
        self.batch = batch
        self.generator = torch.Generator().manual_seed(1_000_003 * ORDER + seed)

    def __len__(self) -> int:
        return len(self.y) // self.batch

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = torch.randperm(len(self.y), generator=self.generator)
        for rows in order[: len(self) * self.batch].view(-1, self.batch):
            yield self.x[rows], self.y[rows]
