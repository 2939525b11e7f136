"""`descend.torch.choose`: which rule, which rate, which schedule, for a model of yours."""

import copy
import inspect
import math
import random
import statistics
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch

from ...draw.progress import Report, noticed
from ...rules.names import find_rule
from ...torch.learning_rate.arguments import check_precision
from ...torch.learning_rate.trial import Mixed, set_mode
from ...torch.learning_rate.trial import Trial as Loop
from ...torch.loop.feed import ONE_BATCH, Feed, refuse
from ...torch.loop.loss import objective
from ...torch.loop.threads import kept
from ...torch.loop.untouched import hold_randomness, untouched
from ..trials.annealing import annealed
from ..trials.trial import Trial
from .answer import Choice, answer
from .building import optimizer
from .candidates import DEFAULT
from .outcomes import Outcome
from .strategy import Asked, Choosing, a_first_level

RUNS = 3.0  # trainings of the asked length that are spent where nothing else is said
LAST = 0.1  # the part of a run whose losses are its score
TRIED = 4  # gradients by which the time of a step is told before there is a run
LOOKS = 3  # at the validation loader, in that part


def choose(
    model_fn: Callable[[], torch.nn.Module] | torch.nn.Module,
    loss_fn: Callable[..., Any] | None,
    loader: Any,
    *,
    horizon: int,
    val: Any = None,
    val_batches: int = 8,
    seconds: float | None = None,
    steps: int | None = None,
    rules: Sequence[str] | None = None,
    full_batch: bool = False,
    autocast: Mixed = None,
    form: str | None = None,
    seed: int = 0,
    more: Choice | None = None,
    progress: Callable[[float], Any] | None = None,
) -> Choice:
    """Choose rule, learning rate and schedule for a training of `horizon` steps, by short trainings of the same model.

    Every run is a whole training of fewer steps: a warm-up over a thirtieth of them, then the rate falls to zero. After
    short ones of every rule, those are made, of any rule, rate and length, that tell most of the whole training for
    what they cost (the knowledge gradient of a Gaussian process: docs/choose.md). A rule whose steps take longer gets
    fewer of them: what is compared is the loss after equal time. Afterwards the generators of Python, NumPy and torch,
    and the loader with its own, are as they were; a model that was given has not been touched.

    Ctrl-C ends it with the best answer so far and a doubt that says so.

    Args:
        model_fn: builds the model, new parameters each time it is called; or a model, of which copies are trained, to
            go on from where it stands (fine-tuning).
        loss_fn: `(output, target)` for batches that are pairs; `(model, batch)` for any batch; None if the model
            returns its loss.
        loader: anything that gives batches each time it is iterated over. A short one is read again and again; one with
            a single batch is refused, unless `full_batch`.
        horizon: steps of the training you choose for, from 16 on.
        val, val_batches: a validation loader, of which so many batches judge a run. Without one a run is judged by its
            training loss over its last tenth, which overfitting flatters.
        seconds, steps: what may be spent, on the clock or in training steps altogether, those of `more` included; what
            that has spent is never too much. Neither: three trainings, or more where the horizon is so short that these
            are not enough for every rule at five rates.
        rules: names of rules; by default six of the catalogue.
        full_batch: whether the loader's only batch is meant to be all there is to train on.
        autocast: a dtype, or a function that makes the context of the forward pass.
        form: `"model, batch"` or `"output, target"`, what `loss_fn` takes; None: its parameters' names say it.
        seed: of weights and order; every rule and rate gets the same ones.
        more: an earlier choice for the same model, loss and horizon, whose runs are not repeated. Another horizon,
            parameters of other names or shapes, or one judged with `val` where this is not, is refused; so is another
            loss, model or data, told by the loss of the first batch under fixed seeds. A loader that draws from a
            generator out of reach gives another batch each time: then this is not looked at.
        progress: called after each run with the part (0 to 1) of the budget spent; without it a notebook shows a bar.
    Raises:
        TypeError, ValueError: an argument, a loader, a model or a loss that does not fit; a loss that no rule moved;
            too few seconds. RuntimeError: every rule has stopped with one. Nothing has changed.
    """
    begun = time.perf_counter()
    horizon, seed, val_batches = (_whole(number) for number in (horizon, seed, val_batches))
    _check(horizon, seconds, steps, seed, val_batches)
    _builds(model_fn)
    if isinstance(rules, str):
        raise TypeError(f"rules must be names in a list or tuple, not one text: ({rules!r},)")
    check_precision(autocast)
    if not (progress is None or callable(progress)):
        raise TypeError(f"progress must be a function of the part that is done, got {progress!r}")
    names = tuple(dict.fromkeys(find_rule(name).name for name in (DEFAULT if rules is None else rules)))
    if not names:
        raise ValueError("rules is empty: name one at least, or leave it out")
    refuse(loader, single=full_batch)
    if val is not None:
        refuse(val, "validation loader", single=True)
    reseed = hold_randomness(loader, val)
    runs = math.inf if steps is None else steps / horizon
    if seconds is None and steps is None:
        runs = max(RUNS, a_first_level(len(names), horizon))
    choosing = Choosing(Asked(names, horizon, runs=runs, seconds=seconds or math.inf, seed=seed))
    judged, told = "train" if val is None else "val", None
    _refuse(more, horizon, judged)
    if more is not None:
        for outcome in more.outcomes:
            choosing.take(outcome)
        # a budget that is less than what is spent already would be a plan for less than is known
        step_s = choosing.step_s(names[0])
        least = choosing.spent * step_s * horizon
        asked = choosing.asked
        choosing.asked = replace(
            asked, runs=max(asked.runs, choosing.spent), seconds=max(asked.seconds, least) if step_s else asked.seconds
        )
    deadline = math.inf if seconds is None else begun + seconds
    train = _Train(model_fn, loss_fn, loader, val, val_batches, form, autocast, reseed)

    broke: RuntimeError | None = None

    def wanted() -> list[Trial]:
        try:
            return choosing.missing()
        except RuntimeError as error:  # every rule has failed: where the last one did
            raise error from broke

    def all_of_it() -> None:
        nonlocal broke
        if more is not None and train.built() != list(more.model):
            raise ValueError("more is a choice for another model: its parameters have other names or shapes")
        if not full_batch:
            with closing(Feed(loader, None)) as feed:
                if feed.single():
                    raise ValueError(ONE_BATCH)
        train.built()
        train.mark = train.first_loss()
        if more is not None and not _alike(train.mark, more.mark) and _alike(train.mark, train.first_loss()):
            raise ValueError(
                "more is a choice for another loss function, other data or another model: the first batch from fixed "
                f"seeds had the loss {more.mark:.6g} there and has {train.mark:.6g} here"
            )
        step_s = train.tried(deadline)
        if seconds is not None:
            choosing.asked = choosing.asked.fitted(step_s)
        try:
            while todo := wanted():
                first = choosing.budget == math.inf  # nothing is known of how much the time is enough for
                for trial in todo[:1] if first else todo:
                    if trial.rule in choosing.failed:
                        continue
                    try:
                        choosing.take(train(trial, deadline))
                    except _Late:
                        choosing.late = f"{seconds:g} seconds ended it: longer runs were still to come"
                        choosing.timed_out = True
                        return
                    except RuntimeError as error:  # one rule that cannot do this model is no end of the others
                        choosing.fail(trial.rule, f"{type(error).__name__}: {error}"[:200])
                        broke = error
                    else:
                        if first:
                            choosing.hurry((deadline - time.perf_counter()) / train.took)
                    if told is not None:
                        spent = choosing.spent / choosing.budget if choosing.budget else 0.0
                        told(min(1.0, max(spent, (time.perf_counter() - begun) / (seconds or math.inf))), 1.0)
        except KeyboardInterrupt:
            choosing.interrupt()

    with kept(), noticed(f"choosing among {len(names)} rules") as bar:
        told = bar if progress is None else _parts(progress)
        untouched(all_of_it, reseed)
    choosing.end()
    made = answer(choosing, train.name, time.perf_counter() - begun)
    return replace(made, model=tuple(train.shapes), judged=judged, mark=train.mark)


