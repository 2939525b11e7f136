"""What the store holds, and the report of each race in it; nothing is changed from here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...race.asked import from_store
from ...race.record import to_json
from ...race.report import body
from ...race.results import results
from ...race.verdict import summary, verdict
from ...store import FILE, Store, StoreError, directory
from ..fields import Fields, Refused
from ..tab import Endpoint, Lab, Tab

NEWEST = 500  # races that are listed


@contextmanager
def _store() -> Iterator[Store]:
    try:
        store = Store.open()
    except StoreError as error:
        raise Refused(str(error)) from None
    try:
        yield store
    finally:
        store.close()


def kept(lab: Lab, fields: Fields) -> Any:
    """The rows of `descend runs`, the newest first."""
    fields.end()
    with _store() as store:
        races = store.races()
    return {
        "store": str(directory() / FILE),
        "races": [
            {
                "race": one.id,
                "begun": one.begun[:16].replace("T", " "),
                "state": one.state,
                "runs": one.runs,
                "rules": ", ".join(one.asked["config"]["rules"]) if one.is_race else "single trials",
                "report": one.is_race and one.runs > 0,
            }
            for one in races[:NEWEST]
        ],
        "more": max(len(races) - NEWEST, 0),
    }


def report(lab: Lab, fields: Fields) -> Any:
    """The report of a race as far as it came; without a name, of the newest that has one."""
    name = fields.word("race", None)
    fields.end()
    with _store() as store:
        for one in store.races():
            if one.is_race and one.runs and name in (None, one.id):
                record, _ = from_store(store, one)
                made = results(record)
                if made.tuned or made.default:
                    break
                if name is not None:
                    raise Refused(f"{name} was still being tuned; `descend race --resume {name}` goes on")
        else:
            if name is not None:
                raise Refused(f"the store has no race {name!r} with finished runs")
            return {"race": None, "blocks": "", "verdict": ""}
    text = to_json(record, summary(record, made))
    return {"race": record.id, "blocks": body(record, made, text), "verdict": verdict(record, made)[0]}


TAB = Tab(
    "runs",
    "Runs",
    "The races that this computer has kept, those of the command line too. They are read here and never changed.",
    (Endpoint("kept", kept), Endpoint("report", report)),
    needs="it reads the store of this computer",
)
