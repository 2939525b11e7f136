"""One race on each of several tasks, and what they say together."""
