"""Which optimizer to use untuned: the recipes that were compared for `descend.torch.default` (docs/default.md)."""
