"""What the kernel language of the CPU engine is made of: plain data, so that reading it loads no compiler."""

from __future__ import annotations

SPELLING = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "axpy": "fma({0}, {1}, {2})",
    "axmy": "fma(-{0}, {1}, {2})",
    "div": "{0} / {1}",
    "pow": "power({0}, {1})",
    "mod": "{0} % {1}",
    "neg": "-{0}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "not": "not {0}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    **{op: f"math.{op}({{0}})" for op in ("sqrt", "exp", "log", "tanh")},
    "abs": "math.fabs({0})",
    # selects, not conditional expressions: a branch keeps LLVM from vectorising (Rprop fell to 40 %)
    # the number itself where it is zero or NaN; two selects in one another took 9 % longer, at the speed of memory
    "sign": "select(({0} > 0) | ({0} < 0), copysign(one, {0}), {0})",
    "isfinite": "math.fabs({0}) <= largest",
    "maximum": "select(({0} > {1}) | ({0} != {0}), {0}, {1})",
    "minimum": "select(({0} < {1}) | ({0} != {0}), {0}, {1})",
    "where": "select({0}, {1}, {2})",
}
