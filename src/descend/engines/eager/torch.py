"""The eager engine: the rule's function on torch tensors, any device and type torch has.

Slower than the fused engines (one pass over memory per operation), never wrong for want of a kernel:
it is what the others fall back to. Complex tensors are stepped as pairs of reals, as in torch.optim.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ...core import ops
from ...core.rule import Rule
from ..base import Engine, Step, Work, share
from ..noise import ARRAYS, normal, spectral_bound
from .many import evaluate


def _number(x: float) -> torch.Tensor:
    return torch.tensor(float(x), dtype=torch.float64, device="cpu")


def _tensor(value: Any, like: torch.Tensor) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=torch.float64, device="cpu").to(like)


def _where(condition: torch.Tensor, a: Any, b: Any) -> torch.Tensor:
    # plain numbers become float64, so that neither the default dtype nor rounding enters
    a, b = (x if isinstance(x, torch.Tensor) else _number(x) for x in (a, b))
    return torch.where(condition, a, b)


def _pair(function: Any) -> Any:
    def word(a: Any, b: Any) -> torch.Tensor:
        like = a if isinstance(a, torch.Tensor) and a.dim() else b if isinstance(b, torch.Tensor) else a
        return function(_tensor(a, like).to(like), _tensor(b, like).to(like))

    return word


def _one_thread(factors: Callable[[torch.Tensor], Any]) -> Callable[[torch.Tensor], Any]:
    """LAPACK cuts its work by the number of threads, and rounds accordingly: one thread gives the same bits to all.

    Of numbers that are not finite the factors are NaN: LAPACK may say so, or end with an error, or not end.
    """

    def word(x: torch.Tensor) -> Any:
        if not torch.isfinite(x).all():
            made = factors(torch.eye(x.shape[-2], x.shape[-1], dtype=x.dtype, device=x.device))
            return tuple(map(_lost, made)) if isinstance(made, tuple) else _lost(made)
        threads = torch.get_num_threads()
        if threads == 1 or x.device.type != "cpu":
            return factors(x)
        torch.set_num_threads(1)
        try:
            return factors(x)
        finally:
            torch.set_num_threads(threads)

    return word


def _lost(x: torch.Tensor) -> torch.Tensor:
    return torch.full_like(x, math.nan)


_AXIS = {"row": -1, "column": -2}


def _total(x: torch.Tensor, over: str) -> torch.Tensor:
    if over in _AXIS:
        return x.sum(_AXIS[over], keepdim=True)
    wide = torch.float32 if x.device.type == "mps" else torch.float64
    return x.sum(dtype=wide)


ops.register(
    torch.Tensor,
    {
        **{word: getattr(torch, word) for word in ("sqrt", "exp", "log", "tanh", "abs", "isfinite")},
        # torch.sign(NaN) is 0; the vocabulary says NaN
        "sign": lambda x: torch.where(torch.isnan(x), x, torch.sign(x)),
        "maximum": _pair(torch.maximum),
        "minimum": _pair(torch.minimum),
        "where": _where,
        "total": _total,
        "count": lambda x, over: x.shape[_AXIS[over]] if over in _AXIS else x.numel(),
        "when": lambda condition, then, otherwise: then() if bool(condition) else otherwise(),
        **ARRAYS,
        "matmul": torch.matmul,
        "transpose": lambda x: x.mT,
        "eigh": _one_thread(lambda x: tuple(torch.linalg.eigh(x))),
        "qr": _one_thread(lambda x: torch.linalg.qr(x)[0]),
        "diagonal": torch.diagonal,
        "order": lambda d: torch.argsort(-d, stable=True),
        "upper": torch.triu,
        "solve_lower": lambda a, b: torch.linalg.solve_triangular(a, b, upper=False),
        "spectral_bound": spectral_bound,
        "noise": lambda x, t, seed: normal(torch.arange(x.numel()), t, seed, torch).reshape(x.shape).to(x),
    },
)

_WORKING = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


def _cast(work: Work, array: torch.Tensor) -> torch.Tensor:
    array = torch.view_as_real(array.resolve_conj()) if array.is_complex() else array
    return array.to(_WORKING.get(array.dtype, array.dtype))


def _complex(pairs: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return torch.view_as_complex(pairs.expand(*like.shape, 2).contiguous())


class TorchStep(Step):
    def __init__(self, works: list[Work], guard: bool) -> None:
        self.works, self.guard = works, guard

    @torch.no_grad()
    def run(self, threads: int) -> bool:
        works = self.works
        if self.guard and not all(bool(torch.isfinite(g).all()) for work in works for g in work.arrays["g"]):
            return False
        new = evaluate(works, _cast, _number)
        for work, values in zip(works, new, strict=True):
            for name, items in values.items():
                if name in work.numbers:
                    work.numbers[name][:] = [float(item) for item in items]
                    continue
                for array, item in zip(work.arrays[name], items, strict=True):
                    array.copy_(_complex(item, array) if array.is_complex() else item)
        share(works)
        return True


class TorchEngine(Engine):
    name = "torch"

    def refuses(self, rule: Rule, dtype: str) -> str | None:
        return None

    def out_of_reach(self, tensor: torch.Tensor) -> str | None:
        return None

    def prepare(self, works: list[Work], guard: bool = False, capturable: bool = False) -> Step:
        return TorchStep(works, guard)


ENGINE = TorchEngine()
