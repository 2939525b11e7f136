"""Every task by name, and the file it stands in."""

MODULES = {
    "digits": "digits",
}
