"""Layer 3, the waist: rule × engine × settings × parameters meet here and nowhere else.

``settle`` turns settings (numbers or schedules) into the numbers of one step, ``pick`` chooses an
engine, ``commit`` runs a step that cannot be torn. ``Optimizer`` is the whole thing for NumPy arrays;
the front ends for torch and JAX use the same parts.
"""

from __future__ import annotations

import _signal  # signal.signal converts to enums and back, which takes longer than a small step
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import rules
from .core.chain import chain
from .core.rule import Rule, check_setting, shared, unknown_setting
from .engines import ENGINES, load
from .engines.base import Engine, Row, Work

log = logging.getLogger("descend")
_MAIN = threading.main_thread().ident
_SIGNALS = [
    int(getattr(_signal, name))
    for name in ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2")
    if hasattr(_signal, name)
]
NONFINITE = ("propagate", "skip", "raise")


def settle(settings: Mapping[str, Any], step: int, of: str) -> dict[str, float]:
    """The settings of one step as numbers: a schedule is called with ``step``, counted from 0.

    Raises:
        TypeError, ValueError: a value the setting does not admit, by name.
    """
    return {
        name: check_setting(name, value(step) if callable(value) else value, of) for name, value in settings.items()
    }


_said: set[tuple[str, str]] = set()


def pick(asked: str, rule: Rule, dtype: str, candidates: Sequence[str] = ("numba",), fallback: str = "torch") -> Engine:
    """The engine asked for, or with ``"auto"`` the first candidate that takes the rule.

    A fallback is logged once per reason, at INFO, by the logger ``descend``.

    Raises:
        ValueError: there is no such engine, or the one asked for refuses the rule or the type.
        ImportError: the one asked for is not installed.
    """
    if asked != "auto":
        engine = load(asked)
        reason = engine.refuses(rule, dtype)
        if reason:
            raise ValueError(f"engine {asked!r} cannot run {rule.name}: {reason}")
        return engine
    for name in candidates:
        try:
            engine = load(name)
            reason = engine.refuses(rule, dtype)
        except Exception as error:
            engine, reason = None, str(error)
        if engine is not None and not reason:
            return engine
        say_once(rule.name, f"engine {fallback!r} instead of {name!r} for {rule.name}: {reason}")
    return load(fallback)


def say_once(about: str, message: str) -> None:
    """Log a message once per process."""
    if (about, message) not in _said:
        _said.add((about, message))
        log.info(message)


class NonFiniteGradient(FloatingPointError):
    """A gradient holds NaN or infinity and ``nonfinite="raise"`` was asked for. Nothing was changed."""


def commit(run: Callable[[], bool]) -> bool:
    """Run a step to its end: what arrives meanwhile for a Python signal handler is handled afterwards."""
    if threading.get_ident() != _MAIN:
        return run()  # handlers run in the main thread only
    held: list[tuple[Any, Any]] = []
    handlers = [(number, _signal.getsignal(number)) for number in _SIGNALS]
    handlers = [(number, handler) for number, handler in handlers if callable(handler)]
    try:
        for number, handler in handlers:
            _signal.signal(number, lambda *event, handler=handler: held.append((handler, event)))
        return run()
    finally:
        for number, handler in handlers:
            _signal.signal(number, handler)
        for handler, event in held:
            handler(*event)


