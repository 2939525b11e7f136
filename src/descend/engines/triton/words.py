"""How the Triton engine spells the vocabulary, loads a block of elements and stores it.

Triton's own ``/``, ``sqrt`` and ``exp`` of float32 are approximations, and its ``maximum`` drops NaN; the
spellings here round as IEEE 754 does. What has no such float32 form is computed in float64. Nothing
calls CUDA's libdevice by name, so the interpreter runs the text that the compiler compiles.
"""

from ...core.program import OPERATORS

_COMMON = {
    **OPERATORS,
    "mod": "modulo({0}, {1})",
    "not": "~{0}",
    "abs": "tl.abs({0})",
    "sign": "tl.where({0} > 0, 1.0, tl.where({0} < 0, -1.0, {0}))",
    "isfinite": "({0} - {0}) == 0",
    "maximum": "tl.maximum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)",
    "minimum": "tl.minimum({0}, {1}, propagate_nan=tl.PropagateNan.ALL)",
    "where": "tl.where({0}, {1}, {2})",
}
# float64: of the numbers of a step, and of elements that are float64
DOUBLE = _COMMON | {
    "sqrt": "tl.sqrt({0})",
    "exp": "tl.exp({0})",
    "log": "tl.log({0})",
    "tanh": "hyperbolic_tangent({0})",
    "pow": "power({0}, {1})",
}
_FUSED = {"axpy": "tl.fma({0}, {1}, {2})", "axmy": "tl.fma(-{0}, {1}, {2})"}


def _through_double(spelling: str) -> str:
    wide = (f"{{{k}}}.to(tl.float64)" for k in range(spelling.count("{")))
    return f"({spelling.format(*wide)}).to(tl.float32)"


_SINGLE = (
    _COMMON
    | {"div": "tl.div_rn({0}, {1})", "sqrt": "tl.sqrt_rn({0})"}
    | {op: _through_double(DOUBLE[op]) for op in ("exp", "log", "tanh", "pow")}
)
ELEMENT = {"float32": _SINGLE | _FUSED, "float64": DOUBLE | _FUSED}

LARGEST = {"float32": 3.4028234663852886e38, "float64": 1.7976931348623157e308}

# Functions of the generated text. ``power``: b == 0 first, since the logarithm of 0 times 0 is NaN.
FUNCTIONS = '''
def power(a, b):
    a, b = tl.broadcast(a, b)
    whole = tl.floor(b) == b
    size = tl.exp(b * tl.log(tl.where(whole, tl.abs(a), a)))
    odd = whole & (tl.floor(0.5 * b) * 2 != b)
    return tl.where(b == 0, 1.0, tl.where(odd & (a < 0), -size, size))


def hyperbolic_tangent(x):
    """A continued fraction where ``1 - 2 / (exp(2x) + 1)`` would cancel."""
    s = x * x
    near = x / (1 + s / (3 + s / (5 + s / (7 + s / (9 + s / (11 + s / (13 + s / 15)))))))
    far = 1 - 2 / (tl.exp(2 * tl.abs(x)) + 1)
    return tl.where(tl.abs(x) < 0.5, near, tl.where(x < 0, -far, far))


def reciprocal(x, largest):
    """What is too small to have one is no zero, so its reciprocal is no infinity."""
    y = 1.0 / x
    return tl.where(x == 0, y, tl.where(y > largest, largest, tl.where(y < -largest, -largest, y)))


def modulo(a, b):
    """As Python's: the sign of the divisor."""
    a, b = tl.broadcast(a, b)
    r = a % b
    return tl.where((r != 0) & ((r < 0) != (b < 0)), r + b, r)


def to_bfloat16(x):
    """The bits of float32 rounded to nearest even, as uint16; a NaN stays a NaN."""
    bits = x.to(tl.uint32, bitcast=True)
    high = bits >> 16
    rounded = (bits + 0x7FFF + (high & 1)) >> 16
    return tl.where(x != x, high | 0x40, rounded).to(tl.uint16)
'''


def pointed(dtype: str) -> str:
    """The type behind a pointer to elements of ``dtype``: bfloat16 travels as its bits."""
    return "tl.uint16" if dtype == "bfloat16" else f"tl.{dtype}"


def load(address: str, dtype: str) -> str:
    """The expression that loads a block; its value is float32, or float64 for float64."""
    value = f"tl.load({address} + j, inside, other=0)"
    if dtype == "bfloat16":
        return f"({value}.to(tl.uint32) << 16).to(tl.float32, bitcast=True)"
    return f"{value}.to(tl.float32)" if dtype == "float16" else value


def store(address: str, value: str, dtype: str) -> str:
    """The statement that rounds a block to ``dtype`` and stores it."""
    stored = {"bfloat16": f"to_bfloat16({value})", "float16": f"{value}.to(tl.float16)"}.get(dtype, value)
    return f"tl.store({address} + j, {stored}, inside)"
