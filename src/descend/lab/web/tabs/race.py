"""A race started from the page: as `descend race`, kept in the same store, shown by the report's own blocks."""

import math
from contextlib import closing
from html import escape
from time import perf_counter
from typing import Any

from .... import rules as catalogue
from ....draw.page import Markup, table
from ....draw.svg import swatch
from ...race import asked
from ...race.drive import Drive
from ...race.protocol.stages import Round
from ...race.race import Config
from ...race.record import Record, to_json
from ...race.report import body
from ...race.results import results
from ...race.space import DEFAULT_RULES
from ...race.table import loss, rate
from ...race.verdict import summary, verdict
from ...race.watch import Watch
from ...store import Store, StoreError
from ...tasks.source import Source
from ...trials.trial import RAMP
from .. import tasks
from ..fields import Fields
from ..jobs import Job
from ..tab import Endpoint, Lab, Tab

RULES, STEPS, SEEDS, SECONDS = 12, 5000, 200, 3600
PROCESSES = 2
EVERY = 0.3  # seconds between two tables of what tuning has found so far


def known(lab: Lab, fields: Fields) -> Any:
    """What can be raced on, and by whom."""
    fields.end()
    return {
        "tasks": tasks.told(lab),
        "rules": list(catalogue.all()),
        "chosen": list(DEFAULT_RULES),
        "running": lab.jobs.latest("race"),
    }


def start(lab: Lab, fields: Fields) -> Any:
    """Begin a race; its job's id. Refused before anything trains."""
    source = tasks.taken(lab, fields)
    labels = asked.rules_of(",".join(fields.words("rules", RULES)))
    quick, seed = fields.flag("quick", True), fields.whole("seed", 0, 0, 10**6)
    steps, seeds = fields.whole("steps", None, 10, STEPS), fields.whole("seeds", None, 2, SEEDS)
    seconds = fields.number("seconds", 120.0, 1.0, float(SECONDS))
    fields.end()
    card = asked.with_options(asked.card_of(source), steps, seeds, None)
    config = Config(labels, card.name, card.steps, card.batch, card.seeds, seed, card.delta, log=card.log)
    if quick:
        config = config.quick(keep_seeds=seeds is not None)
    asked.tried_first(source, config.steps, seconds, card)
    record = asked.new_record(config, source, card, min(PROCESSES, len(labels)))
    return {"job": lab.jobs.begin("race", lambda job: run(job, record, source, seconds)).id}


def run(job: Job, record: Record, source: Source, seconds: float) -> None:
    """The race itself, in the job's thread; what is finished is in the store whatever happens."""
    try:
        store = Store.open()
        asked.begin(record, store)
    except StoreError as error:
        store = None
        job.tell(note=f"this race cannot be resumed, for its runs cannot be kept: {error}")
    begin, said, watch = perf_counter(), 0.0, Watch(record.config)
    drive = Drive(record, source, min(PROCESSES, len(record.config.rules)), store, seconds)
    job.on_stop = drive.stop
    job.tell(task=record.config.task, race=record.id, progress=watch.summary(), done=0, total=0)
    try:
        with closing(drive.events()) as events:
            for event, stages in events:
                watch.take(event, stages.standings)
                job.tell(progress=watch.summary(), done=watch.done_here, total=watch.total_here)
                if stages.standings is None and perf_counter() - said > EVERY:
                    said = perf_counter()
                    job.tell(blocks=so_far(record))
                elif isinstance(event, Round):
                    job.tell(decided=watch.decided(), **shown(record, perf_counter() - begin))
                if job.asked_to_stop.is_set():
                    break
    finally:
        drive.finish(job.asked_to_stop.is_set())
    if record.runs:
        job.tell(progress="", **shown(record, record.seconds, whole=True))
    job.tell(ended={"": "", "seconds": "its time was up", "asked": "you stopped it"}[drive.stopped])


def shown(record: Record, seconds: float, whole: bool = False) -> dict[str, Any]:
    """The report's blocks as far as they are; `whole`: with the numbers for download."""
    record.seconds = round(seconds, 2)
    found = results(record)
    if not found.tuned:
        return {"blocks": so_far(record)}
    text = to_json(record, summary(record, found)) if whole else ""
    return {"blocks": body(record, found, text), "verdict": verdict(record, found)[0]}


def so_far(record: Record) -> str:
    """What stands there while the rates are tuned: the best of each rule yet."""
    rows = []
    for k, entry in enumerate(record.entries):
        runs = [run for run in record.runs if run.rule == entry.rule and run.schedule != RAMP]
        best = min((run for run in runs if math.isfinite(run.loss)), key=lambda run: run.loss, default=None)
        lr, reached = ("–", "–") if best is None else (rate(best.lr), loss(best.loss))
        rows.append((Markup(swatch(k) + escape(entry.rule)), str(len(runs)), lr, reached))
    head = ("rule", "runs", "best rate yet", "its validation loss")
    return table(rows, head, range(1, 4), "Tuning: the same number of rates for each rule")


def _quick() -> dict[str, Any]:
    return {
        "task": "digits",
        "rules": ["gradient_descent", "adam"],
        "quick": True,
        "steps": 10,
        "seconds": 1.0,
        "seed": 0,
    }


TAB = Tab(
    "race",
    "Race",
    "Rules tuned alike and raced on fresh seeds until it is decided, here as it happens. The race is kept "
    "in the store, like those of the command line.",
    (Endpoint("known", known), Endpoint("start", start, (_quick(),))),
    needs="it trains",
)
