"""Optimizers as torch knows them: classes, arguments, state, checkpoints."""
