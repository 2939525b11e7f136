"""The CPU kernels in torch's team of threads: the bits of any other, every chunk once, and only where it is safe."""

import ctypes
import multiprocessing
import subprocess
import sys
import threading

import pytest
import torch

from descend import rules
from descend.engines.llvm import engine as engine
from descend.engines.llvm import pool, team
from descend.torch import AdamW, optimizer

needs_team = pytest.mark.skipif(
    sys.platform != "linux", reason="the runtime that torch brings along is known to be reachable on Linux"
)
LARGE = engine.INLINE_POOL + 70_001  # elements: more than one thread steps, and a chunk that is not full


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def counted(monkeypatch):
    """Which way the work of a step went."""
    went = {"team": 0, "pool": 0}
    for name, owner in (("team", team.Team), ("pool", pool.Pool)):
        original = owner.run

        def run(self, *args, original=original, name=name):
            went[name] += 1
            return original(self, *args)

        monkeypatch.setattr(owner, "run", run)
    return went


def stepped(make, steps=4):
    rng = torch.Generator().manual_seed(3)
    params = [torch.nn.Parameter(torch.randn(n, generator=rng)) for n in (LARGE, 7, 40_000)]
    opt = make(params)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=rng)
        opt.step()
    return torch.cat([p.detach() for p in params])


@needs_team
def test_a_step_runs_in_torchs_team(two_threads, counted):
    stepped(AdamW)
    assert counted["team"]
    assert not counted["pool"]


@needs_team
@pytest.mark.parametrize("rule", ["adamw", "lamb", "lion", "prodigy"])
def test_the_bits_are_those_of_the_pool_and_of_one_thread(rule, two_threads, monkeypatch):
    make = optimizer(rules.all()[rule])
    in_team = stepped(make)
    monkeypatch.setattr(engine, "team", lambda threads: None)
    in_pool = stepped(make)
    torch.set_num_threads(1)
    assert torch.equal(in_team, in_pool)
    assert torch.equal(in_team, stepped(make))


@needs_team
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_torchs_thread_count_and_work_are_as_before(threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        x = torch.randn(1 << 20, generator=torch.Generator().manual_seed(0))
        expected = (x * 2).sum()
        stepped(AdamW)
        assert torch.get_num_threads() == threads
        assert torch.equal((x * 2).sum(), expected)
    finally:
        torch.set_num_threads(before)


@needs_team
def test_a_second_thread_uses_the_pool(two_threads, counted):
    thread = threading.Thread(target=stepped, args=(AdamW,))
    thread.start()
    thread.join()
    assert counted["pool"]
    assert not counted["team"]


@needs_team
def test_a_forked_child_uses_the_pool(two_threads):
    expected = stepped(AdamW).double().numpy().sum()  # torch's own sum would use threads that a child lacks
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=_child_without_torchs_threads, args=(results,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert results.get() == (True, expected)


def _child_without_torchs_threads(results):
    torch.set_num_threads(1)  # of torch's own work
    results.put((team.team(1) is None, stepped(AdamW).double().numpy().sum()))


@needs_team
def test_another_number_of_threads_than_torchs_is_left_to_the_pool(two_threads):
    assert team.team(2) is not None
    assert team.team(3) is None


def test_without_torch_there_is_no_team():
    text = (
        "import sys, numpy as np\nfrom descend import rules\nfrom descend.optimizer import Optimizer\n"
        "from descend.engines.llvm import team\n"
        "p = np.ones(1_000_000, np.float32)\nopt = Optimizer(rules.adamw, [p], lr=0.1, threads=2)\n"
        "opt.step([np.ones_like(p)])\nassert 'torch' not in sys.modules\nassert team.team(2) is None\n"
        "assert (p == p[0]).all() and p[0] < 1\n"
    )
    subprocess.run([sys.executable, "-c", text], check=True)


# ---------------------------------------------------------------- the job itself, in a runtime that is none


class Kernel:
    """A C function that notes the chunks it was given."""

    def __init__(self):
        self.ranges, self.beside = [], []
        self._kernel = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(
            lambda argument, lo, hi: self.ranges.append((argument, lo, hi))
        )
        self._beside = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(
            lambda argument: self.beside.append(argument) or 0
        )

    @property
    def native(self):
        return ctypes.cast(self._kernel, ctypes.c_void_p).value, 11

    @property
    def other(self):
        return ctypes.cast(self._beside, ctypes.c_void_p).value, 13


_here = threading.local()
_NUMBER = ctypes.CFUNCTYPE(ctypes.c_int32)(lambda: _here.number)
NUMBER = ctypes.cast(_NUMBER, ctypes.c_void_p).value


def by_python(third, numbers=None):
    """A runtime whose threads are Python's, numbered as they are started."""
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (3 if third else 1))

    def begin(function, job, threads):
        def run(number):
            _here.number = number
            kind(function)(*((None, None, job) if third else (job,)))

        team = [threading.Thread(target=run, args=(k,)) for k in (range(threads) if numbers is None else numbers)]
        for thread in team:
            thread.start()
        for thread in team:
            thread.join()

    return begin


@pytest.mark.parametrize("third", [False, True])
@pytest.mark.parametrize("chunks", [1, 2, 3, 64, 65, 1000])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_chunk_is_run_once(third, chunks, threads):
    seen = Kernel()
    team.Team(by_python(third), NUMBER, third).run(seen.native, chunks, threads, seen.other)
    assert sorted(c for _, lo, hi in seen.ranges for c in range(lo, hi)) == list(range(chunks))
    assert {argument for argument, _, _ in seen.ranges} == {11}
    assert seen.beside == [13]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_thread_begins_with_its_own_share_and_goes_on_with_those_of_others(number):
    seen = Kernel()
    team.Team(by_python(False, [number]), NUMBER).run(seen.native, 300, 3)
    begun = [c for _, lo, hi in seen.ranges for c in range(lo, hi)]
    assert begun == [*range(100 * number, 300), *range(100 * number)]


def test_nothing_is_run_beside_unless_asked():
    seen = Kernel()
    team.Team(by_python(False), NUMBER).run(seen.native, 10, 2)
    assert seen.beside == []


@pytest.mark.parametrize("begin", [lambda *given: None, lambda f, job, threads: [by_python(False)(f, job, 3)]])
def test_a_runtime_that_does_otherwise_is_noticed(begin):
    with pytest.raises(RuntimeError, match="OpenMP"):
        team.Team(begin, NUMBER)
