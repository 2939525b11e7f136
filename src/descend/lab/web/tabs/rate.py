"""The range test from the page: `descend.torch.find_lr` on any task."""

from typing import Any

from .... import rules as catalogue
from ....rules.names import find_rule
from ...race import asked
from ...tasks.source import Source
from .. import tasks
from ..fields import Fields
from ..jobs import Job
from ..tab import Endpoint, Lab, Tab

STEPS, REPEATS, SECONDS = 1000, 5, 600


class Stopped(Exception):
    """The range test was asked to end; `find_lr` undoes what it did on the way out."""


def known(lab: Lab, fields: Fields) -> Any:
    """What a rate can be found for."""
    fields.end()
    return {"tasks": tasks.told(lab), "rules": list(catalogue.all()), "running": lab.jobs.latest("rate")}


def start(lab: Lab, fields: Fields) -> Any:
    """Begin a range test; its job's id. Refused before anything trains."""
    rule = find_rule(fields.word("rule", longest=80)).name
    source = tasks.taken(lab, fields)
    steps, repeats = fields.whole("steps", 300, 10, STEPS), fields.whole("repeats", 3, 1, REPEATS)
    seed, seconds = fields.whole("seed", 0, 0, 10**6), fields.number("seconds", 300.0, 1.0, float(SECONDS))
    fields.end()
    card = asked.card_of(source)
    asked.tried_first(source, steps, None, card)
    return {"job": lab.jobs.begin("rate", lambda job: run(job, rule, source, steps, repeats, seed, seconds)).id}


def run(job: Job, rule: str, source: Source, steps: int, repeats: int, seed: int, seconds: float) -> None:
    job.tell(progress="loading", done=0, total=0, rule=rule)
    from ....torch.learning_rate.page import body
    from ...rate.on_task import find_on

    def progress(done: int, most: int) -> None:
        if job.asked_to_stop.is_set():
            raise Stopped
        job.tell(progress=f"step {done} of at most {most}", done=done, total=most)

    try:
        found = find_on(source, rule, seed, steps=steps, repeats=repeats, seconds=seconds, progress=progress)
    except Stopped:
        return
    job.tell(progress="", lr=found.lr, blocks=body(found, found.as_dict()))


TAB = Tab(
    "rate",
    "Range test",
    "A learning rate for a rule: sweeps raise the rate from step to step, and what their curves suggest is probed by "
    "short trainings.",
    (
        Endpoint("known", known),
        Endpoint("start", start, ({"rule": "adam", "steps": 10, "repeats": 1, "seconds": 1.0, "seed": 0},)),
    ),
    needs="it trains",
)
