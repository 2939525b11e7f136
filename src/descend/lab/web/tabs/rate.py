"""The range test from the page: `descend.torch.find_lr` on the digits or on a script named on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .... import rules as catalogue
from ....rules.names import find_rule
from ...tasks.source import Source
from ..fields import Fields, Refused
from ..jobs import Job
from ..tab import Endpoint, Lab, Tab

STEPS, REPEATS, SECONDS = 1000, 5, 600


class Stopped(Exception):
    """The range test was asked to end; `find_lr` undoes what it did on the way out."""


def known(lab: Lab, fields: Fields) -> Any:
    fields.end()
    job = lab.jobs.latest("rate")
    with_rate = [name for name, rule in catalogue.all().items() if "lr" in rule.settings]
    return {"tasks": ["digits", *_scripts(lab)], "rules": with_rate, "running": None if job is None else job.id}


def _scripts(lab: Lab) -> dict[str, Source]:
    return {label: source for label, source in lab.tasks.items() if source.kind == "script"}


def start(lab: Lab, fields: Fields) -> Any:
    """Begin a range test; its job's id."""
    rule = find_rule(fields.word("rule", longest=80)).name
    task = fields.word("task", "digits", among=["digits", *_scripts(lab)])
    steps, repeats = fields.whole("steps", 300, 10, STEPS), fields.whole("repeats", 3, 1, REPEATS)
    seed, seconds = fields.whole("seed", 0, 0, 10**6), fields.number("seconds", 300.0, 1.0, float(SECONDS))
    fields.end()
    if "lr" not in find_rule(rule).settings:
        raise Refused(f"{rule} has no learning rate")
    source = _scripts(lab).get(task)
    path = None if source is None else Path(dict(source.options)["path"])
    return {"job": lab.jobs.begin("rate", lambda job: run(job, rule, path, steps, repeats, seed, seconds)).id}


def run(job: Job, rule: str, path: Path | None, steps: int, repeats: int, seed: int, seconds: float) -> None:
    job.tell(progress="loading", done=0, total=0, rule=rule)
    from ....torch.learning_rate import find_lr
    from ....torch.learning_rate.page import body

    def progress(done: int, most: int) -> None:
        if job.asked_to_stop.is_set():
            raise Stopped
        job.tell(progress=f"step {done} of at most {most}", done=done, total=most)

    model, loss, batches = _task(path, seed)
    try:
        found = find_lr(
            model, rule, loss, batches, steps=steps, repeats=repeats, seconds=seconds, progress=progress
        )  # fmt: skip
    except Stopped:
        return
    job.tell(progress="", lr=found.lr, blocks=body(found, found.as_dict()))


def _task(path: Path | None, seed: int) -> tuple[Any, Any, Any]:
    if path is None:
        from torch.nn.functional import cross_entropy

        from ...tasks.torch_digits import Batches, model

        return model(seed), cross_entropy, Batches(seed)
    import torch

    from ...tasks.yours.script import load

    script = load(path)
    torch.manual_seed(seed)
    return script.model(), script.loss, list(script.batches(seed))


TAB = Tab(
    "rate",
    "Range test",
    "A learning rate for a rule: sweeps raise the rate from step to step, and what their curves suggest is probed by "
    "short trainings.",
    (
        Endpoint("known", known),
        Endpoint("start", start, ({"rule": "adam", "steps": 10, "repeats": 1, "seconds": 1.0, "seed": 0},)),
    ),
)
