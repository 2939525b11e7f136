"""Runs the text of a kernel as the Python function that it is: slow, and with no compiler between."""

import ctypes
import math

import numpy as np

WIDTH = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
CTYPE = {"float32": ctypes.c_float, "float64": ctypes.c_double}


def read_aloud(text, streams, dtype):
    """What can be called in the place of a compiled kernel."""
    real = np.float64 if dtype == "float64" else np.float32

    def kind(stream):
        return dtype if stream in ("p", "g") or dtype == "float64" else "float32"

    def cell(stream, address, index):
        """The element, as an array of one number that shares its memory."""
        raw = np.uint16 if kind(stream) == "bfloat16" else np.dtype(kind(stream))
        place = int(address) + int(index) * WIDTH[kind(stream)]
        return np.frombuffer((ctypes.c_char * WIDTH[kind(stream)]).from_address(place), raw)

    def load(stream):
        def word(address, index):
            (value,) = cell(stream, address, index)
            if kind(stream) == "bfloat16":
                return np.array([int(value) << 16], np.uint32).view(np.float32)[0]
            return real(value)

        return word

    def store(stream):
        def word(address, index, value):
            place, value = cell(stream, address, index), real(value)
            place[0] = bfloat16(value) if kind(stream) == "bfloat16" else value

        return word

    def fma(a, b, c):
        return real(np.longdouble(a) * np.longdouble(b) + np.longdouble(c))

    def copysign(a, b):
        return np.copysign(real(a), real(b))

    scope = {
        **{f"load_{s}": load(s) for s in streams},
        **{f"store_{s}": store(s) for s in streams},
        **{f"width_{s}": WIDTH[kind(s)] for s in streams},
        "zero": real(0),
        "one": real(1),
        "largest": np.finfo(real).max,
        "fetch": lambda address: None,
        "select": lambda condition, a, b: a if condition else b,
        "fma": fma,
        "add_any_order": lambda a, b: real(a + b),
        "add_product_any_order": lambda total, a, b: real(total + a * b),
        "copysign": copysign,
        "power": lambda a, b: real(a**b),
        "float64": np.float64,
        "math": _Words(real),
    }
    exec(text, scope)

    def call(addresses, chunks, scalars, partials, lo, hi):
        with np.errstate(all="ignore"):
            scope["kernel"](addresses, chunks, scalars, partials, lo, hi)

    return call


class _Words:
    """The functions of ``math`` in one type, as LLVM has them."""

    def __init__(self, real):
        for name in ("exp", "log", "tanh"):
            setattr(self, name, lambda x, name=name: real(getattr(np, name)(np.float64(x))))
        self.sqrt, self.fabs = lambda x: np.sqrt(real(x)), lambda x: abs(real(x))


def bfloat16(value):
    """Rounded to nearest even; a NaN stays one."""
    if math.isnan(value):
        return np.uint16(0x7FC0)
    (bits,) = np.array([value], np.float32).view(np.uint32)
    bits = int(bits)
    return np.uint16((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)
