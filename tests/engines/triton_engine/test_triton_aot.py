"""The kernels compiled for sm_90 without a GPU: nothing spills, nothing is approximated, memory moves in vectors."""

import re

import pytest

pytest.importorskip("triton.language", reason="Triton is not installed: pip install triton==3.7.1 (Linux only)")

import triton.language as tl
from triton.runtime.jit import JITFunction
from triton_works import load_triton

from benchmarks.ahead import INEXACT, compile_rule
from descend import chain, maximum, rule, rules, zeros
from descend.core import ops

pytestmark = pytest.mark.skipif(
    not isinstance(tl.sum, JITFunction), reason="TRITON_INTERPRET=1 was set before the tests: nothing can be compiled"
)
CLIPPED = chain(rules.clip_norm.bind(max_norm=0.5), rules.adamw, rules.cautious)
SOME = {"adamw": rules.adamw, "lamb": rules.lamb, "clipped": CLIPPED}
TAKEN = {name: rule for name, rule in rules.all().items() if load_triton().refuses(rule, "float32") is None}


def check(checked, dtype, capturable):
    for kernel in compile_rule(checked, dtype, capturable=capturable):
        print(f"{checked.name:28} {dtype:9} {kernel.kernel:10} {kernel.registers:4} registers {kernel.spilled} spilled")
        assert kernel.spilled == 0
        assert kernel.registers <= 128
        assert kernel.inexact == []
        if kernel.kernel.startswith("element"):
            assert kernel.widest == 16 or (dtype != "float32" and kernel.widest == 8)  # 4 elements of a thread


@pytest.mark.parametrize("name", SOME)
def test_some_rules_compile_for_sm_90(name):
    check(SOME[name], "float32", capturable=False)
    check(SOME[name], "bfloat16", capturable=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", TAKEN)
def test_every_rule_compiles_for_sm_90(name):
    for dtype, capturable in (("float32", False), ("float32", True), ("bfloat16", False), ("float16", False)):
        check(TAKEN[name], dtype, capturable)
    for kernel in compile_rule(TAKEN[name], "float64"):
        assert kernel.spilled == 0


def test_nan_is_kept_by_the_instruction_for_maximum():
    """The interpreter's maximum keeps NaN whatever it is told, so the compiled one is looked at."""

    @rule
    def larger(p, g, a=zeros, *, lr=0.1):
        return p - ops.minimum(g, lr), maximum(a, g)

    (element,) = (kernel for kernel in compile_rule(larger) if kernel.kernel == "element 0")
    assert set(re.findall(r"\b(?:max|min)\.[\w.]+", element.ptx)) == {"max.NaN.f32", "min.NaN.f32"}


def test_what_is_promised_of_a_vector_is_not_believed_of_the_rest():
    """A hint stays with the value it was given to: on a load it would hold where elements go one by one, too."""
    (element,) = (kernel for kernel in compile_rule(rules.adamw) if kernel.kernel == "element 0")
    assert "tt.divisibility = dense<4>" in element.ttgir
    assert not [line for line in element.ttgir.splitlines() if "tt.load" in line and "divisibility" in line]


def test_an_approximation_would_be_noticed():
    for ptx in ("div.full.f32 %f1, %f2", "sqrt.approx.f32 %f1", "ex2.approx.ftz.f32 %f1", "add.ftz.f32 %f1"):
        assert INEXACT.search(ptx), ptx
    for ptx in ("div.rn.f32 %f1, %f2", "sqrt.rn.f32", "fma.rn.f32", "rcp.approx.ftz.f64 %rd30", "abs.ftz.f32 %r4"):
        assert not INEXACT.search(ptx), ptx
