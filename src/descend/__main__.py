"""``python -m descend``."""

from .cli import main

main()