def threads_available() -> int:
    """Cores this process may run on; OMP_NUM_THREADS lowers it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdigit() and int(limit) else cores


# The setting is called as the option is, so that a rule may have a clip_norm of its own inside.
CLIP = rules.clip_norm.renamed(max_norm="clip_norm")


def with_options(rule: Rule, clip_norm: Any = None) -> Rule:
    """The rule with what every class offers around it."""
    if clip_norm is None:
        return rule
    return chain(CLIP.bind(clip_norm=clip_norm), rule)


class Optimizer:
    """A rule applied to NumPy arrays, which are updated in place.

    Args:
        rule: a rule or a chain.
        params: C-contiguous arrays, all float64 or all float32.
        engine: ``"auto"``, ``"numba"`` or ``"numpy"`` (the float64 oracle).
        nonfinite: ``"propagate"``, ``"skip"`` the step, or ``"raise"`` NonFiniteGradient.
        threads: at most so many; default: the cores of this process.
        settings: of the rule, each a number or a schedule (a function of the step, from 0).
    Raises:
        TypeError: an unknown setting (the message lists the valid ones), a modifier alone, no arrays.
        ValueError: a setting or an array that is not admitted.
    """

    def __init__(
        self,
        rule: Rule,
        params: Iterable[np.ndarray],
        *,
        engine: str = "auto",
        nonfinite: str = "propagate",
        clip_norm: Any = None,
        threads: int | None = None,
        **settings: Any,
    ) -> None:
        if not isinstance(rule, Rule) or rule.kind != "rule":
            raise TypeError(f"{rule!r} is no rule; a modifier needs chain(...) around it")
        self.rule = with_options(rule, clip_norm).bind(**settings)
        for name, value in self.rule.settings.items():
            if value is shared:
                raise TypeError(unknown_setting(name, self.rule.settings, self.rule.name))
        if nonfinite not in NONFINITE:
            raise ValueError(f"nonfinite must be one of {', '.join(NONFINITE)}; got {nonfinite!r}")
        if engine not in ("auto", *ENGINES) or engine == "torch":
            raise ValueError(f"unknown engine {engine!r} for NumPy arrays; choose one of auto, numba, numpy")
        self.params = list(params)
        kinds = {str(p.dtype) for p in self.params}
        if len(kinds) > 1 or not kinds <= {"float64", "float32"}:
            raise ValueError(f"params must be all float64 or all float32 arrays; got {', '.join(sorted(kinds))}")
        for i, p in enumerate(self.params):
            if not p.flags.c_contiguous or not p.flags.writeable:
                raise ValueError(f"params[{i}] must be a C-contiguous, writable array")
        dtype = kinds.pop() if kinds else "float64"
        self._engine = pick(engine, self.rule, dtype, fallback="numpy")
        self.nonfinite = nonfinite
        self.threads = threads or threads_available()
        self.steps = 0
        self._run: Callable[[int], bool] | None = None
        first = settle(self.rule.settings, 0, self.rule.name)
        self.work = Work(
            self.rule, dtype, [p.size for p in self.params], [Row(0, first)], np.zeros(len(self.params), np.int64)
        )
        self.work.arrays["p"] = self.params
        for slot in self.rule.slots:
            fill = first.get(slot.init.fill, 0.0) if isinstance(slot.init.fill, str) else slot.init.fill
            if slot.init.shape == "tensor":
                self.work.numbers[slot.name] = np.full(len(self.params), fill)
            elif slot.init.fill == "p":
                self.work.arrays[slot.name] = [p.copy() for p in self.params]
            else:
                self.work.arrays[slot.name] = [np.full_like(p, fill) for p in self.params]

    @property
    def engine(self) -> str:
        return self._engine.name

    @property
    def state(self) -> dict[str, Any]:
        """The state by slot: a list of arrays, or one array of numbers, one per tensor."""
        return {s.name: (self.work.arrays | self.work.numbers)[s.name] for s in self.rule.slots}

    def step(self, grads: Iterable[np.ndarray]) -> bool:
        """One update with these gradients; False if it was skipped as non-finite.

        Raises:
            ValueError: gradients that do not fit the parameters. NonFiniteGradient: if asked for.
        """
        grads = list(grads)
        if len(grads) != len(self.params):
            raise ValueError(f"{len(self.params)} parameters need as many gradients; got {len(grads)}")
        for i, (p, g) in enumerate(zip(self.params, grads, strict=True)):
            if g.shape != p.shape or g.dtype != p.dtype:
                raise ValueError(f"grads[{i}] must be {p.dtype} {p.shape}; got {g.dtype} {g.shape}")
        work = self.work
        work.arrays["g"] = [np.ascontiguousarray(g) for g in grads]
        work.rows = [Row(self.steps + 1, settle(self.rule.settings, self.steps, self.rule.name))]
        if self.steps == 0:
            self._first_gradients()
        if self._engine.on_memory:
            self._point()
        if not commit(self._advance):
            if self.nonfinite == "raise":
                raise NonFiniteGradient("a gradient holds NaN or infinity; nothing was changed")
            return False
        return True

    def _advance(self) -> bool:
        if self._run is None:
            self._run = self._engine.prepare([self.work], self.nonfinite != "propagate")
        done = self._run(self.threads)
        self.steps += done
        return done

    def _first_gradients(self) -> None:
        for slot in self.rule.slots:
            if slot.init.fill == "g":
                for state, g in zip(self.work.arrays[slot.name], self.work.arrays["g"], strict=True):
                    state[...] = g

    def _point(self) -> None:
        arrays, names = self.work.arrays, self.work.names
        if self.work.addresses is None:
            self.work.addresses = np.array([[a.ctypes.data for a in arrays[n]] for n in names], np.int64)
        self.work.addresses[1] = [g.ctypes.data for g in arrays["g"]]

    def gradient_point(self) -> list[np.ndarray]:
        """Where the gradient must be taken: the parameters, or a look-ahead rule's point beyond them."""
        return gradient_point(self.rule, self.work)


def gradient_point(rule: Rule, work: Work) -> list[Any]:
    """The point of each tensor at which ``rule`` wants its gradient."""
    if rule.gradient_point is None:
        return work.arrays["p"]
    import inspect

    wanted = [n for n in inspect.signature(rule.gradient_point).parameters if n in rule.settings]
    slots = [work.arrays[slot.name] for slot in rule.slots]
    settings = {name: work.rows[0].settings[name] for name in wanted}
    return [rule.gradient_point(p, *state, **settings) for p, *state in zip(work.arrays["p"], *slots, strict=True)]

