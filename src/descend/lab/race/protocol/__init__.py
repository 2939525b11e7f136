"""How a race is run: which trials come next, given those that are done. No clock, no process, no file."""
