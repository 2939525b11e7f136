"""Who reads what a steady step does reads few files."""

import sys
from pathlib import Path

import pytest
import torch

import descend
from descend.torch import AdamW

HOME = str(Path(descend.__file__).parent)


@pytest.mark.parametrize(("threads", "elements"), [(1, 100), (2, 100_000)], ids=["one thread", "torch's team"])
def test_a_steady_step_crosses_seven_files_at_most(threads, elements):
    params = [torch.nn.Parameter(torch.ones(elements)) for _ in range(2)]
    opt, crossed = AdamW(params, lr=1e-3), set()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for _ in range(4):
            for p in params:
                p.grad = torch.ones(elements)
            opt.step()
        for p in params:
            p.grad = torch.ones(elements)
        sys.setprofile(lambda frame, event, _: crossed.add(frame.f_code.co_filename) if event == "call" else None)
        opt.step()
    finally:
        sys.setprofile(None)
        torch.set_num_threads(before)
    ours = sorted(name.removeprefix(HOME) for name in crossed if name.startswith(HOME))
    assert 3 <= len(ours) <= 7, ours
