"""Tasks on text, letter by letter."""