def _parts(progress: Callable[[float], Any]) -> Report:
    return lambda done, most: progress(done / most)


class _Late(Exception):
    """The time is over in the middle of a run."""


class _Train:
    """Trains one trial from the start, with new parameters."""

    def __init__(
        self,
        model_fn: Any,
        loss_fn: Callable[..., Any] | None,
        loader: Any,
        val: Any,
        val_batches: int,
        form: str | None,
        autocast: Mixed,
        reseed: Callable[[], Any],
    ) -> None:
        self.model_fn, self.loss_fn, self.loader, self.val, self.val_batches = (
            model_fn, loss_fn, loader, val, val_batches,
        )  # fmt: skip
        self.form, self.autocast, self.reseed = form, autocast, reseed
        self.name = getattr(model_fn, "__name__", type(model_fn).__name__).replace("<lambda>", "model")
        self.shapes: list[tuple[str, tuple[int, ...]]] = []
        self.mark = math.nan
        self.took = 0.0  # seconds of the last run, but for what its first step took longer: it compiles
        self._built: list[weakref.ref[torch.Tensor]] = []  # the parameters of the model before

    def __call__(self, trial: Trial, deadline: float) -> Outcome:
        """What comes of it.

        Raises:
            _Late: the deadline passed.
            ValueError: another model than the time before.
        """
        self.reseed()
        self._seed(trial.seed)
        model = self._model()
        loop = self._loop(model, optimizer(trial.rule, model, annealed(trial.schedule, trial.lr, trial.steps)))
        with closing(loop.feed):
            return self._run(trial, loop, deadline)

    def first_loss(self) -> float:
        """Of the first batch, from fixed seeds: other for another loss function, model or data."""
        loop = self._untrained()
        with closing(loop.feed):
            return loop._gradients([next(loop.feed)])

    def tried(self, deadline: float) -> float:
        """About the seconds of a step: the fastest of a few gradients, for the first one loads and warms up.

        Raises:
            ValueError: every gradient is zero, or the validation loss is not finite before any step.
        """
        loop, times, moves = self._untrained(), [math.inf], False
        with closing(loop.feed):
            for _ in range(TRIED):
                begun = time.perf_counter()
                loop._gradients([next(loop.feed)])
                times.append(time.perf_counter() - begun)
                moves = moves or any(_counts(p.grad) for p in loop.params)
                if begun + times[-1] > deadline or (moves and deadline == math.inf):
                    break
            if not moves:
                raise ValueError(
                    f"every gradient of {len(times) - 1} batches is zero at the start: no rule moves the loss"
                )
            if self.val is not None:
                held = Feed(self.val, loop.feed.device, "validation loader")
                loss = loop.evaluate(held, self.val_batches)
                if not math.isfinite(loss):
                    raise ValueError(f"the validation loss is {loss} before any step: look at the validation data")
        return min(times)

    def _untrained(self) -> Loop:
        self.reseed()
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        own = getattr(self.loader, "generator", None)
        if isinstance(own, torch.Generator):
            own.manual_seed(0)
        model = self._model()
        loop = self._loop(model, torch.optim.SGD(p for p in model.parameters() if p.requires_grad))
        model.train()
        return loop

    def _loop(self, model: torch.nn.Module, opt: torch.optim.Optimizer) -> Loop:
        loss = objective(model, self.loss_fn, self.form)
        device = {p.device for p in model.parameters()}
        feed = Feed(self.loader, device.pop() if len(device) == 1 else None)
        return Loop(model, opt, loss, feed, [1.0] * len(opt.param_groups), modules=[model], autocast=self.autocast)

    def _run(self, trial: Trial, loop: Loop, deadline: float) -> Outcome:
        begun = time.perf_counter()
        held = None if self.val is None else Feed(self.val, loop.feed.device, "validation loader")
        start = loop.evaluate(held, self.val_batches) if held is not None else math.nan
        first = trial.steps - max(round(LAST * trial.steps), 1)
        looks = {trial.steps - round(k * (trial.steps - first) / LOOKS) for k in range(LOOKS)}
        scores: list[float] = []
        times: list[float] = []
        for step, value in enumerate(_steps(loop, trial.steps, deadline, times), 1):
            if math.isnan(start):
                start = value
            if not math.isfinite(value):
                break
            if held is None and step > first:
                scores.append(value)
            elif held is not None and step in looks:
                scores.append(loop.evaluate(held, self.val_batches))
        usual = _usual(times)
        self.took = time.perf_counter() - begun - (times[0] - usual)
        score = statistics.fmean(scores) if math.isfinite(value) else math.inf
        return Outcome(trial, score if math.isfinite(score) else math.inf, start, usual)

    def _model(self) -> torch.nn.Module:
        model = copy.deepcopy(self.model_fn) if isinstance(self.model_fn, torch.nn.Module) else self.model_fn()
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"model_fn must build a torch.nn.Module; it gave {type(model).__name__}")
        for name, p in model.named_parameters():
            if isinstance(p, torch.nn.parameter.UninitializedParameter):
                raise ValueError(f"{name} has no shape yet: run one batch through the model where it is built")
        trained = [p for p in model.parameters() if p.requires_grad]
        if not trained:
            raise ValueError(
                "the model has no parameter that is trained: every requires_grad is False, or there is none"
            )
        if any(ref() is p for ref, p in zip(self._built, trained, strict=False)):
            raise ValueError(
                "model_fn gives the same parameters each time it is called, so that no run would begin anew: build a "
                "new model in it, or give the model itself, to train copies from where it stands"
            )
        self._built = [weakref.ref(p) for p in trained]
        shapes = [(name, tuple(p.shape)) for name, p in model.named_parameters()]
        if self.shapes and shapes != self.shapes:
            changed = (f"{a} is not as before" for a, b in zip(shapes, self.shapes, strict=False) if a != b)
            said = next(changed, f"it had {len(self.shapes)} parameters and has {len(shapes)}")
            raise ValueError(f"model_fn builds another architecture each time it is called: {said}")
        self.shapes = shapes
        return model

    def built(self) -> list[tuple[str, tuple[int, ...]]]:
        """Names and shapes of the parameters of the model."""
        self._model()
        return self.shapes

    def _seed(self, seed: int) -> None:
        """Weights and order of this seed: the same for every rule and rate."""
        torch.manual_seed(torch.initial_seed() % 2**31 + seed)
        own = getattr(self.loader, "generator", None)
        if isinstance(own, torch.Generator):
            own.manual_seed(own.initial_seed() % 2**31 + seed)


