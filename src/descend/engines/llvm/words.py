"""What the kernel language of the CPU engine is made of: plain data, so that reading it loads no compiler."""

from ...core.program import OPERATORS

SPELLING = {
    **OPERATORS,
    "axpy": "fma({0}, {1}, {2})",
    "axmy": "fma(-{0}, {1}, {2})",
    "pow": "power({0}, {1})",
    "not": "not {0}",
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
