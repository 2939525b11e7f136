"""How good is the learning rate that `find_lr` finds? `python -m benchmarks.rate` prints the answer.

The measure. Task: the digits perceptron 64-64-10. Rules: gradient_descent, momentum_accumulation (0.9), adam, rmsprop,
all else at their defaults. A training has 600 steps at a constant rate, batch 64, judged by the final loss
on the 359 validation images; a seed fixes initial weights and order. The exhaustive grid has 37 rates, 10^(k/6) from
1e-5 to 10; the best is the lowest of the 37 losses *of that very seed and rule*, so luck of a single run counts for
the grid. `find_lr` gets the model with that seed's weights, training images in an order of its own and no validation
image, all at its defaults. The ratio is the loss of a training at `.lr` over the best. Beside it: the same for the
geometric median of valley, steepest and minimum/10, for each of the three alone, and for the rule's usual rate.

Seeds 100 to 111 served to design the method; seeds 0 to 11 only to measure it.
"""

import argparse
import json
import math
import statistics
import sys
from pathlib import Path

import torch

from descend.lab.race.space import usual
from descend.lab.tasks import digits
from descend.lab.tasks.perceptron import Perceptron
from descend.lab.tasks.torch_digits import HELD, Batches, model
from descend.lab.trials.train import train
from descend.lab.trials.trial import Trial
from descend.torch.learning_rate import LRFinding, find_lr

RULES = ("gradient_descent", "momentum_accumulation", "adam", "rmsprop")
GRID = tuple(10 ** (k / 6) for k in range(-30, 7))
WORST, MIDDLE = 2.0, 1.25
WAYS = (".lr", "geometric median", "valley", "steepest", "minimum/10", "usual")


def trained(rule: str, lr: float, seed: int) -> float:
    """The final validation loss of a training; infinite if it diverged."""
    data = digits.load(share=HELD)
    problem = Perceptron(digits.LAYERS, (data.train_x, data.train_y), (data.val_x, data.val_y), batch=64)
    run = train(Trial(rule, lr, seed, 600, "constant"), problem)
    return math.inf if run.diverged_at is not None else run.val_loss[-1]


def found(rule: str, seed: int) -> LRFinding:
    """`find_lr` with its defaults on the digits."""
    return find_lr(model(seed), rule, torch.nn.functional.cross_entropy, Batches(seed))


def ratios(rule: str, seed: int) -> dict[str, float]:
    """Way of choosing -> loss over the best of the grid; besides "lr", "best lr" and "evaluations"."""
    grid = {lr: trained(rule, lr, seed) for lr in GRID}
    best = min(grid, key=lambda lr: grid[lr])
    finding = found(rule, seed)
    suggested = finding.suggestions
    rates = {".lr": finding.lr, "geometric median": finding.median, "usual": usual(rule, 1e-3).lr}
    rates |= {way: suggested[way] for way in WAYS if way in suggested}
    row = {way: trained(rule, rates[way], seed) / grid[best] for way in WAYS}
    return {**row, "lr": finding.lr, "best lr": best, "evaluations": float(finding.evaluations)}


def measure(seeds: range) -> dict[str, list[dict[str, float]]]:
    """rule -> one row per seed; prints each rule as it comes."""
    rows: dict[str, list[dict[str, float]]] = {}
    for rule in RULES:
        rows[rule] = [ratios(rule, seed) for seed in seeds]
        print("\n".join(table(rule, seeds, rows[rule])), flush=True)
    return rows


def table(rule: str, seeds: range, rows: list[dict[str, float]]) -> list[str]:
    """The lines of one rule: the ratio of every seed, then median and worst of every way."""
    of = [row[".lr"] for row in rows]
    return [
        f"{rule}: median {statistics.median(of):.2f}, worst {max(of):.2f}",
        "  seed   " + " ".join(f"{seed:>7}" for seed in seeds),
        "  ratio  " + " ".join(f"{ratio:>7.2f}" for ratio in of),
        "  .lr    " + " ".join(f"{row['lr']:>7.2g}" for row in rows),
        "  best   " + " ".join(f"{row['best lr']:>7.2g}" for row in rows),
        "  others: " + "; ".join(f"{way} {statistics.median(v):.2f} ({max(v):.2f})" for way, v in _ways(rows)),
    ]


def _ways(rows: list[dict[str, float]]) -> list[tuple[str, list[float]]]:
    return [(way, [row[way] for row in rows]) for way in WAYS[1:]]


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 if every ratio is at most 2 and their median at most 1.25, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rate", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first", type=int, default=0, help="0 to measure, 100 to design")
    parser.add_argument("--json", type=Path, help="write all numbers here")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = measure(range(given.first, given.first + given.seeds))
    every = [row for of in rows.values() for row in of]
    of = [row[".lr"] for row in every]
    ok = max(of) <= WORST and statistics.median(of) <= MIDDLE
    print(
        f"all {len(of)} runs: median {statistics.median(of):.3f} (bar {MIDDLE}), worst {max(of):.2f} (bar {WORST}); "
        f"gradient evaluations {min(r['evaluations'] for r in every):.0f} to {max(r['evaluations'] for r in every):.0f}"
    )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
