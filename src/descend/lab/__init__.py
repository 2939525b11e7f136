"""Layer 5, experiments: tasks, races, statistics, reports. Importing this package loads nothing."""
