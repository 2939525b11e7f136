"""What is measured, in which order, and how long each part may take."""

from collections.abc import Callable
from dataclasses import dataclass

from . import loop, measures, tail
from .accuracy import table
from .bits import differing, fused
from .peers import FUSED, OPTAX, PEERS, UNFUSED, installed
from .report import Report
from .speed import NEW, Bench, streaming
from .timing import Clock
from .waits import commands, start

SECTIONS = ("loop", "speed", "tail", "start", "waits", "bits", "small", "accuracy", "models", "jax")
CORE = (*FUSED, *UNFUSED, "gradient_descent", "nesterov_accumulation", "lion")
"""The rules measured on every workload, unless others are asked for."""
OF_SECTION = {
    "speed": ("20M",),
    "small": ("1000x1000", "mlp", "100000x16", "mlp-784"),
    "models": ("resnet18", "vit_small"),
}
QUICK = {"20M": ("adamw", "rmsprop"), "1000x1000": ("adamw",), "mlp": ("adamw",), "resnet18": ("adamw",)}
RENEWED = ("1000x1000", "mlp", "100000x16")
"""Where it matters whether a step finds its gradients where they were."""
SHARE = 0.85  # of the time given that is planned with: a job that has begun is finished


@dataclass
class Job:
    """A part of the run. ``run(until)`` reports what it finds; ``about`` is what it takes, in seconds."""

    section: str
    name: str
    about: float
    run: Callable[[float], None]


def default_rules(workload: str) -> list[str]:
    """20M: every rule that works element by element or by norms; 100000x16: AdamW; else ``CORE``."""
    if workload == "20M":
        return streaming()
    return ["adamw"] if workload == "100000x16" else list(CORE)


def cells(bench: Bench, report: Report, workload: str, names: list[str], quick: bool) -> list[Job]:
    def job(name: str) -> Job:
        beside_optax = workload == "20M" and name in OPTAX and installed("optax") and not quick

        def run(until: float) -> None:
            report.add(bench.rule(workload, name, until, beside_optax))

        about = (6.0 if name in PEERS else 2.0) + 3.0 * beside_optax
        about = {"100000x16": 10 * about, "mlp": 0.7 * about, "mlp-784": 0.7 * about}.get(workload, about)
        return Job(_section(workload), f"{name}, {workload}", about, run)

    return [job(name) for name in names]


def _renewed(bench: Bench, report: Report, workload: str) -> Job:
    def run(until: float) -> None:
        report.add(bench.new_gradients(workload, "adamw", until))

    about = 20.0 if workload == "100000x16" else 3.0
    return Job(_section(workload), f"adamw{NEW}, {workload}", about, run)


def _watched(bench: Bench, report: Report, workload: str) -> Job:
    def run(until: float) -> None:
        report.add(tail.watched(bench, workload, until))

    section = "tail" if workload == "20M" else _section(workload)
    return Job(section, f"{tail.WATCHED}, {workload}", 3.0, run)


def _section(workload: str) -> str:
    return next((section for section, members in OF_SECTION.items() if workload in members), "models")


def jobs(
    bench: Bench, report: Report, only: tuple[str, ...], chosen: tuple[str, ...], wanted: list[str] | None, quick: bool
) -> list[Job]:
    """All jobs of a run, those of the bars first.

    Args:
        only: sections, or all. chosen: workloads; then nothing but their cells is measured.
        wanted: rules in place of each workload's own.
    """
    made: list[Job] = []

    def measure(workload: str) -> None:
        if quick and not chosen and workload not in QUICK:
            return
        own = list(QUICK.get(workload, ("adamw",))) if quick else default_rules(workload)
        made.extend(cells(bench, report, workload, wanted or own, quick))
        if workload in RENEWED and not (wanted or quick):
            made.append(_renewed(bench, report, workload))
        if workload in measures.WATCHED_ON and workload != "20M" and not (wanted or quick):
            made.append(_watched(bench, report, workload))

    if chosen:
        for workload in chosen:
            measure(workload)
        return made
    for section in only or SECTIONS:
        if section in OF_SECTION:
            for workload in OF_SECTION[section]:
                measure(workload)
        elif section != "jax" or (installed("jax") and installed("optax") and (only or not quick)):
            made += _OTHERS[section](bench, report, quick)
    return made


