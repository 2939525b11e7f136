"""What a training loop is made of: batches, losses, closures, devices, and how it is left as it was."""
