"""Where trials run: in this process, in worker processes, or as tasks of a Ray cluster; the runs are the same."""
