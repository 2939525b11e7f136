"""What population methods cost themselves, per evaluation, beside their peers: interleaved, in one process.

``python -m benchmarks.search.own_time`` runs each method for some generations on a function whose values for a
whole generation are one line of NumPy, in turn with its peers, several times, and prints the least processor time per
evaluation of each and the ratio to it. The peers ask and tell one generation as their documentation does.
"""

import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np

from descend.search.method import Method
from descend.search.populations.cma_es import CMAES
from descend.search.populations.differential_evolution import DE
from descend.search.populations.genetic import GA
from descend.search.populations.lq_cma_es import LqCMAES
from descend.search.populations.particle_swarm import PSO

Array = np.ndarray
Run = Callable[[int, int], int]  # dimension, evaluations -> evaluations done


def sphere(X: Array) -> Array:
    return np.einsum("ij,ij->i", X, X)


def rugged(X: Array) -> Array:
    """Rosenbrock's function: a model has to work for it."""
    return (100 * (X[:, 1:] - X[:, :-1] ** 2) ** 2 + (1 - X[:, :-1]) ** 2).sum(1)


def ours(kind: type[Method], f: Callable[[Array], Array], **options: Any) -> Run:
    def run(dimension: int, evaluations: int) -> int:
        method = kind(np.full(dimension, 3.0), seed=1, **options)
        done = 0
        while done < evaluations and (wanted := method.wanted) is not None:
            method.answer(f(wanted.points))
            done += len(wanted.points)
        return done

    return run


def asked(dimension: int, evaluations: int) -> int:
    """CMA-ES by ``ask`` and ``tell``, as its peers are used."""
    method = CMAES(np.full(dimension, 3.0), seed=1, sigma0=1, restarts="none")
    done = 0
    while done < evaluations and len(points := method.ask()):
        method.tell(points, sphere(points))
        done += len(points)
    return done


def pycma(dimension: int, evaluations: int) -> int:
    import cma

    es = cma.CMAEvolutionStrategy([3.0] * dimension, 1.0, {"verbose": -9, "seed": 1})
    done = 0
    while done < evaluations:
        X = es.ask()
        es.tell(X, sphere(np.array(X)))
        es.stop()
        done += len(X)
    return done


def cyber(dimension: int, evaluations: int) -> int:
    import cmaes

    es = cmaes.CMA(np.full(dimension, 3.0), 1.0, seed=1)
    done = 0
    while done < evaluations:
        X = [es.ask() for _ in range(es.population_size)]
        es.tell(list(zip(X, sphere(np.array(X)), strict=True)))
        es.should_stop()
        done += len(X)
    return done


def pycma_lq(dimension: int, evaluations: int) -> int:
    import cma

    options = {"verbose": -9, "seed": 1, "maxfevals": evaluations}
    _, es = cma.fmin_lq_surr2(lambda x: float(rugged(np.atleast_2d(x))[0]), [3.0] * dimension, 1.0, options)
    return es.countevals


def scipy_de(dimension: int, evaluations: int) -> int:
    from scipy.optimize import differential_evolution

    population = 1000 // dimension
    rounds = max(1, evaluations // (population * dimension) - 1)
    bounds = [(-5.0, 5.0)] * dimension
    result = differential_evolution(
        lambda x: float(x @ x), bounds, popsize=population, maxiter=rounds, tol=0, polish=False, rng=1
    )
    return result.nfev


MODELLED = {"lq_cma_es": ours(LqCMAES, rugged, sigma0=1), "pycma fmin_lq_surr2": pycma_lq}
TABLES: dict[str, tuple[tuple[int, ...], int, dict[str, Run]]] = {
    "CMA-ES, default population": (
        (5, 10, 20, 40),
        3000,
        {
            "cma_es": ours(CMAES, sphere, sigma0=1, restarts="none"),
            "asked and told": asked,
            "cmaes": cyber,
            "pycma": pycma,
        },
    ),
    "lq-CMA-ES on Rosenbrock's function, 300 evaluations": ((5, 10, 20, 40), 300, MODELLED),
    "lq-CMA-ES on Rosenbrock's function, 900 evaluations": ((20,), 900, MODELLED),  # from 339 on, its model is full
    "population 1000": (
        (100,),
        20_000,
        {
            "de": ours(DE, sphere, population=1000),
            "pso": ours(PSO, sphere, population=1000),
            "ga": ours(GA, sphere, population=1000),
            "SciPy's differential_evolution": scipy_de,
        },
    ),
}


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Interleaved rounds; the least time counts.")
@click.option("--table", default="", help="Only the tables whose title has this.")
def main(rounds: int, table: str) -> None:
    """Measure the own time of population methods per evaluation."""
    for title, (dimensions, evaluations, runs) in TABLES.items():
        if table not in title:
            continue
        click.echo(f"{title}: µs per evaluation (ratio to the first)\n")
        click.echo("| D | " + " | ".join(runs) + " |\n|---" * 1 + "|---" * len(runs) + "|")
        for dimension in dimensions:
            least = dict.fromkeys(runs, float("inf"))
            for _ in range(rounds):
                for name, run in runs.items():
                    began = time.process_time()
                    done = run(dimension, evaluations)
                    least[name] = min(least[name], 1e6 * (time.process_time() - began) / done)
            first = least[next(iter(runs))]
            cells = [f"{micro:.1f} ({micro / first:.1f})" for micro in least.values()]
            click.echo(f"| {dimension} | " + " | ".join(cells) + " |")
        click.echo()


if __name__ == "__main__":
    main()
