"""`descend choose` from the page: the answer so far while short trainings run, kept in the same store."""

import math
from contextlib import closing
from time import perf_counter
from typing import Any

from .... import rules as catalogue
from ...choosing.candidates import DEFAULT
from ...choosing.on_task import choose_on, so_far
from ...choosing.page import body
from ...choosing.strategy import FEWEST, Asked, Choosing, TooLittle
from ...notebook import Notebook
from ...race import asked
from ...race.table import duration
from ...store import Store, StoreError
from ...tasks.source import Source
from ...trials.runners.runner import PROCESSES
from .. import tasks
from ..fields import Fields, Refused
from ..jobs import Job
from ..tab import Endpoint, Lab, Tab

RULES, SECONDS, RUNS, HORIZON = 12, 3600.0, 1000.0, 20_000
EVERY = 0.5  # seconds between two answers so far


def known(lab: Lab, fields: Fields) -> Any:
    """What can be chosen for, and among which rules."""
    fields.end()
    rules = list(catalogue.all())
    return {
        "tasks": tasks.told(lab),
        "rules": rules + [name for name in DEFAULT if name not in rules],
        "chosen": list(DEFAULT),
        "running": lab.jobs.latest("choose"),
    }


def start(lab: Lab, fields: Fields) -> Any:
    """Begin a choice; its job's id. Refused before anything trains."""
    source = tasks.taken(lab, fields)
    labels = asked.rules_of(",".join(fields.words("rules", RULES)), again=False)
    seconds, runs = fields.number("seconds", None, 1.0, SECONDS), fields.number("runs", None, 0.01, RUNS)
    horizon, seed = fields.whole("horizon", None, 16, HORIZON), fields.whole("seed", 0, 0, 10**6)
    fields.end()
    if (seconds is None) == (runs is None):
        raise Refused("give seconds or runs: one of them")
    seconds = seconds or SECONDS  # no work without an end
    card = asked.card_of(source)
    step_s = asked.tried_first(source, FEWEST, seconds, card) / FEWEST
    wanted = Asked(labels, horizon or card.steps, runs or math.inf, seconds * PROCESSES, seed).fitted(step_s)
    try:
        Choosing(wanted).missing()
    except TooLittle as error:
        raise Refused(str(error)) from None
    return {"job": lab.jobs.begin("choose", lambda job: run(job, source, wanted, seconds)).id}


def run(job: Job, source: Source, wanted: Asked, seconds: float) -> None:
    """The choice itself, in the job's thread; every run that is finished is in the store whatever happens."""
    try:
        store = Store.open()
    except StoreError as error:
        store = Store(None)
        job.tell(note=f"its runs are not kept: {error}")
    begun = said = perf_counter()

    def progress(part: float, whole: float) -> None:
        took = perf_counter() - begun
        left = f" · at most {duration(took * (whole - part) / part)} left" if part else ""
        job.tell(progress=f"{100 * part:.0f} % · {duration(took)}{left}", done=part, total=whole)

    def look(choosing: Choosing) -> None:
        nonlocal said
        job.tell(runs=len(choosing.seen))
        if perf_counter() - said > EVERY and (found := so_far(choosing, card.name, perf_counter() - begun)):
            job.tell(blocks=body(found, found.code()), answer=f"so far {found.rule} at {found.lr:g}")
            said = perf_counter()

    with closing(store), Notebook.of(source, store, PROCESSES) as notebook:
        card, job.on_stop = notebook.card, notebook.runner.end
        job.tell(task=card.name, progress="the first runs", done=0, total=0)
        try:
            found = choose_on(notebook, wanted, seconds, progress, look=look, stopped=job.asked_to_stop.is_set)
        except KeyboardInterrupt:  # asked to stop before there was anything to answer with
            job.tell(blocks="")
            return
        except (ValueError, RuntimeError) as error:  # a sentence of its own
            raise Refused(str(error)) from error
    if notebook.unstored:
        job.tell(note=f"its runs are not kept: {notebook.unstored}")
    answer = f"{found.rule} at {found.lr:g}, {found.schedule} to zero; confidence {found.confidence}"
    job.tell(progress="", blocks=body(found, found.code(), found.to_json()), answer=answer)


_SOME = {"task": "quadratic", "rules": ["gradient_descent", "adam"], "runs": 3.0, "horizon": 32, "seed": 0}
TAB = Tab(
    "choose",
    "Choose",
    "Which rule, which rate, which schedule: short trainings, each annealed to zero, then longer ones of those that do "
    "well. Stop whenever you like: what is found so far is the answer, with its doubts.",
    (Endpoint("known", known), Endpoint("start", start, (_SOME, {"rules": ["adamw"], "seconds": 1.0}))),
    needs="it trains",
)
