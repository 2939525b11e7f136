"""``descend lr``: a learning rate for a rule on a task."""
