"""A rule's text as a formula: read, printed as text, LaTeX and MathML, and run."""
