"""The data of the examples: 1,797 images of handwritten digits, 8 by 8, which come with scikit-learn."""

import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


def digits(batch_size: int = 64, seed: int = 0) -> tuple[TensorDataset, DataLoader]:
    """The images as (n, 64) float32 in 0 to 1 with their labels, and a loader that shuffles them."""
    x, y = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y))
    return data, DataLoader(data, batch_size, shuffle=True, generator=torch.Generator().manual_seed(seed))


def network(seed: int = 0) -> torch.nn.Module:
    """Two layers, 10 classes."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(64, 64), torch.nn.LayerNorm(64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    )
