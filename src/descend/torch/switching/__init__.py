"""The next rule takes over the state that means the same."""
