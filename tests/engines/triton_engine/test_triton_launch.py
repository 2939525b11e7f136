"""What reaches the compiler when kernels are launched on a GPU, shown by a driver that stands in for one."""

import pytest

pytest.importorskip("triton.language", reason="Triton is not installed: pip install triton==3.7.1 (Linux only)")

import torch
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction
from triton_works import tensors

from descend import rules
from descend.checks.traces import gradients
from descend.core.program import program
from descend.engines.triton import source as source
from descend.engines.triton import step

pytestmark = pytest.mark.skipif(
    not isinstance(tl.sum, JITFunction), reason="TRITON_INTERPRET=1 was set before the tests: nothing can be compiled"
)


class Driver:
    """An sm_90 device that is never asked to run anything."""

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(driver, "_active", Driver())


def variants(kernel):
    """The argument types and hints that a kernel was compiled for."""
    return list(kernel.device_caches[0][0])


@pytest.mark.parametrize("name", ["lamb", "nadam"])
def test_one_variant_of_each_kernel_whatever_the_tensors(name, stand_in):
    rule = rules.all()[name]
    source.functions.cache_clear()
    made = []
    for shapes in (((4, 3), (5,), (1029,)), ((1,),)):  # counts that are 1 or divide by 16 must make no difference
        work = tensors(rule, gradients(shapes, 1, holes=False)[0], "bfloat16")
        shared = step.Shared([program(rule, True)], torch.device("cpu"))
        ready = step.Ready(work, 0, shared, 5, True)
        ready.interpreted = False
        ready.elements = [
            ready._made(source.element(ready.program, k, "bfloat16", True), "kernel") for k in ready.passes
        ]
        ready.hosts = [ready._made(source.host(ready.program, k, "bfloat16", True), "host") for k in ready.passes]
        ready.join = ready._made(source.JOIN, "join")
        ready.compile()
        made += [*ready.elements, *ready.hosts]
    found = [variants(kernel) for kernel in made if variants(kernel)]
    assert len(found) >= 2 * len(program(rule, True).kernels)
    for keys in found:
        assert len(keys) == 1
        assert keys[0].count("'*") == keys[0].count("'D'"), "a table is not known to lie on 16 bytes"
        assert "'enable_fp_fusion': False" in keys[0]
