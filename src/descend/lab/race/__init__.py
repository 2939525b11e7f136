"""The race: rules on the same data with the same budget."""
