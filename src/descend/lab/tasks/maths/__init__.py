"""Tasks that the program makes itself, with something known about the answer."""
