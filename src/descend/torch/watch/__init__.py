"""What is seen while a run goes on: logs, alarms, a live view."""
