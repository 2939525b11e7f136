"""What is made from the rules, not written: the pages of rules, the gallery, parts of the course; `make docs`."""
