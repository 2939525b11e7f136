"""Optimizers to meddle with, and twins of theirs that forget their plan before every step."""

import functools
from contextlib import suppress

import pytest
import torch
from meddlings import ACTIONS, BAD, bits, laid_out
from torch.nn import Parameter
from twins import distance, gradient, refusal, theirs

import descend.torch as ours

F64, F32, BF16 = torch.float64, torch.float32, torch.bfloat16
ARGUMENTS = {"AdamW": {}, "SGD": {"momentum": 0.9}, "RMSprop": {"momentum": 0.9}}
KINDS = [
    (F64, (6, 5), ""), (F64, (6, 5), ""), (F64, (), ""), (F64, (0, 3), ""), (F64, (7,), ""),
    (F64, (2, 3, 4, 5), "channels_last"), (F64, (4, 3), "strided"), (F32, (6, 5), ""), (F32, (), ""),
    (F32, (2, 2, 3, 3), "channels_last"), (BF16, (9,), ""), (BF16, (3, 4), "strided"),
]  # fmt: skip

SETUPS = {  # class, tensors, groups, gradients kept in place
    "one tensor, kept gradients": ("AdamW", 1, 1, True),
    "one tensor, fresh gradients": ("SGD", 1, 1, False),
    "a zoo in one group, fresh gradients": ("AdamW", 12, 1, False),
    "a zoo in three groups, kept gradients": ("RMSprop", 12, 3, True),
    "70 tensors in one group, kept gradients": ("SGD", 70, 1, True),
    "70 tensors in three groups, fresh gradients": ("AdamW", 70, 3, False),
}
ALL_SETUPS = [pytest.param(name, marks=[pytest.mark.slow] * (made[1] > 1)) for name, made in SETUPS.items()]
ZOO = SETUPS["a zoo in three groups, kept gradients"]


@functools.cache
def recorded(shape, dtype, seed):
    return gradient(torch.empty(shape, dtype=dtype), seed)


class Side:
    """One optimizer and what happens to it; ``kind`` is quick, forgetful or torch."""

    def __init__(self, kind, name="AdamW", tensors=1, groups=1, keep=True, **arguments):
        self.kind, self.keep, self.stale, self.spare, self.t = kind, keep, [], [], 0
        kinds = [KINDS[i % len(KINDS)] for i in range(tensors)]
        made = [Parameter(laid_out(recorded(shape, d, i).clamp(-3, 3), how)) for i, (d, shape, how) in enumerate(kinds)]
        split = [{"params": made[k::groups], "lr": 0.01 * (k + 1)} for k in range(groups)]
        make = functools.partial(theirs, name) if kind == "torch" else getattr(ours, name)
        self.opt = make(split, **{"lr": 0.01, **ARGUMENTS.get(name, {}), **arguments})

    @property
    def params(self):
        return [p for g in self.opt.param_groups for p in g["params"]]

    def feed(self):
        for i, p in enumerate(self.params):
            g = recorded(p.shape, p.dtype, (7 * self.t + i) % 40)
            if self.keep and p.grad is not None and (p.grad.shape, p.grad.dtype) == (p.shape, p.dtype):
                with suppress(RuntimeError), torch.no_grad():  # an expanded gradient cannot be written to
                    p.grad.copy_(g)
                    continue
            p.grad = g.clone()

    def step(self):
        if self.kind == "forgetful":
            self.opt._plan = None
        return refusal(self.opt.step)

    def quiet(self, steps=7):
        return self.story([()] * steps)

    def story(self, script):
        """What the steps said and left, where each begins with one action: (its name, its victim or -1 for all)."""
        told = []
        for scene in script:
            self.feed()
            name, victim = scene or ("", 0)
            params = self.params if scene else []
            before = [(p, p.data) for p in params], [dict(g) for g in self.opt.param_groups]
            held = self.everything() if name in BAD else None
            for p in params if victim < 0 else params[victim % max(len(params), 1) :][:1]:
                if name in BAD and not p.numel():
                    continue  # whatever is wrong about nothing is harmless
                with torch.no_grad():
                    ACTIONS[name](self, p)
            words = self.step()
            told.append((words, [bits(p) for p in self.params]))
            if name in BAD:
                assert (again := self.step()) == words, f"first {words!r}, then {again!r}"
                for p, data in before[0]:
                    p.data, p.grad = data, None
                for group, settings in zip(self.opt.param_groups, before[1], strict=True):
                    group.update(settings)
                assert words is None or self.everything() == held, "a refused step changed something"
            self.t += 1
        for value, x in self.stale:
            assert bits(x) == value, "a step wrote into memory that a parameter or gradient had before"
        return told

    def everything(self):
        """Every bit of the parameters and of the state, which ``.state`` would hand out and so have watched."""
        held = [{k: bits(v) for k, v in state.items()} for state in self.opt._state.values()]
        return [bits(p) for p in self.params], held

    def leave(self, x):
        """Have it checked that nobody writes to ``x`` any more, unless somebody else may."""
        users = [y for p in self.params for y in (p, p.grad) if y is not None]
        if sum(y.untyped_storage()._cdata == x.untyped_storage()._cdata for y in users) == 1:
            self.stale.append((bits(x), x.detach()))

    def group(self, p):
        return next((g, i) for g in self.opt.param_groups for i, q in enumerate(g["params"]) if q is p)

    def like(self, p):
        alike = [q for q in self.params if q is not p and (q.shape, q.dtype) == (p.shape, p.dtype)]
        return alike[0] if alike else p

    def held(self, p):
        """Name and tensor of the first moment of ``p``; nothing before its first gradient."""
        return [(k, v) for k, v in self.opt.state.get(p, {}).items() if k != "step" and torch.is_tensor(v)][:1]


def one_after_the_other(name, tensors):
    """A script: ``name`` befalls one tensor after the other, with quiet steps in between, and then all at once."""
    script = []
    for victim in range(0, tensors, 1 if tensors < 20 else 33):
        script += [(name, victim), *[()] * 4]
    return script if tensors > 20 or name == "same memory twice" else [*script, (name, -1), *[()] * 5]


def agree(mine, other, script=None):
    first = next((t for t, (a, b) in enumerate(zip(mine, other, strict=True)) if a != b), None)
    assert first is None, f"step {first}: {mine[first][0]!r} and {other[first][0]!r}, after {script and script[first]}"


def near(mine, reference):
    for p, q in zip(mine, reference, strict=True):
        assert p.dtype == BF16 or distance(p, q) <= (1e-11 if p.dtype == F64 else 1e-4)


def calm(*sides):
    """The sides after some steps in which nothing changed, the first of them on the quick way."""
    told = [side.quiet() for side in sides]
    for other in told[1:2]:
        agree(told[0], other)
    assert sides[0].opt._plan.reader is not None, "the quick way was not taken"
    return sides
