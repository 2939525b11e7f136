"""The JAX engine: a rule as functions of trees of arrays."""
