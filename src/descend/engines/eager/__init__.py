"""Engines that run a rule's function on arrays: NumPy's, the oracle, and torch's, the fallback."""
