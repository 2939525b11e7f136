"""How far the map depends on luck: `python -m benchmarks.diagnosis` asks a sample of its cells with other seeds."""

import math
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import click
import numpy as np
from numpy.random import default_rng

from descend import rules
from descend.lab.diagnosis import atlas  # noqa: F401  it enters the problems
from descend.lab.diagnosis.problem import PROBLEMS
from descend.lab.diagnosis.running import RATES, error_of

ALIKE = 3  # seeds with the same bits, after which a cell is not asked further


@dataclass(frozen=True)
class Luck:
    """A cell under several seeds. `agree`: the part of them that has the verdict of most; `alike`: the first three gave
    the same bits, so that the seed does not enter (it draws signs, and the rule is odd), and the others were not asked.
    """

    rule: str
    problem: str
    agree: float
    alike: bool


def luck(rule_name: str, title: str, seeds: Sequence[int]) -> Luck:
    """All rates with the first seed; with the others the best first, up to one that solves the problem: a verdict."""
    rule, problem = rules.get(rule_name), PROBLEMS[title]
    first = [error_of(rule, problem, lr, seeds[0]) for lr in RATES]
    order = sorted(range(len(RATES)), key=first.__getitem__)
    verdicts, alike = [first[order[0]] <= problem.within], True
    for i, seed in enumerate(seeds[1:], 2):
        seen = False
        for k in order:
            error = error_of(rule, problem, RATES[k], seed)
            alike = alike and error == first[k] and (k != order[0] or 0 < error < math.inf)
            if seen := error <= problem.within:
                break
        verdicts.append(seen)
        if alike and i == ALIKE:
            return Luck(rule_name, title, 1.0, True)
    part = float(np.mean(verdicts))
    return Luck(rule_name, title, max(part, 1 - part), False)


def wilson(hits: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of a share that holds it in 95 of 100 samples (Wilson 1927)."""
    p, spread = hits / of, z * math.sqrt(hits * (of - hits) / of**3 + z * z / (4 * of * of))
    return tuple((p + z * z / (2 * of) + sign * spread) / (1 + z * z / of) for sign in (-1, 1))  # type: ignore[return-value]


def bootstrap(values: Sequence[float], draws: int = 2000) -> tuple[float, float]:
    """The interval of a mean that holds 95 of 100 means of samples drawn again from the sample."""
    means = default_rng(0).choice(values, (draws, len(values))).mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def asked(cells: Sequence[tuple[str, str]], seeds: Sequence[int], processes: int) -> Iterator[Luck]:
    """The cells in their order, which is random: whoever is interrupted has asked a smaller sample."""
    names, titles = zip(*cells, strict=True)
    if processes == 1:
        yield from map(luck, names, titles, [seeds] * len(cells))
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        try:
            yield from pool.map(luck, names, titles, [seeds] * len(cells))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@click.command()
@click.option("--rules", "names", help="These, by commas; default: all.")
@click.option("--problems", help="These, by commas; default: all.")
@click.option(
    "--cells", default=500, show_default=True, help="So many of theirs, drawn at random; all if there are fewer."
)
@click.option("--sample", default=0, show_default=True, help="The seed of that draw.")
@click.option("--seeds", default=20, show_default=True, help="So many of the problems'.")
@click.option("--first", default=0, show_default=True, help="The first of them.")
@click.option("--processes", default=2, show_default=True)
def main(
    names: str | None, problems: str | None, cells: int, sample: int, seeds: int, first: int, processes: int
) -> None:
    """How many seeds have the same verdict (solved at any rate, or at none), and how many cells have one on all."""
    of_rules = names.split(",") if names else list(rules.all())
    of_problems = problems.split(",") if problems else list(PROBLEMS)
    every = [(name, title) for name in of_rules for title in of_problems]
    drawn = default_rng(sample).permutation(len(every))[:cells]
    found: list[Luck] = []
    try:
        for one in asked([every[k] for k in drawn], range(first, first + seeds), processes):
            found.append(one)
            alike = ", the same bits" if one.alike else ""
            click.echo(
                f"{len(found)} of {len(drawn)}: {one.rule}, {one.problem}: {one.agree:.2f}{alike}", file=sys.stderr
            )
    except KeyboardInterrupt:
        if not found:
            raise
    report(found, len(every), of_problems)


def report(found: Sequence[Luck], every: int, titles: Sequence[str]) -> None:
    """Both readings with their intervals, and the cells whose verdict depends on the seed, by problem."""
    agree = [one.agree for one in found]
    steady = sum(x == 1 for x in agree)
    low, high = bootstrap(agree)
    click.echo(f"{len(found)} of {every} cells; in brackets 95 %")
    click.echo(f"seeds with the verdict of most, mean over the cells: {np.mean(agree):.4f} [{low:.4f}, {high:.4f}]")
    low, high = wilson(steady, len(found))
    click.echo(f"cells with one verdict on every seed: {steady / len(found):.4f} [{low:.4f}, {high:.4f}]")
    click.echo(f"cells whose first {ALIKE} seeds gave the same bits, not asked further: {sum(x.alike for x in found)}")
    for title in titles:
        weak = sorted((one.agree, one.rule) for one in found if one.problem == title and one.agree < 1)
        if weak:
            of = sum(one.problem == title for one in found)
            click.echo(f"  {title}, {of} asked: {', '.join(f'{rule} {part:.2f}' for part, rule in weak)}")


if __name__ == "__main__":
    main()
