"""The contract of a rule, by subject; each file registers its checks."""
