"""Layer 0: what a rule is. Standard library only."""
