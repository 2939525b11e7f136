"""`python -m benchmarks.choosing`: the sweeps of the tasks, and what they say."""

import sys
from dataclasses import asdict
from pathlib import Path
from time import monotonic

import click

from benchmarks.default import fresh
from descend.lab.notebook import Given, Notebook
from descend.lab.store import Store
from descend.lab.tasks.catalogue import MODULES
from descend.lab.tasks.source import Source

from .sweep import sweep

LEARNT = (
    "digits-logistic", "digits", "denoiser", "cancer", "quadratic", "longley", "factorisation", "zipf-memory",
)  # fmt: skip
KEPT_OUT = ("burgers", "grokking", *fresh.TASKS)  # on which no choice was made while building


def notebook_of(task: str, store: Store, processes: int = 1) -> Notebook:
    """Of a task of the lab, or of those made for judging `default`, whose runs stay in this process."""
    if task in fresh.TASKS:
        return Notebook(Given(fresh.problem(task), fresh.TASKS[task]), store)
    if task not in MODULES:
        raise click.UsageError(f"no task {task!r}; `descend tasks` lists them.")
    return Notebook.of(Source(task), store, processes)


@click.group()
def main() -> None:
    """Exhaustive sweeps, and how far `choose` is to be trusted."""


@main.command("sweep")
@click.option("--tasks", default=",".join(LEARNT), help="Tasks, comma-separated.", show_default=True)
@click.option("--store", type=click.Path(path_type=Path), required=True, help="SQLite file of the study.")
@click.option("--seconds", default=3600.0, help="All in all.", show_default=True)
@click.option("--processes", default=2, show_default=True)
@click.option("--full-only", is_flag=True, help="Leave the short lengths out; judging needs the full one alone.")
@click.option("--thin", is_flag=True, help="One seed and linear at first; all of it where that comes near the best.")
def sweep_(tasks: str, store: Path, seconds: float, processes: int, full_only: bool, thin: bool) -> None:
    """Run the exhaustive sweep of tasks; what was run before is kept."""
    begin = monotonic()
    for task in tasks.split(","):
        with notebook_of(task, Store(store), processes) as notebook:
            for there, left in sweep(notebook, seconds - (monotonic() - begin), not full_only, thin):
                if there % 100 == 0:
                    took = monotonic() - begin
                    click.echo(f"{task}: {there} runs, {left} left in this stage, {took:.0f} s", file=sys.stderr)
            click.echo(f"{task}: {len(notebook.known)} runs, {monotonic() - begin:.0f} s")
        if monotonic() - begin > seconds:
            break


@main.command("fit")
@click.option("--tasks", default=",".join(LEARNT), help="Tasks that were swept.", show_default=True)
@click.option("--store", type=click.Path(path_type=Path), required=True, help="SQLite file of the study.")
def fit(tasks: str, store: Path) -> None:
    """The constants of `descend.lab.choosing.belief`, learnt from sweeps."""
    from .fit import data, learnt

    kept = Store(store)
    constants, leanings = learnt([data(notebook_of(task, kept)) for task in tasks.split(",")], click.echo)
    click.echo(", ".join(f"{name}={x:.3g}" for name, x in asdict(constants).items()))
    for rule, (end, slope) in leanings.items():
        click.echo(f"{rule}: ({end:.2f}, {slope:.3f})")


@main.command("judge")
@click.option("--tasks", default=",".join(LEARNT), help="Tasks that were swept.", show_default=True)
@click.option("--store", type=click.Path(path_type=Path), required=True, help="SQLite file of the study.")
@click.option("--runs", default="3,10,30", help="Budgets, in trainings of the full length.", show_default=True)
@click.option("--seeds", default=3, show_default=True, help="Choices for each.")
def judge(tasks: str, store: Path, runs: str, seeds: int) -> None:
    """What `choose` answers, and how far that is from the best of the sweep."""
    from .judge import Judged, judged, summary

    every: list[Judged] = []
    click.echo("task runs seed rule lr schedule loss best gap% covered spent confidence")
    for task in tasks.split(","):
        with notebook_of(task, Store(store)) as notebook:
            for budget in map(float, runs.split(",")):
                for seed in range(seeds):
                    j = judged(notebook, budget, seed)
                    every.append(j)
                    click.echo(
                        f"{task} {budget:g} {seed} {j.rule} {j.lr:g} {j.schedule} {j.loss:.4g} {j.best:.4g} "
                        f"{100 * j.gap:.2f} {'yes' if j.covered else 'no'} {j.spent:.1f} {j.confidence}"
                    )
    for budget in map(float, runs.split(",")):
        click.echo(summary([j for j in every if j.runs == budget]))


