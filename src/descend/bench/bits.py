"""Whether the bits of a step depend on the number of threads, or on what was compiled before.

``python -m descend.bench.bits adam,lion 1,2,5`` prints a digest of every rule for each number of threads.
"""

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable

import torch

from .. import rules
from .. import torch as ours
from .speed import traced
from .waits.start import cache_in, fresh

THREADS = (1, 2, 5)
STEPS = 3
# More elements than a step takes on one thread, cut unevenly; a matrix; a tensor shorter than a vector register.
SHAPES = ((700_001,), (64, 33), (7,))
_CHILD = "import sys; from descend.bench.bits import main; main(sys.argv[1:])"


def fused() -> list[str]:
    """Rules that the fused engine runs, as a matrix and as a vector. What whole matrices need is BLAS's business."""
    return [n for n, rule in rules.all().items() if traced(rule) is not None and traced(rule.of((1,))) is not None]


def digest(name: str, threads: int) -> str:
    """SHA-256 of parameters and state after three steps of changing gradients."""
    made = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, generator=made)) for shape in SHAPES]
    optimizer = ours.optimizer(rules.all()[name])(params)
    before = torch.get_num_threads()
    try:
        for _ in range(STEPS):
            for p in params:
                p.grad = torch.randn(p.shape, generator=made)
            torch.set_num_threads(threads)
            optimizer.step()
            torch.set_num_threads(before)
    finally:
        torch.set_num_threads(before)
    found = hashlib.sha256()
    for p in params:
        for value in (p.detach(), *(v for _, v in sorted(optimizer.state[p].items()))):
            found.update(torch.as_tensor(value).contiguous().numpy().tobytes())
    return found.hexdigest()


def digests(names: Iterable[str], threads: Iterable[int] = THREADS) -> dict[str, list[str]]:
    return {name: [digest(name, count) for count in threads] for name in names}


def differing(names: list[str], processes: bool = True) -> list[str]:
    """Rules whose bits are not the same for 1, 2 and 5 threads.

    Args:
        processes: also in a new process with nothing compiled, and, if that left a cache, in one that finds it.
    """
    here = digests(names)
    every = [here]
    if processes:
        with tempfile.TemporaryDirectory() as folder:
            for _ in ("cold", "warm"):
                every.append(fresh(_CHILD, ",".join(names), "2", environment=cache_in(folder)))
                if not os.listdir(folder):
                    break
    return [name for name in names if len({one for run in every for one in run[name]}) > 1]


def main(arguments: list[str]) -> None:
    names, threads = arguments
    print(json.dumps(digests(names.split(","), [int(n) for n in threads.split(",")])))


if __name__ == "__main__":
    main(sys.argv[1:])
