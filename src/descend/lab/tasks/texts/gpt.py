"""A small GPT over characters, and the batches of a text: what the tasks on text share."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ..torch_module import TorchModule

CONTEXT, WIDTH, HEADS, LAYERS = 32, 32, 4, 2
VALIDATION_BATCHES = 6


class Block(nn.Module):
    """Attention and a perceptron, each behind a norm and beside a residual path (pre-norm)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, length, _ = x.shape
        q, k, v = (part.view(n, length, HEADS, -1).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, dim=-1))
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(n, length, WIDTH))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """Two blocks between an embedding and a head of its own."""

    def __init__(self, signs: int) -> None:
        super().__init__()
        self.sign, self.place = nn.Embedding(signs, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, signs, bias=False)
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02 if p.shape[1] == WIDTH and p.shape[0] >= signs else WIDTH**-0.5)

    def forward(self, signs: torch.Tensor) -> torch.Tensor:
        x = self.sign(signs) + self.place(torch.arange(signs.shape[1]))
        return self.head(self.norm(self.blocks(x)))


def next_sign(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of each next character, in nats; `batch` is (n, CONTEXT + 1) numbers of characters."""
    return cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())


def problem_of(text: str, batch: int, model: type[nn.Module] = GPT) -> TorchModule:
    """The characters of a text: the first nine tenths for training, pieces of the last tenth for validation."""
    signs = sorted(set(text))
    number = {sign: k for k, sign in enumerate(signs)}
    numbers = torch.tensor([number[sign] for sign in text])
    cut = len(text) * 9 // 10
    train, held = numbers[:cut], numbers[cut:]

    def pieces(source: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        starts = torch.from_numpy(rng.integers(0, len(source) - CONTEXT, batch))
        return source[starts[:, None] + torch.arange(CONTEXT + 1)]

    def batches(seed: int, steps: int) -> Iterator[torch.Tensor]:
        rng = np.random.default_rng([seed, 1])
        for _ in range(steps):
            yield pieces(train, rng)

    fixed = np.random.default_rng(0)
    validation = [pieces(held, fixed) for _ in range(VALIDATION_BATCHES)]
    return TorchModule(lambda: model(len(signs)), next_sign, batches, validation)
