"""A script of somebody's as a task: `model()`, `loss(model, batch)`, `batches(seed)`, and what else it may say.

`batches` gives an epoch in an order that the seed fixes; where a run is longer, it is called again with another number.
`validation()` gives the batches that runs are judged by; `STEPS` the length of a run, `DELTA` what makes no difference.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from ....core import script
from ..problem import Problem
from ..task import Task, TaskError

STEPS, SEEDS = 300, 24
EPOCH, HELD = (
    7919,
    2**31 - 1,
)  # apart by a prime, so that no two epochs of any two seeds meet; the seed of what is judged
JUDGED = 8  # batches that a run is judged by where the script has no validation()


def load(path: Path) -> ModuleType:
    """The script, imported.

    Raises:
        TaskError: it cannot be, or lacks one of the three functions.
    """
    try:
        module = script.run(path, stay=True)
    except script.BadScript as error:
        raise TaskError(str(error)) from None
    missing = [name for name in ("model", "loss", "batches") if not callable(getattr(module, name, None))]
    if missing:
        needed = "model(), loss(model, batch) and batches(seed)"
        raise TaskError(f"{path.name} has no function {' and no '.join(missing)}; a race needs {needed}")
    return module


def card(options: dict[str, str]) -> Task:
    path = Path(options["path"])
    module = load(path)
    judged = callable(getattr(module, "validation", None))
    return Task(
        name=path.stem,
        title=path.name,
        data=f"what {path.name} brings",
        licence="yours",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        split="as validation() says" if judged else "none: judged on batches(seed) in an order of their own",
        model=f"the model of {path.name}",
        loss=f"the loss of {path.name}",
        shows="what suits it",
        steps=int(getattr(module, "STEPS", STEPS)),
        batch=0,
        seconds=0.0,
        delta=float(getattr(module, "DELTA", 0.02)),
        seeds=SEEDS,
        needs=(("torch", "torch"),),
    )


def problem(options: dict[str, str]) -> Problem:
    """The script's model and batches.

    Raises:
        TaskError: it gives nothing that can be raced; the message says what and where.
    """
    from ..torch_module import TorchModule

    path = Path(options["path"])
    module = load(path)

    def batches(seed: int, steps: int) -> Iterator[Any]:
        left, epoch = steps, 0
        while left:
            before = left
            for batch in module.batches(seed + EPOCH * epoch):
                yield batch
                left -= 1
                if not left:
                    return
            if left == before:
                raise TaskError(f"batches({seed + EPOCH * epoch}) of {path.name} gives no batch")
            epoch += 1

    if callable(getattr(module, "validation", None)):
        held = list(module.validation())
        if not held:
            raise TaskError(f"validation() of {path.name} gives no batch")
    else:
        held = [batch for _, batch in zip(range(JUDGED), module.batches(HELD), strict=False)]
        if len(held) < 2:
            raise TaskError(
                f"batches(seed) of {path.name} gives {len(held) or 'no'} batch{' alone' if held else ''}: "
                "at least two are needed, or a function validation() for what runs are judged by"
            )
    return TorchModule(module.model, module.loss, batches, held)
