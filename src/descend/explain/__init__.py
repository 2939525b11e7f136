"""Layer 5: what is known about a rule, from the rule itself: its formula, its cost, one step by hand."""
