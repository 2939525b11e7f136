"""How far a verdict can be trusted: races whose answer is known, and races run again with other seeds."""
