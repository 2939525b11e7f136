"""Gradients of a loss by the outputs of a model, for targets drawn from the model: their covariance is its Hessian."""

import math

import torch
from torch import Tensor

VECTORS = ("cross_entropy", "mse", "bce")


def drawn_vectors(outputs: Tensor, loss: str, generator: torch.Generator | None) -> tuple[Tensor, int]:
    """One vector for each term of the loss, with E[v vᵀ] the Hessian of the term by the outputs, and their number.

    A term is a row of logits for "cross_entropy", and a sample for "mse" and "bce", whose loss is the mean over the
    d elements of a sample; their Hessians are 2/d I and diag(p(1 - p))/d.

    Args:
        outputs: (..., classes), or (batch, ...) for "mse" and "bce", without graph.

    Returns:
        (vectors, of the shape of outputs; number of terms).
    """
    if loss == "cross_entropy":
        chances = torch.softmax(outputs.reshape(-1, outputs.shape[-1]).to(_wide(outputs)), dim=-1)
        labels = torch.multinomial(chances, 1, generator=generator)
        vectors = chances.scatter_add(1, labels, chances.new_full(labels.shape, -1.0))
        return vectors.reshape(outputs.shape).to(outputs), len(chances)
    terms = len(outputs)
    d = outputs.numel() // terms
    if loss == "mse":
        noise = torch.randn(outputs.shape, generator=generator, dtype=outputs.dtype, device=outputs.device)
        return noise * math.sqrt(2 / d), terms
    chances = torch.sigmoid(outputs)
    return (chances - torch.bernoulli(chances, generator=generator)) / math.sqrt(d), terms


def _wide(outputs: Tensor) -> torch.dtype:
    return torch.float64 if outputs.dtype == torch.float64 else torch.float32
