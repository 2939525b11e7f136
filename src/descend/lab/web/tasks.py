"""The tasks that the page can train on: those of the catalogue, and what the command line named; nothing else."""

from typing import Any

from ..tasks.catalogue import MODULES
from ..tasks.source import Source, lacking
from .fields import Fields
from .tab import Lab


def told(lab: Lab) -> list[dict[str, Any]]:
    """What a choice of tasks shows: name, title, what is missing to run it, and what it is about."""
    yours = [{"name": label, "title": label, "missing": "", "about": "yours"} for label in lab.tasks]
    cards = [Source(name).card() for name in MODULES]
    return yours + [
        {
            "name": card.name, "title": card.title, "missing": lacking(card), "steps": card.steps,
            "about": f"{card.model.split(',')[0]}; it shows {card.shows}",
        }
        for card in cards
    ]  # fmt: skip


def taken(lab: Lab, fields: Fields) -> Source:
    """The task that a request names."""
    name = fields.word("task", "digits", among=[*lab.tasks, *MODULES])
    return lab.tasks.get(name) or Source(name)
