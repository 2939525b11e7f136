"""What is promised of the page, measured: `python -m descend.lab.web.measure speed` and `… fuzz`."""
