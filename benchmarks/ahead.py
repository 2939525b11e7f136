"""Kernels compiled ahead of time, on a machine without a GPU: registers and spills as ``ptxas`` counts them."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import triton
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from descend.core.program import program
from descend.core.rule import Rule
from descend.engines.formats import working
from descend.engines.triton import source
from descend.engines.triton.step import CHUNK, JOIN_WARPS, JOINED, LINES, OPTIONS, WARPS

# What rounds otherwise than IEEE 754, or takes small numbers for zero. Division in double precision starts from
# an approximation and is corrected, hence "f64" is not among them; its exp looks at ``abs`` of half a number.
INEXACT = re.compile(r"\b(?!abs\.)[a-z]\w*\.(?:\w+\.)*?(?:approx|full|ftz)(?:\.\w+)*?\.f32")


@dataclass(frozen=True)
class Compiled:
    """One kernel of a rule: per thread registers and bytes spilled, its PTX, and the layouts it came from."""

    rule: str
    kernel: str  # "element 0", "host 1", "join"
    registers: int
    spilled: int
    ptx: str
    ttgir: str

    @property
    def inexact(self) -> list[str]:
        """The instructions that do not round as the vocabulary says."""
        return sorted(set(INEXACT.findall(self.ptx)))

    @property
    def widest(self) -> int:
        """Bytes that the widest access to global memory moves at once."""
        found = re.findall(r"(?:ld|st)\.global(?:\.[\w:]+)*?(?:\.v(\d))?\.[bfu](\d+)", self.ptx)
        return max((int(v or 1) * int(bits) // 8 for v, bits in found), default=0)


def compile_rule(
    rule: Rule, dtype: str = "float32", capability: int = 90, capturable: bool = False
) -> Iterator[Compiled]:
    """Every kernel of a rule for an NVIDIA GPU of compute capability ``capability`` (90: sm_90)."""
    traced = program(rule)
    number = {"float32": "*fp32", "float64": "*fp64"}[working(dtype)]
    element = dict.fromkeys(("addresses", "chunks", "lines"), "*i64") | {"scalars": number, "partials": "*fp64"}
    kinds = element | dict.fromkeys(("row_of", "bounds", "columns", "places"), "*i64")
    kinds |= {"table": number, "count": "i32", "works": "i32"}
    for k in range(len(traced.kernels)):
        text = source.host(traced, k, dtype, capturable)
        yield _compiled(rule.name, f"host {k}", text, kinds, {"LINES": LINES}, capability)
        text = source.element(traced, k, dtype, capturable)
        yield _compiled(rule.name, f"element {k}", text, kinds, {"BLOCK": CHUNK}, capability)
        if width := len(traced.kernels[k].sums):
            constants = {"WIDTH": width, "BLOCK": JOINED}
            yield _compiled(rule.name, f"join {k}", source.JOIN, kinds, constants, capability, JOIN_WARPS)


def _compiled(
    rule: str,
    kernel: str,
    text: str,
    kinds: dict[str, str],
    constants: dict[str, int],
    capability: int,
    warps: int = WARPS,
) -> Compiled:
    function = source.functions(text, False)[kernel.split()[0].replace("element", "kernel")]
    signature = {n: "constexpr" if n in constants else kinds.get(n, "*fp64") for n in function.arg_names}
    pointers = [i for i, n in enumerate(function.arg_names) if signature[n].startswith("*")]
    made = triton.compile(
        ASTSource(function, signature, constants, {(i,): [["tt.divisibility", 16]] for i in pointers}),
        target=GPUTarget("cuda", capability, 32),
        options={**OPTIONS, "num_warps": warps},
    )
    registers, spilled = resources(made.asm["cubin"])
    return Compiled(rule, kernel, registers, spilled, made.asm["ptx"], made.asm["ttgir"])


def resources(cubin: bytes) -> tuple[int, int]:
    """Registers per thread and bytes of local memory of the one kernel in a cubin.

    Raises:
        RuntimeError: ``cuobjdump`` says something else than expected.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.cubin")
        file.write_bytes(cubin)
        told = subprocess.run(
            [knobs.nvidia.cuobjdump.path, "-res-usage", str(file)], capture_output=True, text=True, check=True
        ).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+) .*LOCAL:(\d+)", told)
    if found is None:
        raise RuntimeError(f"cuobjdump did not tell the registers of a kernel: {told!r}")
    registers, stack, local = map(int, found.groups())
    return registers, stack + local
