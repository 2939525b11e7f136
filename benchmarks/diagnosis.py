"""How far the map depends on luck: `python -m benchmarks.diagnosis` asks again with other seeds."""

import sys

import click

from descend import rules
from descend.lab.diagnosis import atlas
from descend.lab.diagnosis.problem import PROBLEMS

RULES = "gradient_descent,momentum_accumulation,adagrad,rmsprop,adam,lion,rprop"


@click.command()
@click.option("--rules", "asked", default=RULES, show_default=True)
@click.option("--seeds", default=20, show_default=True)
@click.option("--processes", default=2, show_default=True)
def main(asked: str, seeds: int, processes: int) -> None:
    """Cells with the same verdict (solved at any rate, or at none) on all seeds, and on nineteen of twenty."""
    names = asked.split(",")
    solved: dict[tuple[str, str], int] = {}
    for seed in range(seeds):
        made = atlas.Atlas(names, seed)
        for found in atlas.drawn(names, seed, rules.get, processes):
            made.take(found)
        for key, cell in made.cells.items():
            solved[key] = solved.get(key, 0) + cell.solved
        click.echo(f"seed {seed} done", file=sys.stderr)
    same = {key: max(n, seeds - n) / seeds for key, n in solved.items()}
    click.echo(
        f"{len(same)} cells, {seeds} seeds; the same verdict, mean over the cells: {sum(same.values()) / len(same):.4f}"
    )
    click.echo(f"cells with one verdict on every seed: {sum(x == 1 for x in same.values()) / len(same):.4f}")
    for problem in PROBLEMS:
        weak = [f"{rule} {same[problem, rule]:.2f}" for rule in names if same.get((problem, rule), 1) < 0.95]
        if weak:
            click.echo(f"  {problem}: {', '.join(weak)}")


if __name__ == "__main__":
    main()
