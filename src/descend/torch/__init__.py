"""Layer 4: rules as ``torch.optim.Optimizer`` classes."""

from .base import RuleOptimizer
from .classes import SGD, Adagrad, Adam, AdamW, Lion, RMSprop, optimizer

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Lion", "RMSprop", "RuleOptimizer", "optimizer"]
