"""What the state of a rule means, so that another rule can take it over."""