def _steps(loop: Loop, count: int, deadline: float, times: list[float]) -> Iterator[float]:
    """The losses of the steps, each timed from batch to update; at the schedule's own rates."""
    loop.model.train()
    set_mode(loop.optimizer, "train")
    for _ in range(count):
        now = time.perf_counter()
        if now > deadline:
            raise _Late
        value = loop._gradients([next(loop.feed)])
        loop.optimizer.step()
        times.append(time.perf_counter() - now)
        yield value


def _usual(times: list[float]) -> float:
    """Seconds of a step: the lower quartile, for other work on a machine only ever makes a step slower."""
    return statistics.quantiles(times, n=4)[0] if len(times) > 1 else times[0]


def _check(horizon: int, seconds: float | None, steps: float | None, seed: int, val_batches: int) -> None:
    if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 16:
        raise ValueError(f"horizon must be the steps of the training, a whole number from 16 on; got {horizon!r}")
    if seconds is not None and steps is not None:
        raise ValueError("give seconds or steps, not both")
    for name, value in (("seconds", seconds), ("steps", steps)):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < math.inf:
            raise ValueError(f"{name} must be a number above 0, got {value!r}")
    for name, value, least in (("seed", seed, 0), ("val_batches", val_batches, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
            raise ValueError(f"{name} must be a whole number from {least} on, below 2**31; got {value!r}")


def _whole(number: Any) -> Any:
    """A whole number of whatever library as Python has it; anything else as it is."""
    return int(number) if isinstance(number, Integral) and not isinstance(number, bool) else number


def _builds(model_fn: Any) -> None:
    """Refuse what cannot be called without arguments to build a model."""
    if isinstance(model_fn, torch.nn.Module):
        return
    if not callable(model_fn):
        raise TypeError(f"model_fn must be a function that builds the model, or a model, got {model_fn!r:.60}")
    with suppress(ValueError):  # no signature to be had
        try:
            inspect.signature(model_fn).bind()
        except TypeError as error:
            name = getattr(model_fn, "__name__", "it")
            raise TypeError(
                f"model_fn is called without arguments, and {name} is {error}: wrap it in a function"
            ) from None


def _counts(gradient: torch.Tensor | None) -> bool:
    """Whether there is a number in it that is not zero."""
    if gradient is None:
        return False
    return bool((gradient.coalesce().values() if gradient.is_sparse else gradient).count_nonzero())


def _alike(a: float, b: float) -> bool:
    """Whether two losses are the same but for rounding, on whatever device."""
    return math.isclose(a, b, rel_tol=1e-3) or (math.isnan(a) and math.isnan(b))


def _refuse(more: Any, horizon: int, judged: str) -> None:
    """Losses of another training say nothing about this one, and would be mixed in unseen."""
    if more is None:
        return
    if not isinstance(more, Choice):
        raise TypeError(f"more must be an earlier choice, got {type(more).__name__}")
    if more.asked_steps != horizon:
        raise ValueError(f"more is a choice for a horizon of {more.asked_steps} steps, not of {horizon}")
    if not more.model:
        raise ValueError("more is a choice for a task, not for a model of yours")
    if more.judged != judged:
        raise ValueError(
            f"more was judged by its {'validation' if more.judged == 'val' else 'training'} loss: "
            f"{'give val= here, too' if more.judged == 'val' else 'leave out val= here, too'}, or leave out more="
        )
