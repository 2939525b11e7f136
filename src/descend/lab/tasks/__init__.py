"""What is trained: tasks with their data."""