def run(jobs: list[Job], report: Report, end: float, clock: Clock) -> None:
    """Run the jobs one after the other. Each may take its share of what is left until ``end``, by ``about``.

    A job that fails is reported and the next one runs; once the time is up, the rest is left out and named.
    """
    for i, job in enumerate(jobs):
        now, left = clock.now(), sum(one.about for one in jobs[i:])
        if now >= end:
            report.left_out += [one.name for one in jobs[i:]]
            return
        share = job.about / left * (end - now)
        report.progress(i, len(jobs), job.name, min(left, end - now))
        try:
            job.run(now + min(share, 3 * job.about))
        except Exception as error:  # a run of ten minutes does not end with the first surprise
            report.failed(job.name, error)
    report.progress(len(jobs), len(jobs), "", 0.0)


def _tail(bench: Bench, report: Report, quick: bool) -> list[Job]:
    return [
        Job("tail", "global norm", 4.0, lambda until: report.add(tail.global_norm(bench, until=until))),
        Job("tail", "clip + AdamW + EMA", 8.0, lambda until: report.add(tail.tail(bench, until=until))),
        _watched(bench, report, "20M"),
    ]


def _start(bench: Bench, report: Report, quick: bool) -> list[Job]:
    repeats = 1 if quick else 3

    def cold(until: float) -> None:
        report.start = {what: start.first_step(what, repeats) for what in start.COLD}

    def importing(until: float) -> None:
        report.imported = start.importing(3 if quick else 5)

    return [Job("start", "first step", 10.0 * repeats, cold), Job("start", "import", 2.0, importing)]


def _waits(bench: Bench, report: Report, quick: bool) -> list[Job]:
    def job(about: float, name: str, measure: Callable[[], measures.Bar]) -> Job:
        return Job("waits", name, about, lambda until: report.waits.append(measure()))

    return [] if quick else [
        job(3.0, "schedules", commands.schedules_over_a_million), job(30.0, "a check", commands.a_check),
        job(6.0, "range tests", commands.range_tests), job(16.0, "many tensors", commands.many_tensors),
    ]  # fmt: skip


def _loop(bench: Bench, report: Report, quick: bool) -> list[Job]:
    def job(name: str, about: float, measure: Callable[[float], measures.Bar]) -> Job:
        return Job("loop", name, about, lambda until: report.loop.append(measure(until)))

    return [job(*one) for one in loop.measurements(quick)]


def _bits(bench: Bench, report: Report, quick: bool) -> list[Job]:
    def run(until: float) -> None:
        names = ["adamw", "lamb", "rprop"] if quick else fused()
        where = "in one process" if quick else "and cold in a new process"
        report.bits = measures.of_bits(differing(names, not quick), len(names), where, not quick)

    return [Job("bits", "bits for 1, 2 and 5 threads", 5.0 if quick else 60.0, run)]


def _accuracy(bench: Bench, report: Report, quick: bool) -> list[Job]:
    def run(until: float) -> None:
        report.distances += table(30 if quick else 300)

    return [] if quick else [Job("accuracy", "distance from torch.optim", 40.0, run)]


def _jax(bench: Bench, report: Report, quick: bool) -> list[Job]:
    def run(until: float) -> None:
        from . import jax

        report.jax += jax.measure(rounds=3 if quick else 5)

    return [Job("jax", "descend.jax against optax", 25.0, run)]


_OTHERS = {
    "loop": _loop,
    "tail": _tail,
    "start": _start,
    "waits": _waits,
    "bits": _bits,
    "accuracy": _accuracy,
    "jax": _jax,
}
