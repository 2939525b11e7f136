"""A slot may have any name: a kernel has variables of its own, and never takes one for the other."""

import numpy as np
import pytest

from descend import rule, zeros
from descend.core.ops import norm
from descend.optimizer import Optimizer

SLOT = """
@rule
def mine(p, g, SLOT=zeros, *, lr=0.1):
    SLOT = 0.9 * SLOT + g
    p = p - lr * SLOT / (1 + norm(SLOT))
    return p, SLOT
"""


@pytest.mark.parametrize("word", ["j", "n", "i", "r", "lo", "one", "x3", "s4", "kernel"])
def test_a_slot_may_be_called_as_a_variable_of_the_kernel_is(word):
    scope = {"rule": rule, "zeros": zeros, "norm": norm}
    exec(SLOT.replace("SLOT", word), scope)
    found = []
    for engine in ("llvm", "numpy"):
        p, g = np.ones(5, np.float32), np.arange(5, dtype=np.float32)
        optimizer = Optimizer(scope["mine"], [p], engine=engine)
        for _ in range(2):
            optimizer.step([g])
        found.append(p)
    np.testing.assert_allclose(*found, rtol=1e-6)
