"""What a person waits for: the first step, the import, commands."""
