"""The surroundings stay as they were, and the bits the same: threads, RNG, dtypes, devices, modes."""

import hashlib
import os
import pickle
import threading
import warnings

import pytest
import torch
from torch.nn import Parameter
from torch.optim.optimizer import _global_optimizer_pre_hooks
from twins import (
    CLASSES,
    ENGINES,
    STATEFUL,
    assert_close,
    feed,
    gradient,
    parameters,
    snapshot,
    theirs,
    train,
)

import descend.torch as ours

BIG = ((70_001,), (300, 301), (7,), (0,), (), (65_536,), (129, 3))


def run_of(name, engine, dtype=torch.float32, steps=3, **settings):
    p = parameters(dtype, BIG)
    opt = getattr(ours, name)(p, engine=engine, lr=0.01, **{**STATEFUL.get(name, {}), **settings})
    train(range(steps), (opt, p))
    return hashlib.sha256(pickle.dumps(snapshot(opt))).hexdigest()


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CLASSES)
def test_same_bits_for_any_number_of_threads_and_every_run(name, engine, threads):
    found = set()
    for count in (1, 2, 5, 2):
        threads(count)
        found.add(run_of(name, engine))
        assert torch.get_num_threads() == count
    assert len(found) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_the_global_norm_has_the_same_bits_for_any_number_of_threads(engine, threads):
    found = set()
    for count in (1, 2, 5):
        threads(count)
        found.add(run_of("AdamW", engine, clip_norm=0.1))
    assert len(found) == 1


def surroundings():
    return {
        "threads": torch.get_num_threads(),
        "interop": torch.get_num_interop_threads(),
        "rng": hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest(),
        "numpy rng": hashlib.sha256(repr(__import__("numpy").random.get_state()).encode()).hexdigest(),
        "python rng": hash(__import__("random").getstate()),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "environment": {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
        "warnings": list(warnings.filters),
        "hooks": len(_global_optimizer_pre_hooks),
        "directory": os.getcwd(),
        "children": threading.active_count() < 50,
    }


@pytest.mark.parametrize("engine", [*ENGINES, "numpy"])
def test_surroundings_stay_as_they_were(engine, threads, tmp_path):
    threads(1)
    before = surroundings()
    for name in CLASSES:
        p = parameters(torch.float32, BIG)
        opt = getattr(ours, name)(p, engine=engine)
        train(range(10 if name == "Adam" else 1), (opt, p))
        torch.save(opt.state_dict(), tmp_path / name)
        opt.load_state_dict(torch.load(tmp_path / name, weights_only=True))
        opt.step()
    assert surroundings() == before


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_the_default_dtype_decides_nothing(default, engine):
    """torch's own step counter stood still at 256 under a bfloat16 default."""
    results = []
    for dtype in (torch.float32, default):
        torch.set_default_dtype(dtype)
        try:
            p = parameters(torch.float32)
            opt = ours.Adam(p, engine=engine)
            train(range(300), (opt, p))
            assert {int(opt.state[x]["step"]) for x in p if x.numel()} == {300}
            results.append((snapshot(opt)[0], [opt.state[x]["exp_avg"].dtype for x in p]))
        finally:
            torch.set_default_dtype(torch.float32)
    assert results[0] == results[1]


@pytest.mark.parametrize("engine", ENGINES)
def test_state_lives_where_the_parameter_does(engine):
    p = parameters()
    with torch.device("meta"):
        opt = ours.Adam(p, engine=engine)
        with torch.device("cpu"):
            feed(p, 0)
        opt.step()
    assert opt.state[p[0]]["exp_avg"].device.type == "cpu"
    train(range(1), (theirs("Adam", q := parameters()), q))
    assert torch.equal(p[0], q[0]) or (p[0] - q[0]).abs().max() < 1e-14


@pytest.mark.parametrize("engine", ENGINES)
def test_state_made_in_inference_mode_does_not_poison_later_steps(engine):
    opt = ours.Adam(p := parameters(), engine=engine)
    ref = theirs("Adam", q := parameters())
    feed(p, 0)
    with torch.inference_mode():
        opt.step()
    train(range(1), (ref, q))
    train(range(1, 3), (opt, p), (ref, q))
    assert not any(v.is_inference() for s in opt.state.values() for v in s.values() if isinstance(v, torch.Tensor))
    assert_close((opt, p), (ref, q), 1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_different_optimizers_in_several_threads_at_once(engine):
    alone = run_of("AdamW", engine, steps=8)
    found, errors = [], []

    def work():
        try:
            found.append(run_of("AdamW", engine, steps=8))
        except BaseException as error:  # a thread must not swallow what went wrong
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(5)]
    for w in workers:
        w.start()
    for w in workers:
        w.join(60)
    assert not errors
    assert found == [alone] * 5


@pytest.mark.parametrize("engine", ENGINES)
def test_one_optimizer_in_several_threads_works_or_raises_clearly(engine):
    """Every step that returned happened whole: with one gradient the result depends on their number only."""
    p = [Parameter(torch.ones(200_000))]
    p[0].grad = gradient(p[0], 1)
    opt = ours.Adam(p, engine=engine)
    opt.step()
    counts, errors = [0] * 4, []

    def work(i):
        for _ in range(20):
            try:
                opt.step()
                counts[i] += 1
            except Exception as error:
                errors.append(error)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join(60)
    assert all(isinstance(e, RuntimeError) and "step" in str(e) for e in errors), errors
    assert int(opt.state[p[0]]["step"]) == 1 + sum(counts)
    q = [Parameter(torch.ones(200_000))]
    q[0].grad = p[0].grad
    clean = ours.Adam(q, engine=engine)
    for _ in range(1 + sum(counts)):
        clean.step()
    assert torch.equal(p[0], q[0])
