"""What the project measures of itself, in a checkout: `python -m benchmarks.search` and its neighbours."""
