"""What breaks what: small problems with a known right answer, and every rule on each of them (`descend map`)."""

from . import disturbed, shapes  # noqa: F401  they enter their problems