@main.command("peers")
@click.option("--tasks", default=",".join((*LEARNT, *KEPT_OUT)), help="Tasks that were swept.", show_default=True)
@click.option("--store", type=click.Path(path_type=Path), required=True, help="SQLite file of the study.")
@click.option("--runs", default="10,30", help="Budgets, in trainings of the full length.", show_default=True)
@click.option("--repetitions", default=3, show_default=True, help="Of each search.")
@click.option("--without", default="", help="Searches to leave out, separated by semicolons.")
@click.option("--centred", is_flag=True, help="Search the nine rates around the best only, which nobody knows before.")
def peers(tasks: str, store: Path, runs: str, repetitions: int, without: str, centred: bool) -> None:
    """Random search, TPE, ASHA and Hyperband (Optuna) beside `choose`, at equal cost: gaps, and mean ranks over all."""
    from .peers import compared, mean_ranks, searches

    names = [name for name in searches(0) if name not in without.split(";")]

    budgets = sorted(map(float, runs.split(",")))
    every: dict[tuple[str, float], list[float]] = {}
    for task in tasks.split(","):
        with notebook_of(task, Store(store)) as notebook:
            gaps = compared(notebook, budgets, repetitions, names, centred)
        for (name, budget), of in gaps.items():
            every.setdefault((name, budget), []).extend(of)
            click.echo(f"{task:16} {budget:g} {name:16} " + " ".join(f"{100 * gap:7.2f}" for gap in of))
    for budget in budgets:
        scores = {name: of for (name, b), of in every.items() if b == budget}
        ranks = mean_ranks(scores)
        for name, of in scores.items():
            near, middle = sum(gap <= 0.02 for gap in of) / len(of), sorted(of)[len(of) // 2]
            click.echo(f"{budget:g} {name:16} mean rank {ranks[name]:.2f}, gap <= 2 % {100 * near:.0f} % of {len(of)}, "
                       f"mean {100 * sum(of) / len(of):.2f} %, median {100 * middle:.2f} %")  # fmt: skip


@main.command("transfer")
@click.option("--store", type=click.Path(path_type=Path), required=True, help="SQLite file of the study.")
@click.option("--runs", default=10.0, help="Budget, in trainings of the size that is asked for.", show_default=True)
@click.option("--seeds", default=3, show_default=True, help="Choices for each.")
def transfer(store: Path, runs: float, seeds: int) -> None:
    """Asked at 500 steps and used at 4000; asked at width 64 and used at 512: how far the rate is from the best."""
    from .transfer import STEPS, TIMES, carried, longer, wider

    kept = Store(store)
    cases = [("width", task, *wider(task, kept), None) for task in ("digits", "denoiser")]
    cases += [
        ("length", task, *longer(task, kept), STEPS * TIMES) for task in ("digits-logistic", "digits", "denoiser")
    ]
    for kind, task, small, large, horizon in cases:
        for seed in range(seeds):
            row = carried(small, large, runs, seed, horizon)
            told = f"asked {row.asked:<8g} said {row.said:<8g} best {row.best:<8g} x{row.factor:.2f}"
            end = f"behind {100 * row.behind:.2f} %, doubts {row.doubts}"
            click.echo(f"{kind:6} {task:16} {row.rule:22} {row.schedule:6} {told} {end}")


@main.command("minute")
@click.option("--epochs", default="5,10,30", help="Lengths of the training that is chosen for.", show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="That descend.torch.choose is given.")
def minute(epochs: str, seconds: float) -> None:
    """How soon there is an answer for a net whose epoch takes two seconds; run it on a quiet machine."""
    from .minute import asked, commanded, epoch

    batches, took = epoch()
    click.echo(f"an epoch of {batches} batches takes {took:.2f} s")
    lengths = [int(of) for of in epochs.split(",")]
    for question, given in [(asked, (n, seconds)) for n in lengths] + [(asked, (lengths[0], None))]:
        click.echo(str(question(batches, *given)))
    for n in lengths:
        click.echo(str(commanded(batches, n)))


if __name__ == "__main__":
    main()
