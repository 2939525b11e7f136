"""BBOB: how many evaluations the methods of ``search`` and their peers need on the 24 functions of COCO.

``python -m benchmarks.search.bbob --solver cma_es,pycma --instances 15 --budget 2000`` prints, per solver: the share
of the (function, instance, target) pairs solved, the area under their distribution over the logarithm of the budget,
the functions solved to 1e-8 on every instance, and ERT ratios to pycma. Every solver starts uniformly in [-4, 4], anew
wherever it restarts; those with a step size begin with 2, the others are told the bounds [-5, 5].

Needs coco-experiment; the peers need cma, cmaes or SciPy. Hansen et al. 2021, "COCO: a platform for comparing
continuous optimizers in a black-box setting", doi.org/10.1080/10556788.2020.1808977.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from descend.search.method import Method
from descend.search.populations.auto import Auto
from descend.search.populations.cma_es import CMAES
from descend.search.populations.differential_evolution import DE, LSHADE
from descend.search.populations.genetic import GA
from descend.search.populations.lq_cma_es import LqCMAES
from descend.search.populations.particle_swarm import PSO
from descend.search.populations.restarts import Restarted

TARGETS = np.logspace(2, -8, 51)
FUNCTIONS = 24


class Spent(Exception):
    """The budget is spent, or the last target is reached."""


class Counted:
    """A problem that notes at which evaluation each target was first reached, and ends the run when none is left."""

    def __init__(self, problem: Any, optimum: float, budget: int):
        self.problem, self.optimum, self.budget = problem, optimum, budget
        self.count = 0
        self.hits: list[int] = []
        self._next = self.optimum + TARGETS[0]

    def __call__(self, x: Any) -> float:
        if self.count >= self.budget:
            raise Spent
        self.count += 1
        value = self.problem(x)
        while value <= self._next:
            self.hits.append(self.count)
            if len(self.hits) == len(TARGETS):
                raise Spent
            self._next = self.optimum + TARGETS[len(self.hits)]
        return value


Solver = Callable[[Counted, int, np.random.Generator], None]
BOUNDS = (-5.0, 5.0)


def start(rng: np.random.Generator, dimension: int) -> np.ndarray:
    return rng.uniform(-4, 4, dimension)


def ours(kind: type[Method], **options: Any) -> Solver:
    """A method from a random start, and again from another one whenever it ends."""

    def solve(f: Counted, dimension: int, rng: np.random.Generator) -> None:
        given = dict(options)
        if issubclass(kind, Restarted):
            given |= {"sigma0": 2.0, "restart_from": lambda rng: start(rng, dimension)}
        if kind is LSHADE:
            given["budget"] = f.budget
        while True:
            method = kind(start(rng, dimension), None if "sigma0" in given else BOUNDS, seed=rng, **given)
            while (wanted := method.wanted) is not None:
                method.answer(np.array([f(x) for x in wanted.points]))

    return solve


def pycma(f: Counted, dimension: int, rng: np.random.Generator) -> None:
    import cma

    options = {"verbose": -9, "seed": int(rng.integers(1, 2**31)), "maxfevals": f.budget}
    while True:
        cma.fmin2(f, lambda: start(rng, dimension), 2, options, restarts=9, bipop=True)


def pycma_lq(f: Counted, dimension: int, rng: np.random.Generator) -> None:
    import cma

    options = {"verbose": -9, "seed": int(rng.integers(1, 2**31)), "maxfevals": f.budget}
    while True:
        cma.fmin_lq_surr2(f, lambda: start(rng, dimension), 2, dict(options), restarts=9)


def scipy_de(f: Counted, dimension: int, rng: np.random.Generator) -> None:
    from scipy.optimize import differential_evolution

    while True:
        differential_evolution(f, [(-5, 5)] * dimension, rng=rng)


SOLVERS: dict[str, Solver] = {
    "cma_es": ours(CMAES),
    "lq_cma_es": ours(LqCMAES),
    "auto": ours(Auto),
    "l_shade": ours(LSHADE),
    "de": ours(DE),
    "de_best": ours(DE, strategy="best1"),
    "pso": ours(PSO),
    "pso_ring": ours(PSO, topology="ring"),
    "ga": ours(GA),
    "pycma": pycma,
    "pycma_lq": pycma_lq,
    "scipy_de": scipy_de,
}


def measure(solver: str, dimension: int, instances: int, budget: int, functions: list[int]) -> dict[str, Any]:
    """Run one solver over the suite.

    Returns:
        hits: functions × instances lists of the evaluations at which the targets were reached, in their order;
        seconds; evaluations.
    """
    import cocoex

    suite = cocoex.Suite("bbob", f"instances:1-{instances}", f"dimensions:{dimension}")
    hits: dict[str, list[list[int]]] = {}
    seconds, evaluations = 0.0, 0
    for function in functions:
        for instance in range(1, instances + 1):
            problem = suite.get_problem_by_function_dimension_instance(function, dimension, instance)
            optimum = cocoex.BareProblem("bbob", function, dimension, instance).best_value()
            f = Counted(problem, optimum, budget * dimension)
            began = time.process_time()
            with contextlib.suppress(Spent):
                SOLVERS[solver](f, dimension, np.random.default_rng([function, instance]))
            seconds += time.process_time() - began
            evaluations += f.count
            hits.setdefault(str(function), []).append(f.hits)
            problem.free()
    return {
        "solver": solver,
        "dimension": dimension,
        "budget": budget,
        "hits": hits,
        "seconds": seconds,
        "evaluations": evaluations,
    }


# ---------------------------------------------------------------- what is read off


def pairs(run: dict[str, Any], budget: int) -> float:
    """The share of the pairs that were solved within budget × dimension evaluations."""
    limit = budget * run["dimension"]
    return float(np.mean([sum(t <= limit for t in h) / len(TARGETS) for h in problems(run)]))


def area(run: dict[str, Any], budget: int) -> float:
    """The area under the share of pairs solved, over the logarithm of the evaluations from D to the budget."""
    first, limit = run["dimension"], budget * run["dimension"]
    left = [[math.log(limit / max(t, first)) for t in h if t <= limit] for h in problems(run)]
    return float(np.mean([sum(one) for one in left])) / len(TARGETS) / math.log(limit / first)


def complete(run: dict[str, Any], budget: int) -> list[int]:
    """The functions whose last target was reached on every instance."""
    limit = budget * run["dimension"]
    return [int(f) for f, runs in run["hits"].items() if all(len(h) == len(TARGETS) and h[-1] <= limit for h in runs)]


def ert(run: dict[str, Any], function: int, budget: int) -> float:
    """Expected running time to the last target: all evaluations before it, per success (inf without one)."""
    limit = budget * run["dimension"]
    runs = run["hits"][str(function)]
    last = [h[-1] if len(h) == len(TARGETS) and h[-1] <= limit else None for h in runs]
    successes = [t for t in last if t is not None]
    spent = sum(successes) + limit * (len(last) - len(successes))
    return spent / len(successes) if successes else math.inf


def problems(run: dict[str, Any]) -> list[list[int]]:
    return [h for runs in run["hits"].values() for h in runs]


def report(runs: list[dict[str, Any]], budget: int, reference: dict[str, Any] | None) -> str:
    lines = [
        f"BBOB, D = {runs[0]['dimension']}, {len(next(iter(runs[0]['hits'].values())))} instances, "
        f"budget {budget}·D, 51 targets 1e2 to 1e-8",
        "",
        "| solver | pairs | log-area | complete | ERT ÷ pycma (both complete) | worst | µs per evaluation |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        done = complete(run, budget)
        ratio = worst = "–"
        if reference is not None:
            theirs = complete(reference, budget)
            both = [f for f in theirs if f in done]
            ratios = {f: ert(run, f, budget) / ert(reference, f, budget) for f in theirs}
            if both:
                ratio = f"{math.exp(np.mean([math.log(ratios[f]) for f in both])):.3f} ({len(both)} f)"
            if ratios:
                f = max(ratios, key=lambda f: ratios[f])
                worst = f"{ratios[f]:.2f} (f{f})"
        micro = 1e6 * run["seconds"] / run["evaluations"]
        lines.append(
            f"| {run['solver']} | {pairs(run, budget):.3f} | {area(run, budget):.3f} "
            f"| {len(done)} of {len(run['hits'])} | {ratio} | {worst} | {micro:.0f} |"
        )
    return "\n".join(lines)


def ert_table(runs: list[dict[str, Any]], budget: int) -> str:
    """ERT / D to 1e-8 of each function, and how many instances were solved where it was not all."""
    lines = ["| f | " + " | ".join(run["solver"] for run in runs) + " |", "|---" * (1 + len(runs)) + "|"]
    for f in runs[0]["hits"]:
        cells = []
        for run in runs:
            each = run["hits"].get(f, [])
            solved = sum(len(h) == len(TARGETS) and h[-1] <= budget * run["dimension"] for h in each)
            expected = f"{ert(run, int(f), budget) / run['dimension']:.0f}" if solved else "–"
            cells.append(expected if solved in (0, len(each)) else f"{expected} ({solved} of {len(each)})")
        lines.append(f"| {f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@click.command()
@click.option("--solver", default="cma_es", show_default=True, help="Comma-separated: " + ", ".join(SOLVERS))
@click.option("--dimension", default=5, show_default=True)
@click.option("--instances", default=15, show_default=True)
@click.option("--budget", default=2000, show_default=True, help="Evaluations per dimension.")
@click.option("--function", "functions", default="1-24", show_default=True, help="Functions, first-last.")
@click.option("--cut", default="", help="Comma-separated smaller budgets to read the same runs at.")
@click.option("--ert", "each", is_flag=True, help="Also ERT / D of each function.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the runs here.")
@click.option(
    "--with", "others", type=click.Path(path_type=Path, exists=True), multiple=True, help="Runs written before."
)
def main(solver, dimension, instances, budget, functions, cut, each, file, others) -> None:
    """Count evaluations on BBOB."""
    unknown = [name for name in solver.split(",") if name and name not in SOLVERS]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: choose from {', '.join(SOLVERS)}", param_hint="--solver")
    first, _, last = functions.partition("-")
    chosen = list(range(int(first), int(last or first) + 1))
    runs = [run for other in others for run in json.loads(other.read_text())]
    for name in filter(None, solver.split(",")):
        runs.append(measure(name, dimension, instances, budget, chosen))
        if file is not None:
            file.write_text(json.dumps(runs))
    reference = next((run for run in runs if run["solver"] == "pycma"), None)
    for at in [*map(int, filter(None, cut.split(","))), budget]:
        click.echo(report(runs, at, reference) + "\n")
    if each:
        click.echo(ert_table(runs, budget))


if __name__ == "__main__":
    main()
