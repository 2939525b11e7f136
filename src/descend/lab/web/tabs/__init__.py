"""The tabs, in the order of the navigation."""

import importlib

from ..tab import Tab

NAMES = ("surfaces", "race", "choose", "rate", "explain", "schedules", "runs", "matrix")


def tabs() -> list[Tab]:
    return [importlib.import_module(f"{__name__}.{name}").TAB for name in NAMES]
