"""`find_lr`: the range test, from arguments to a finding; the model is as it was when it returns or raises."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from ...draw.progress import noticed
from ..loop.batch import device_of
from ..loop.feed import ONE_BATCH, Feed, refuse
from ..loop.loss import objective
from ..loop.threads import kept
from ..loop.untouched import hold_modules, hold_randomness, untouched
from . import arguments
from .arguments import lead
from .finding import LRFinding
from .strategy import EXTENSION, PROBES, gather
from .trial import Mixed, Trial, needs_closure

FEWEST = 40  # steps of a sweep cut short by a time budget


def find_lr(
    model: Any,
    optimizer: Any,
    loss_fn: Callable[..., Any] | None,
    loader: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    steps: int = 300,
    repeats: int = 3,
    probes: int = PROBES,
    probe_steps: int | None = None,
    val: Any = None,
    val_batches: int = 8,
    seconds: float | None = None,
    accumulate: int = 1,
    autocast: Mixed = None,
    scaler: Any = None,
    closure: bool | None = None,
    full_batch: bool = False,
    form: str | None = None,
    progress: Callable[[int, int], Any] | None = None,
) -> LRFinding:
    """Find a learning rate by a range test (Smith 2017), and leave no trace of it.

    Sweeps raise the rate from `low` to `high` while the model trains; what the curves suggest is then probed by short
    trainings at constant rates. Afterwards, and after any exception or Ctrl-C, everything is as it was, bit for bit:
    parameters, buffers, gradients, modes, the optimizer's state, the scaler, random generators of Python, NumPy and
    torch, the loader's generator. At most steps·(repeats + 1) + probes·probe_steps steps are trained, 1,800 by
    default; without an extension of the range 1,500. Small models are trained in one of torch's threads.

    Args:
        model: a module (or any callable that `loss_fn` understands).
        optimizer: an optimizer of the model's parameters, with or without state; or a class, a rule, or a rule's
            name, of which one is made with its defaults. Groups keep the ratio of their rates; one at 0 stays there.
        loss_fn: `(output, target)` for batches that are pairs; `(model, batch)` for any batch; None if the model
            returns its loss.
        loader: anything that gives batches each time it is iterated over. A short one is read again and again; one
            with a single batch is refused, unless `full_batch`.
        low, high: the range of the lr of the first group that is not at 0; by default a thousandth of the class's
            default lr and ten thousand times it (1e-6 to 10 for Adam). Extended by 1e3 once, at an end where it is too
            short.
        steps: of a sweep, 10 or more.
        repeats: sweeps, each with other batches.
        probes, probe_steps: at most so many probes (0: the curve alone decides) of so many steps, by default a
            quarter of `steps`.
        val, val_batches: a validation loader, of which so many batches are used; probes are then judged by it.
        seconds: time budget. Sweeps get shorter, then repeats and probes fewer.
        accumulate: batches per step.
        autocast: a dtype, or a function that makes the context of the forward pass.
        scaler: a torch.amp.GradScaler.
        closure: whether the optimizer evaluates the loss itself; None: found out.
        full_batch: whether the loader's only batch is meant to be all there is to train on.
        form: `"model, batch"` or `"output, target"`, what `loss_fn` takes; None: its parameters' names say it.
        progress: called after each step with (gradients so far, gradients at most); without, a notebook shows a bar.
    Raises:
        TypeError, ValueError: an argument, a loader, a model or a loss that does not fit. Nothing has changed.
    """
    begun = time.perf_counter()
    arguments.check_numbers(low, high, steps, repeats, probes, probe_steps, val_batches, seconds, accumulate)
    arguments.check_precision(autocast, scaler)
    refuse(loader, single=full_batch)
    if val is not None:
        refuse(val, "validation loader", single=True)
    loss = objective(model, loss_fn, form)
    opt = arguments.made(optimizer, model)
    arguments.check_trainable(opt, model)
    bases = arguments.bases(opt)
    usual = arguments.default(type(opt)) or lead(bases)
    span = (low if low is not None else usual * 1e-3, high if high is not None else usual * 1e4)
    if not span[0] < span[1]:
        raise ValueError(f"the range is empty: low {span[0]:g}, high {span[1]:g}")
    device = device_of(model)
    feed = Feed(loader, device)
    val_feed = Feed(val, device, "validation loader") if val is not None else None
    modules = [part for part in (model, loss_fn) if isinstance(part, torch.nn.Module)]
    restore = hold_modules(modules, opt, scaler)
    reseed = hold_randomness(loader, val)
    trial = Trial(
        model, opt, loss, feed, bases,
        modules=modules, accumulate=accumulate, autocast=autocast, scaler=scaler,
        closure=needs_closure(opt) if closure is None else closure,
        deadline=begun + seconds if seconds is not None else math.inf,
    )  # fmt: skip

    told = progress
    most = accumulate * (steps * repeats + probes * (probe_steps or max(steps // 4, 1)))

    def trained(lrs: Iterable[float], paired: bool) -> Iterator[float]:
        restore()
        if paired:
            reseed()
            feed.rewind()
        for value in trial.steps(lrs):
            if told is not None:
                told(trial.evaluations, most)
            yield value

    def validate() -> float:
        assert val_feed is not None
        return trial.evaluate(val_feed, val_batches)

    def all_of_it() -> LRFinding:
        if not full_batch and feed.single():
            raise ValueError(ONE_BATCH)
        reseed()  # that look has read from the loader
        count, probing = steps, probe_steps or max(steps // 4, 1)
        if seconds is not None:
            count = max(min(FEWEST, steps), min(steps, int(0.3 * seconds / _pace(trained, span[0]))))
            probing = min(probing, max(count // 4, 1))
        found = gather(
            trained, *span, count=count, repeats=repeats, probes=probes, probe_steps=probing,
            late=lambda: time.perf_counter() > trial.deadline, validate=validate if val_feed is not None else None,
        )  # fmt: skip
        if not found.sweeps and trial.late:
            raise ValueError(f"{seconds:g} seconds end before there is anything to read off; give more")
        if not found.sweeps:
            raise ValueError(
                f"the loss is not finite after a few steps, even at a learning rate of {span[0] / EXTENSION:.0e}: "
                f"is {type(opt).__name__} right for this model?"
            )
        where = (float(found.sweeps[0].lr[0]), span[1] * (EXTENSION if found.extended == "up" else 1))
        took = time.perf_counter() - begun
        name = type(opt).__name__
        free = any(part in name.lower() for part in ("prodigy", "dadapt"))
        return LRFinding(name, found, tuple(bases), where, trial.evaluations, took, trial.late, free)

    try:
        with kept(), noticed(f"range test of {type(opt).__name__}") as bar:
            told = progress if progress is not None else bar
            return untouched(all_of_it, restore, reseed)
    finally:
        feed.close()


def _pace(trained: Callable[[Iterable[float], bool], Iterator[float]], lr: float) -> float:
    """Seconds of a step, of two after the first, which compiles and allocates."""
    times = [time.perf_counter() for _ in trained([lr] * 4, True)]
    return max((times[-1] - times[1]) / (len(times) - 2), 1e-9) if len(times) > 2 else 1e-9
