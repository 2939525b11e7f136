"""The bits of every rule on every engine of the CPU, against a table: what is only moved or rewritten keeps them.

``python tests/engines/test_bits.py`` remakes the table, ``bits.json``; a change of it belongs under "Numbers changed".
``python tests/engines/test_bits.py here`` prints the digests of longer tensors, which hold for one processor only:
what it prints before and after a change must be the same there.

What is left out of the table is what depends on the processor: sums of several elements (how many are added at a time
depends on the width of the vectors) and products and factors of matrices of more than one element (BLAS and LAPACK).
The rest is the same with and without AVX, AVX-512 and FMA in LLVM, torch, NumPy and the C library: seen on an AMD EPYC
with DESCEND_CPU_NAME=x86-64 DESCEND_CPU_FEATURES= (also x86-64-v3), ATEN_CPU_CAPABILITY=default (avx2),
NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL X86_V3" and GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F.
"""

import hashlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from descend import rules
from descend.checks.traces import begin, settings_of
from descend.core.program import program
from descend.core.trace import NotTraceable
from descend.engines import load
from descend.engines.arrays import address
from descend.engines.base import Row

TABLE = Path(__file__).with_name("bits.json")
WIDE = ("float64", "float32")
TAKEN = {"numpy": WIDE, "torch": (*WIDE, "bfloat16"), "llvm": (*WIDE, "bfloat16")}
STEPS = 4
SHAPES = ((37,), (3, 5), ())
# What a sum of several elements is depends on the width of the vectors, and what a product of matrices is on BLAS.
ONES, MATRICES = ((1,), (1, 1), ()), ((1, 1), (1, 1))
LONG, SQUARES = ((70_001,), (12, 7), ()), ((12, 12), (9, 9))
NAMES = [*rules.all(), *(f"{n}+adamw" if m.kind == "before" else f"adamw+{n}" for n, m in rules.modifiers().items())]


def sums(rule):
    """Whether the rule adds elements up."""
    try:
        return any(node.op == "total" for node in program(rule).tape.nodes)
    except NotTraceable:
        return True


def shapes(rule, here):
    if rule.vectors is not None:
        return SQUARES if here else MATRICES
    return LONG if here else ONES if sums(rule) else SHAPES


def numbers(shape, seed):
    """Numbers of either sign and some magnitudes, of eight binary digits: every type holds them."""
    x = (np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(1 + 100_003 * seed)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(32)
    return np.ldexp((x & np.uint64(255)) - 127.5, -(x >> np.uint64(8) & np.uint64(15)).astype(np.int32)).reshape(shape)


class RoundedRoots(torch.overrides.TorchFunctionMode):
    """Square roots as IEEE has them: on Intel's processors torch takes MKL's, whose last bit is sometimes another."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.sqrt or func is torch._foreach_sqrt:
            many = args[0] if isinstance(args[0], list | tuple) else [args[0]]
            roots = [torch.as_tensor(np.sqrt(x.double().numpy())).to(x.dtype) for x in many]
            return roots if many is args[0] else roots[0]
        return func(*args, **(kwargs or {}))


def exact(name, value):
    """A setting; of those that are raised to powers, one whose powers every library computes alike: exactly."""
    return min(max(round(16 * value), 1), 15) / 16 if name.startswith("beta") and 0 < value < 1 else value


def bits(name, engine, dtype, here=False):
    """A digest of parameters and state after a few steps; None where the engine does not take the rule or the type."""
    rule, made = rules.get(name), load(engine)
    if made.refuses(rule, dtype):
        return None

    def held(array, kind):
        if engine == "torch":
            return torch.tensor(array).to(getattr(torch, kind))
        if kind == "bfloat16":  # which NumPy does not know: as whole numbers
            return np.array(np.array(array, np.float32).view(np.uint32) >> 16, np.uint16)
        return np.array(array, kind)

    def seen(array):
        if dtype == "bfloat16" and engine != "torch" and array.dtype == np.uint16:
            array = (array.astype(np.uint32) << 16).view(np.float32)
        array = array.to(torch.float64).numpy() if isinstance(array, torch.Tensor) else array.astype(np.float64)
        return np.where(np.isnan(array), np.nan, array)  # processors differ in a NaN's sign

    settings = {name: exact(name, value) for name, value in list(settings_of(rule))[2].items()}
    forms = shapes(rule, here)
    work = begin(rule, [numbers(shape, i) for i, shape in enumerate(forms)], settings)
    work.dtype = dtype
    state = "float64" if dtype == "float64" else "float32"
    gradients = [[numbers(shape, 10 * t + i) for i, shape in enumerate(forms)] for t in range(1, STEPS + 1)]
    for slot in rule.slots:
        if slot.init.fill == "g":
            work.arrays[slot.name] = gradients[0]
    work.arrays = {n: [held(a, dtype if n == "p" else state) for a in of] for n, of in work.arrays.items()}
    work.arrays["g"] = [held(g, dtype) for g in gradients[0]]
    if made.on_memory:
        address(work)
    step = made.prepare([work])
    for t, given in enumerate(gradients, 1):
        for array, g in zip(work.arrays["g"], given, strict=True):
            array[...] = held(g, dtype)
        work.rows = [Row(t, settings)]
        assert step(1)
    found = hashlib.sha256()
    for n, of in sorted((work.arrays | {n: [x] for n, x in work.numbers.items()}).items()):
        for array in of:
            found.update(n.encode() + seen(array).tobytes())
    return found.hexdigest()[:16]


def digests(engine, dtype, here=False):
    with RoundedRoots():
        found = {name: bits(name, engine, dtype, here) for name in NAMES}
    return {name: digest for name, digest in found.items() if digest}


@pytest.mark.parametrize(("engine", "dtype"), [(engine, dtype) for engine in TAKEN for dtype in TAKEN[engine]])
def test_every_rule_has_the_bits_it_had(engine, dtype):
    known = json.loads(TABLE.read_text())[engine][dtype]
    now = digests(engine, dtype)
    assert list(now) == list(known)
    assert [name for name in known if now[name] != known[name]] == []


if __name__ == "__main__":
    table = {engine: {dtype: digests(engine, dtype, bool(sys.argv[1:])) for dtype in TAKEN[engine]} for engine in TAKEN}
    text = json.dumps(table, indent=1) + "\n"
    print(text, end="") if sys.argv[1:] else TABLE.write_text(text)
