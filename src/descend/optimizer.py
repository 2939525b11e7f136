"""Layer 3, the waist: rule × engine × settings × parameters meet here and nowhere else.

``Optimizer`` is the whole thing for NumPy arrays; the front ends for torch and JAX use the same parts.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import rules
from .core.rule import Rule, chain
from .core.settings import all_given
from .core.untraced import tell, untraced
from .engines import OF_ARRAYS, asked_for
from .engines.arrays import address, begun, point_of, take_first_gradients
from .engines.base import Row
from .rules.names import rule_of
from .signals import commit
from .stepping import NONFINITE, NonFiniteGradient, pick, settle, threads_available

# The setting is called as the option is, so that a rule may have a clip_norm of its own inside.
CLIP = rules.clip_norm.renamed(max_norm="clip_norm")


def with_options(rule: Rule, clip_norm: Any = None) -> Rule:
    """The rule with what every class offers around it."""
    if clip_norm is None:
        return rule
    return chain(CLIP.bind(clip_norm=clip_norm), rule)


@untraced
class Optimizer:
    """A rule applied to NumPy arrays, which are updated in place.

    Args:
        rule: a rule or a chain, or the name of one.
        params: C-contiguous arrays, all float64 or all float32. A rule for matrices steps vectors by its rule for them.
        engine: ``"auto"``, ``"llvm"``, ``"numpy"`` (the float64 oracle) or ``"jax"``.
        nonfinite: ``"propagate"``, ``"skip"`` the step, or ``"raise"`` NonFiniteGradient.
        threads: at most so many; default: the cores of this process.
        settings: of the rule, each a number or a schedule (a function of the step, from 0).
    Raises:
        TypeError: an unknown setting (the message lists the valid ones), a modifier alone, no arrays.
        ValueError: a setting or an array that is not admitted.
    """

    def __init__(
        self,
        rule: Rule | str,
        params: Iterable[np.ndarray],
        *,
        engine: str = "auto",
        nonfinite: str = "propagate",
        clip_norm: Any = None,
        threads: int | None = None,
        **settings: Any,
    ) -> None:
        tell()  # torch may have been loaded since
        self.rule = with_options(rule_of(rule), clip_norm).bind(**settings)
        all_given(self.rule.settings, self.rule.name)
        if nonfinite not in NONFINITE:
            raise ValueError(f"nonfinite must be one of {', '.join(NONFINITE)}; got {nonfinite!r}")
        engine = asked_for(engine, OF_ARRAYS, " for NumPy arrays")
        self.params = list(params)
        kinds = {str(p.dtype) for p in self.params}
        if len(kinds) > 1 or not kinds <= {"float64", "float32"}:
            raise ValueError(f"params must be all float64 or all float32 arrays; got {', '.join(sorted(kinds))}")
        for i, p in enumerate(self.params):
            if not p.flags.c_contiguous or not p.flags.writeable:
                raise ValueError(f"params[{i}] must be a C-contiguous, writable array")
        dtype = kinds.pop() if kinds else "float64"
        members: dict[bool, list[int]] = {}  # by whether the rule for vectors takes them
        for i, p in enumerate(self.params):
            members.setdefault(self.rule.vectors is not None and p.ndim < 2, []).append(i)
        self.members = list(members.values()) or [[]]
        self._shapes = [(1,) if vector else (1, 1) for vector in members] or [()]  # that choose a work's rule
        parts = list(map(self.rule.of, self._shapes))
        # one engine for all: a total over all parameters is one number
        engines = [pick(engine, part, dtype, fallback="numpy") for part in parts]
        self._engine = min(engines, key=lambda one: one.on_memory)
        self.nonfinite = nonfinite
        self.threads = threads or threads_available()
        self.steps = 0
        self._run: Callable[[int], bool] | None = None
        self.works = [
            begun(part, [self.params[i] for i in mine], settle(part.settings, 0, part.name), dtype)
            for part, mine in zip(parts, self.members, strict=True)
        ]

    @property
    def engine(self) -> str:
        return self._engine.name

    def __repr__(self) -> str:
        return f"Optimizer (engine {self.engine}): {len(self.params)} arrays, {self.steps} steps, {self.rule!r}"

    @property
    def state(self) -> dict[str, Any]:
        """The state by slot: a list of arrays, or one array of numbers, one per tensor that has the slot."""
        held: dict[str, Any] = {}
        for work in self.works:
            for name in (slot.name for slot in work.rule.slots):
                mine = (work.arrays | work.numbers)[name]
                held[name] = mine if name not in held else [*held[name], *mine]
        return held

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
        for work, mine, shape in zip(self.works, self.members, self._shapes, strict=True):
            work.arrays["g"] = [np.ascontiguousarray(grads[i]) for i in mine]
            settings = self.rule.of(shape).settings  # of the rule as it is now: another default may have been bound
            work.rows = [Row(self.steps + 1, settle(settings, self.steps, work.rule.name))]
            if self.steps == 0:
                take_first_gradients(work)
            if self._engine.on_memory:
                address(work)
        if not commit(self._advance):
            if self.nonfinite == "raise":
                raise NonFiniteGradient("a gradient holds NaN or infinity; nothing was changed")
            return False
        return True

    def _advance(self) -> bool:
        if self._run is None:
            self._run = self._engine.prepare(self.works, self.nonfinite != "propagate")
        done = self._run(self.threads)
        self.steps += done
        return done

    def gradient_point(self) -> list[np.ndarray]:
        """Where the gradient must be taken: the parameters, or a look-ahead rule's point beyond them."""
        return self._points(lambda rule: rule.gradient_point)

    def shipped_point(self) -> list[np.ndarray]:
        """What to evaluate and to ship: the parameters, or what a rule that averages them says."""
        return self._points(lambda rule: rule.shipped_point)

    def _points(self, of: Callable[[Rule], Callable[..., Any] | None]) -> list[np.ndarray]:
        points = {}
        for work, mine in zip(self.works, self.members, strict=True):
            points |= dict(zip(mine, point_of(of(work.rule), work), strict=True))
        return [points[i] for i in range(len(self.params))]
