"""`python -m benchmarks.default`: recipes compared on the tasks, the chosen one beside tuned AdamW, random nets."""

import math
from pathlib import Path
from statistics import fmean, pvariance

import click

from descend.lab.race.protocol.tuning import rounded
from descend.lab.race.results import TARGET

from . import fresh
from .recipes import CHOSEN, RECIPES
from .store import SEEDS, Study, card

LEARNT = (
    "digits", "digits-logistic", "denoiser", "photo", "cancer", "longley", "quadratic", "zipf-memory", "factorisation",
    "diamonds", "gunpoint", "burgers", "mnist-autoencoder", "grokking", "python-gpt",
)  # fmt: skip
# of the task's steps; each is a training annealed to its own end
BUDGETS = (0.25, 0.35, 0.5, 0.71, 1.0, 1.41, 2.0)


@click.group()
@click.option("--store", type=click.Path(path_type=Path), required=True, help="File of the study; it goes on with it.")
@click.pass_context
def main(context: click.Context, store: Path) -> None:
    """Which optimizer to use untuned, and how far it is from a tuned one (docs/default.md)."""
    context.obj = Study(store)


@main.command()
@click.option("--tasks", default=",".join(LEARNT), show_default=True, help="Comma-separated.")
@click.option("--recipes", default="", help="Only those whose names begin so, comma-separated.")
@click.option("--seeds", default=2, show_default=True)
@click.pass_obj
def compare(study: Study, tasks: str, recipes: str, seeds: int) -> None:
    """The gap of each recipe on the tasks it was chosen by, in per cent."""
    names = [name for name in RECIPES if name.startswith(tuple(recipes.split(",")))]
    click.echo(f"{'recipe':24}" + " ".join(f"{task[:9]:>9}" for task in tasks.split(",")) + "     mean")
    for name in names:
        gaps = [_gap(study, task, name, SEEDS[:seeds]) for task in tasks.split(",")]
        mean = fmean(min(max(gap, -10), 30) for gap in gaps)
        click.echo(f"{name:24}" + " ".join(f"{gap:9.1f}" for gap in gaps) + f"{mean:9.2f}")


def _gap(study: Study, task: str, name: str, seeds: tuple[int, ...]) -> float:
    """Loss above tuned AdamW's, as a part of what that has gained; of logarithms where the task's card says so."""
    ref, start = study.reference(task, seeds)
    loss = study.loss(task, name, seeds, card(task).steps)
    if card(task).log:
        return 100 * math.log(loss / ref) / math.log(start / ref)
    return 100 * (loss - ref) / (start - ref)


@main.command()
@click.option("--tasks", default=",".join((*LEARNT, *fresh.TASKS)), help="Comma-separated; by default all.")
@click.option("--recipe", default=CHOSEN, show_default=True, type=click.Choice(sorted(RECIPES)))
@click.option("--seeds", default=5, show_default=True, help=f"At most {len(SEEDS)}.")
@click.pass_obj
def judge(study: Study, tasks: str, recipe: str, seeds: int) -> None:
    """The chosen recipe against AdamW tuned on each task: final loss, and steps to a tenth above AdamW's.

    What follows ± is one standard error over the seeds, which both are given in pairs.
    """
    some, speeds, gaps, bound = SEEDS[:seeds], [], [], 0
    click.echo(
        "| task | AdamW's rate | start | tuned AdamW | default | gap | ratio of losses | steps to target | speed |"
    )
    click.echo("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for task in tasks.split(","):
        ref, start = study.reference(task, some)
        loss = study.loss(task, recipe, some, card(task).steps)
        gap, doubt = _doubted(study, task, recipe, some)
        target = ref + TARGET * abs(ref)
        theirs = _needs(study, task, "", some, target)
        ours = _needs(study, task, recipe, some, target)
        speed = theirs / (2 * BUDGETS[-1] * card(task).steps if math.isinf(ours) else ours)
        speeds.append(speed)
        gaps.append(gap)
        bound += math.isinf(ours)
        name = f"{task}{' (fresh)' * (task in fresh.TASKS)}"
        click.echo(
            f"| {name} | {rounded(study.tuned(task).lr):g} | {start:.3g} | {ref:.4g} "
            f"| {loss:.4g} | {100 * gap:+.1f} ± {100 * doubt:.1f} % | {loss / ref:.2f} "
            f"| {theirs:.0f} : {ours:.0f} | {speed:.2f} |"
        )
    mean = math.exp(fmean(map(math.log, speeds)))
    click.echo(
        f"\n{len(gaps)} tasks: geometric mean of the speeds {mean:.2f}, {bound} without the target; within 3 % on "
        f"{sum(gap <= 0.03 for gap in gaps)}; worst {100 * max(gaps):+.1f} %"
    )


def _doubted(study: Study, task: str, recipe: str, seeds: tuple[int, ...]) -> tuple[float, float]:
    """The gap to tuned AdamW, and its standard error by leaving each seed out of both sides (the jackknife)."""

    def gap(some: tuple[int, ...]) -> float:
        ref, start = study.reference(task, some)
        return (study.loss(task, recipe, some, card(task).steps) - ref) / (start - ref)

    left = [gap(seeds[:k] + seeds[k + 1 :]) for k in range(len(seeds))] if len(seeds) > 1 else [math.nan]
    return gap(seeds), math.sqrt((len(left) - 1) * pvariance(left))


def _needs(study: Study, task: str, recipe: str, seeds: tuple[int, ...], target: float) -> float:
    """Steps of the shortest training that reaches the target, between budgets by a power law; infinite: none does.

    `recipe`: "" for AdamW at its tuned rate. What the shortest budget reaches counts as that budget.
    """
    before: tuple[int, float] | None = None
    for part in BUDGETS:
        steps = round(part * card(task).steps)
        loss = study.loss(task, recipe, seeds, steps) if recipe else study.adamw(task, seeds, steps)
        if loss <= target:
            if before is None or not (math.isfinite(before[1]) and min(loss, target) > 0):
                return float(steps)
            share = math.log(before[1] / target) / math.log(before[1] / loss)
            return before[0] * (steps / before[0]) ** share
        before = steps, loss
    return math.inf


@main.command()
@click.option("--count", default=100, show_default=True)
@click.option("--steps", default=100, show_default=True)
@click.option("--recipes", default=CHOSEN, show_default=True, help="Comma-separated.")
def nets(count: int, steps: int, recipes: str) -> None:
    """Random nets of every scale: how many diverge, and how many learn."""
    from .nets import tried

    for name in recipes.split(","):
        verdicts = [tried(seed, RECIPES[name], steps) for seed in range(count)]
        click.echo(
            f"{name}: of {count} nets {sum(v.diverged for v in verdicts)} diverged "
            f"({sum(not v.finite for v in verdicts)} with numbers that are not finite); the loss fell by a tenth on "
            f"{sum(v.after < 0.9 * v.before for v in verdicts)}"
        )
        for verdict in verdicts:
            if verdict.diverged:
                click.echo(f"    {verdict.told}: {verdict.before:.3g} -> {verdict.after:.3g}")


if __name__ == "__main__":
    main()
