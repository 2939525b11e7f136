"""`find_lr`: the range test, from arguments to a finding; the model is as it was when it returns or raises."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from ...core.rule import Rule
from ..classes import optimizer as class_of
from .feed import Feed, refuse
from .finding import LRFinding
from .objective import objective
from .restore import hold_modules, hold_randomness, untouched
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
    progress: Callable[[int, int], Any] | None = None,
) -> LRFinding:
    """Find a learning rate by a range test (Smith 2017), and leave no trace of it.

    Sweeps raise the rate from `low` to `high` while the model trains; what the curves suggest is then probed by short
    trainings at constant rates. Afterwards, and after any exception or Ctrl-C, everything is as it was, bit for bit:
    parameters, buffers, gradients, modes, the optimizer's state, the scaler, random generators of Python, NumPy and
    torch, the loader's generator. At most steps·(repeats + 1) + probes·probe_steps steps are trained, 1,800 by
    default; without an extension of the range 1,500.

    Args:
        model: a module (or any callable that `loss_fn` understands).
        optimizer: an optimizer of the model's parameters, with or without state; or a class, a rule, or a rule's
            name, of which one is made with its defaults. Groups keep the ratio of their rates.
        loss_fn: `(output, target)` for batches that are pairs; `(model, batch)`, its first parameter named so, for
            any batch; None if the model returns its loss.
        loader: anything that gives batches each time it is iterated over. A short one is read again and again.
        low, high: the range of the first group's lr; by default a thousandth of the class's default lr and ten
            thousand times it (1e-6 to 10 for Adam). Extended by 1e3 once, at an end where it is too short.
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
        progress: called after each step with (gradients so far, gradients at most).
    Raises:
        TypeError, ValueError: an argument, a loader, a model or a loss that does not fit. Nothing has changed.
    """
    begun = time.perf_counter()
    _check_numbers(low, high, steps, repeats, probes, probe_steps, val_batches, seconds, accumulate)
    refuse(loader)
    if val is not None:
        refuse(val, "validation loader")
    loss = objective(model, loss_fn)
    opt = _made(optimizer, model)
    _check_trainable(opt, model)
    bases = [_base(opt, group) for group in opt.param_groups]
    usual = _default(type(opt)) or bases[0]
    span = (low if low is not None else usual * 1e-3, high if high is not None else usual * 1e4)
    if not span[0] < span[1]:
        raise ValueError(f"the range is empty: low {span[0]:g}, high {span[1]:g}")
    device = _device(model)
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

    most = accumulate * (steps * repeats + probes * (probe_steps or max(steps // 4, 1)))

    def trained(lrs: Iterable[float], paired: bool) -> Iterator[float]:
        restore()
        if paired:
            reseed()
            feed.rewind()
        for value in trial.steps(lrs):
            if progress is not None:
                progress(trial.evaluations, most)
            yield value

    def validate() -> float:
        assert val_feed is not None
        return trial.evaluate(val_feed, val_batches)

    def all_of_it() -> LRFinding:
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
        return untouched(all_of_it, restore, reseed)
    finally:
        feed.close()


def _check_numbers(
    low: Any, high: Any, steps: Any, repeats: Any, probes: Any, probe_steps: Any, val_batches: Any,
    seconds: Any, accumulate: Any,
) -> None:  # fmt: skip
    whole = {"steps": (steps, 10), "repeats": (repeats, 1), "probes": (probes, 0), "val_batches": (val_batches, 1),
             "accumulate": (accumulate, 1), "probe_steps": (1 if probe_steps is None else probe_steps, 1)}  # fmt: skip
    for name, (value, least) in whole.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number, {least} or more; got {value!r}")
    positive: dict[str, Any] = {"low": low, "high": high, "seconds": seconds}
    for name, value in positive.items():
        if value is not None and (isinstance(value, bool | str) or not 0 < float(value) < math.inf):
            raise ValueError(f"{name} must be a finite number above 0, got {value!r}")


def _made(optimizer: Any, model: Any) -> torch.optim.Optimizer:
    """The optimizer itself, or a new one of a class, a rule or a rule's name."""
    if isinstance(optimizer, str):
        from ... import rules

        known = {name: rule for name, rule in rules.all().items() if "lr" in rule.settings}
        if optimizer not in known:
            import difflib

            near = difflib.get_close_matches(optimizer, known, 1)
            raise ValueError(f"no rule {optimizer!r} with an lr." + (f" Did you mean {near[0]!r}?" if near else ""))
        optimizer = known[optimizer]
    if isinstance(optimizer, Rule):
        optimizer = class_of(optimizer)
    if isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer):
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"to make a {optimizer.__name__} the model must be a torch.nn.Module; or give an optimizer")
        params = [p for p in model.parameters() if p.requires_grad]
        if not params:
            raise ValueError("every parameter of the model is frozen (requires_grad=False): nothing to train")
        kind: Any = optimizer
        return kind(params)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be an optimizer, a class of one, a rule or its name; got {optimizer!r:.80}")
    return optimizer


def _check_trainable(optimizer: torch.optim.Optimizer, model: Any) -> None:
    params = [p for group in optimizer.param_groups for p in group["params"]]
    if not any(p.requires_grad for p in params):
        raise ValueError("every parameter of the optimizer is frozen (requires_grad=False): nothing to train")
    if any(getattr(p, "_post_accumulate_grad_hooks", None) for p in params):
        raise ValueError(
            "a parameter has a hook that acts when its gradient arrives (step_in_backward): what that does cannot be "
            "undone; find the rate with the ordinary optimizer first"
        )
    for i, group in enumerate(optimizer.param_groups):
        if "lr" not in group:
            raise ValueError(f"parameter group {i} of {type(optimizer).__name__} has no 'lr'")
    if isinstance(model, torch.nn.Module):
        own = {id(p) for p in model.parameters()}
        if own and not any(id(p) in own for p in params):
            raise ValueError("the optimizer holds none of the model's parameters: it was made for another model")


def _default(kind: type) -> float | None:
    """The default lr of an optimizer class, if it has one."""
    import inspect

    parameter = inspect.signature(kind).parameters.get("lr")
    value: Any = None if parameter is None else parameter.default
    return float(value) if isinstance(value, int | float) and 0 < value < math.inf else None


def _base(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> float:
    """The lr by which a group is compared with the others: its peak where it is scheduled, 1 where all that is 0."""
    value: Any = group.get("initial_lr", group["lr"])  # a scheduler's warm-up may have it near 0 now
    if callable(value):
        schedule: Any = value
        length = getattr(schedule, "length", math.inf)
        end = 10_000 if length == math.inf else length
        value = max(float(schedule(round(end * k / 200))) for k in range(201))
    return float(value) or _default(type(optimizer)) or 1.0


def _device(model: Any) -> torch.device | None:
    """The one device of a module's parameters; None where there are several or none."""
    devices = {p.device for p in model.parameters()} if isinstance(model, torch.nn.Module) else set()
    return devices.pop() if len(devices) == 1 else None


def _pace(trained: Callable[[Iterable[float], bool], Iterator[float]], lr: float) -> float:
    """Seconds of a step, of two after the first, which compiles and allocates."""
    times = [time.perf_counter() for _ in trained([lr] * 4, True)]
    return max((times[-1] - times[1]) / (len(times) - 2), 1e-9) if len(times) > 2 else 1e-9
