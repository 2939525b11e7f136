"""The JAX engine: the rule's function on the leaves of pytrees, compiled by XLA.

``evaluate`` is what the transformations of ``descend.jax`` trace; ``ENGINE`` steps NumPy arrays with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...core.rule import Rule
from ..base import Engine, Gather, Step, Work, finite, write
from .leaves import Group, Leaves
from .moved import Moved
from .numbers import Number, wide_types


@dataclass
class Job:
    """Leaves that one rule steps: arrays of one leaf each in ``p``, ``g`` and slots, or Numbers in number slots."""

    rule: Rule
    p: Sequence[jax.Array]
    g: Sequence[jax.Array]
    state: Mapping[str, Any]
    settings: Mapping[str, Any]
    t: Any


@dataclass
class Stepped:
    """What a job became, in working types: point and step are had from each other; the one not used costs nothing.

    Attributes:
        p: the new parameters. step: what is added to the old ones. state: slots as in the job.
    """

    p: list[jax.Array]
    step: list[jax.Array]
    state: dict[str, Any]


def working(dtype: Any) -> Any:
    """The type of arithmetic and state for parameters of this type: float32 for those of 16 bits or less."""
    return jnp.dtype(dtype) if jnp.finfo(dtype).bits >= 32 else jnp.dtype(jnp.float32)


def group_of(arrays: Sequence[Any], gather: Gather | None = None) -> Group:
    sizes = [int(np.prod(a.shape)) for a in arrays]
    return Group([working(a.dtype) for a in arrays], sizes, gather or Gather(sum(sizes)))


def lifted(job: Job, group: Group) -> tuple[Any, ...]:
    """``p``, ``g`` and every slot as values that a rule computes with."""

    def leaves(arrays: Sequence[Any]) -> Leaves:
        return Leaves([jnp.asarray(a).astype(d) for a, d in zip(arrays, group.dtypes, strict=True)], group)

    slots = [job.state[s.name] if s.init.is_number else leaves(job.state[s.name]) for s in job.rule.slots]
    return Moved(leaves(job.p)), leaves(job.g), *slots


def evaluate(jobs: Sequence[Job]) -> list[Stepped]:
    """One step of every job; nothing is written."""
    gather = Gather(sum(int(np.prod(a.shape)) for job in jobs for a in job.p))
    return gather.run([partial(_run, job, group_of(job.p, gather)) for job in jobs])


def _run(job: Job, group: Group) -> Stepped:
    p, *inputs = lifted(job, group)
    q, *values = job.rule.apply(p, *inputs, t=job.t, **job.settings)
    step = q.step if isinstance(q, Moved) else q - p.start
    q = p.start + step if isinstance(q, Moved) else q
    new: dict[str, Any] = {}
    for slot, value in zip(job.rule.slots, values, strict=True):
        if slot.init.shape == "tensor":
            new[slot.name] = _number(job.rule, slot.name, value).per_tensor(len(job.p))
        elif slot.init.shape == "all":
            new[slot.name] = _number(job.rule, slot.name, value)
        else:
            new[slot.name] = _arrays(value, job.state[slot.name], group)
    return Stepped(_arrays(q, job.p, group), _arrays(step, job.p, group), new)


def _number(rule: Rule, name: str, value: Any) -> Number:
    if isinstance(value, Leaves):
        raise TypeError(f"rule {rule.name}: {name} is a number; it was given an array")
    return Number.of(value)


def _arrays(value: Any, like: Sequence[Any], group: Group) -> list[jax.Array]:
    if not isinstance(value, Leaves):
        value = Leaves([0.0] * len(like), group) + value
    made = []
    for i, (item, old, dtype) in enumerate(zip(value.items, like, group.dtypes, strict=True)):
        item = item[i].to(dtype) if isinstance(item, Number) else item
        made.append(jnp.broadcast_to(jnp.asarray(item, dtype), old.shape))
    return made


class JaxStep(Step):
    def __init__(self, works: list[Work], guard: bool) -> None:
        self.works, self.guard = works, guard
        self.compiled = jax.jit(partial(_stepped, [work.rule for work in works], [work.row_of for work in works]))

    def run(self, threads: int) -> bool:
        if self.guard and not finite(self.works):
            return False
        with wide_types(True):
            inputs = []
            for work in self.works:
                table = {"t": np.array([row.t for row in work.rows], np.float64)}
                table |= {k: np.array([row.settings[k] for row in work.rows], np.float64) for k in work.rule.settings}
                inputs.append((work.arrays, work.numbers, table))
            new = jax.device_get(self.compiled(inputs))
        write(self.works, new)
        return True


class JaxEngine(Engine):
    name = "jax"
    on_numpy = True

    def refuses(self, rule: Rule, dtype: str) -> str | None:
        return None if dtype in ("float64", "float32") else f"the JAX engine steps NumPy arrays, which have no {dtype}"

    def prepare(self, works: list[Work], guard: bool = False, capturable: bool = False) -> Step:
        return JaxStep(works, guard)


def _stepped(rules: list[Rule], rows: list[np.ndarray], inputs: list[Any]) -> list[dict[str, Any]]:
    jobs = []
    for rule, row_of, (arrays, numbers, table) in zip(rules, rows, inputs, strict=True):
        spread = {
            name: Number(column[0] if len(column) == 1 else column[row_of], None) for name, column in table.items()
        }
        state = {**arrays, **{name: Number(x, None) for name, x in numbers.items()}}
        state |= {s.name: state[s.name][0] for s in rule.slots if s.init.shape == "all"}
        t = spread.pop("t")
        jobs.append(Job(rule, arrays["p"], arrays["g"], state, spread, t))
    results = evaluate(jobs)
    return [{"p": r.p, **{k: v.wide if isinstance(v, Number) else v for k, v in r.state.items()}} for r in results]


ENGINE = JaxEngine()
