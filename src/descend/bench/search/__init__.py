"""Claims about the methods of search: evaluations that they need on BBOB, and their own time."""
