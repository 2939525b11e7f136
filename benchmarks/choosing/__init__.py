"""How far `choose` is to be trusted: exhaustive sweeps of the tasks, and what is learnt from them (docs/choose.md)."""
