"""Tasks on what somebody brings: a script, a table, a folder of images, a text."""
