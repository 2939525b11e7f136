"""Layer 5: measures of speed and of accuracy, each printed by ``descend bench``."""
