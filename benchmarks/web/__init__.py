"""What is promised of the page, measured: `python -m benchmarks.web speed` and `… fuzz`."""
