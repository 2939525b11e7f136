"""Pictures over HTTP: politely, within limits, and never where a stranger's redirect points inside the house."""
