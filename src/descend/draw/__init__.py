"""All that is seen: the one door to pictures, pages and tables.

A picture is described once, as a ``chart.Chart``; ``svg`` draws it for files, pages and notebooks, ``axes`` by
matplotlib (PNG, PDF, axes of the user's), ``braille`` in the terminal. ``page`` is the frame of every HTML page, with
its tables and downloads, ``terminal`` has the tables of the terminal, ``palette`` the colours of all, ``scale`` their
round values, ``pictured`` the results that draw themselves, and ``files`` what becomes of a file that is written.
"""
