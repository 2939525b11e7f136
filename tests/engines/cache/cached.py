"""A kernel that tests of the cache store, and the file it is stored in."""

NAME = "0123abcd-" + "f" * 40


def file_of(place, name=NAME):
    return place / f"{name}.kernel"
