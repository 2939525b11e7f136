"""Every rule drawn: the runs, the pictures, the page."""
