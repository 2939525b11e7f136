"""What lectures say about updates, put to the test on data: `descend race claims`."""
