"""The learning-rate range test of `descend.torch.find_lr`."""

from .find import find_lr
from .finding import LRFinding

__all__ = ["LRFinding", "find_lr"]
