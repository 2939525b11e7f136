"""Is the training loop right: gradients, the initial loss, one batch learnt by heart."""
