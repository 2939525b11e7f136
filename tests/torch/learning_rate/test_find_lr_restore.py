"""`find_lr` leaves no trace: normally, after NaN, after an exception, after a signal."""

import copy
import math
import os
import random
import signal
import threading

import numpy as np
import pytest
import torch
from range_tests import FEW, OPTIMIZERS, Loop, bits
from torch.utils.data import DataLoader, TensorDataset

import descend.torch as ours
from descend.torch import find_lr
from descend.torch.loop.untouched import hold_randomness


class Boom(Exception):
    pass


def boom():
    raise Boom


ENDS = {
    "normal": (None, None),
    "exception": (boom, Boom),
    "interrupt": (lambda: os.kill(os.getpid(), signal.SIGINT), KeyboardInterrupt),
}


def disturbed(loop: Loop, end: str, at: int) -> None:
    """A range test that ends as asked, `at` so many evaluations of the loss."""
    calls = 0
    act, raised = ENDS.get(end, (None, None))

    def loss_fn(output, target):
        nonlocal calls
        calls += 1
        if act is not None and calls == at:
            act()
        loss = loop.loss(output, target)
        return loss * math.nan if end == "nan" and calls >= at else loss

    if raised is None:
        find_lr(loop.model, loop.opt, loss_fn, loop.loader, **FEW)
        assert calls >= at
    else:
        with pytest.raises(raised):
            find_lr(loop.model, loop.opt, loss_fn, loop.loader, **FEW)
        assert calls == at


@pytest.mark.parametrize("before", [0, 3], ids=["fresh", "in training"])
@pytest.mark.parametrize("end", ["normal", "nan", "exception", "interrupt"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_everything_is_as_it_was_and_training_goes_on_bit_for_bit(optimizer, end, before):
    loop = Loop(optimizer, before)
    seen = loop.look()
    disturbed(loop, end, at=25)
    assert loop.look() == seen
    mine = loop.after()
    assert mine == Loop(optimizer, before).after()  # made now: all share the global generators


@pytest.mark.parametrize("at", [1, 2, 20, 25, 30])
def test_an_exception_at_any_time_leaves_no_trace(at):
    loop = Loop("ours Adam")
    seen = loop.look()
    disturbed(loop, "exception", at)
    assert loop.look() == seen


@pytest.mark.parametrize("name", ["parameters", "buffers", "gradients", "modes", "state", "groups", "random", "order"])
def test_the_look_notices_what_a_loop_without_undoing_changes(name):
    loop = Loop("ours Adam")
    seen = loop.look()
    loop.model.eval()
    loop.model.train()
    loop.opt.param_groups[0]["lr"] = 1.0
    loop.train(1)
    assert loop.look()[name] != seen[name]


@pytest.mark.parametrize("rule", ["adam", "muon", "psgd_kron"])
def test_a_rule_in_place_of_an_optimizer_leaves_the_model_alone(rule):
    loop = Loop("torch SGD")
    seen = loop.look()
    assert find_lr(loop.model, rule, loop.loss, loop.loader, **FEW).lr > 0
    assert loop.look() == seen


def test_a_scheduler_and_its_counts_are_left_alone():
    loop = Loop("torch SGD", before=0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(loop.opt, max_lr=0.1, total_steps=50)
    seen, counted = loop.look(), dict(scheduler.state_dict())
    found = find_lr(loop.model, loop.opt, loop.loss, loop.loader, **FEW)
    assert loop.look() == seen
    assert scheduler.state_dict() == counted
    assert found.bases == (0.1 / 25,)


def test_the_loader_of_an_epoch_that_runs_goes_on_where_it_was():
    loop, twin = Loop("torch SGD"), Loop("torch SGD")
    mine, theirs = iter(loop.loader), iter(twin.loader)
    next(mine), next(theirs)
    find_lr(loop.model, loop.opt, loop.loss, loop.loader, **FEW)
    for (x, _), (y, _) in zip(mine, theirs, strict=True):
        assert torch.equal(x, y)


class Noisy(TensorDataset):
    """Samples with noise from generators of its own, and a count of the samples taken."""

    def __init__(self, x, y):
        super().__init__(x, y)
        self.rng, self.python, self.taken = np.random.default_rng(0), random.Random(0), 0

    def __getitem__(self, k):
        self.taken += 1
        x, y = super().__getitem__(k)
        return x + float(self.rng.normal()) + self.python.random(), y


def test_generators_inside_a_data_set_and_a_sampler_are_put_back():
    loop = Loop("torch SGD")
    x, y = loop.loader.dataset.tensors

    def loader():
        data = Noisy(x, y)
        sampler = torch.utils.data.RandomSampler(data, generator=torch.Generator().manual_seed(9))
        return DataLoader(data, batch_size=8, sampler=sampler)

    mine, other = loader(), loader()
    find_lr(loop.model, loop.opt, loop.loss, mine, **FEW)
    assert mine.dataset.taken == 0
    torch.manual_seed(0)
    seen = [bits(x) for x, _ in mine]
    torch.manual_seed(0)
    assert seen == [bits(x) for x, _ in other]


@pytest.mark.slow
@pytest.mark.parametrize("persistent", [False, True])
def test_worker_processes_end_and_the_users_own_go_on(persistent):
    loop = Loop("torch SGD")

    def loader():
        made = torch.Generator().manual_seed(5)
        return DataLoader(
            loop.loader.dataset, batch_size=8, shuffle=True, generator=made, num_workers=1,
            persistent_workers=persistent, multiprocessing_context="fork",
        )  # fmt: skip

    mine, other = loader(), loader()
    assert [bits(x) for x, _ in mine] == [bits(x) for x, _ in other]
    kept = mine._iterator
    find_lr(loop.model, loop.opt, loop.loss, mine, steps=12, repeats=1, probes=1)
    assert mine._iterator is kept
    assert [bits(x) for x, _ in mine] == [bits(x) for x, _ in other]


def test_the_scaler_is_put_back():
    loop = Loop("torch SGD")
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    scaler.scale(torch.ones(()))
    seen = scaler.state_dict()
    found = find_lr(loop.model, loop.opt, loop.loss, loop.loader, autocast=torch.bfloat16, scaler=scaler, **FEW)
    assert found.lr > 0
    assert scaler.state_dict() == seen
    assert scaler.get_scale() == 1024.0


def test_outside_the_main_thread_it_works_without_handlers():
    loop, found = Loop("ours Adam"), []
    seen = loop.look()
    runner = threading.Thread(target=lambda: found.append(find_lr(loop.model, loop.opt, loop.loss, loop.loader, **FEW)))
    runner.start()
    runner.join()
    assert found[0].lr > 0
    assert loop.look() == seen


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_generator_of_the_device_is_put_back():
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 3)).cuda()
    opt = ours.Adam(model.parameters())
    x, y = torch.randn(16, 4), torch.randint(0, 3, (16,))
    seen = bits(torch.cuda.get_rng_state()), [bits(p.cpu()) for p in model.parameters()]
    assert find_lr(model, opt, torch.nn.functional.cross_entropy, [(x, y)] * 2, **FEW).lr > 0
    assert (bits(torch.cuda.get_rng_state()), [bits(p.cpu()) for p in model.parameters()]) == seen


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_generators_of_devices_that_are_not_here_are_put_back(kind, monkeypatch):
    """Stand-ins with torch's names: the states of two devices for CUDA, one for Metal."""
    now = {"cuda": [torch.arange(16), torch.arange(16) + 1], "mps": torch.arange(16)}
    before = {name: copy.deepcopy(state) for name, state in now.items()}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: kind == "cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: kind == "mps")
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: copy.deepcopy(now["cuda"]))
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", lambda states: now.update(cuda=states))
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: now["mps"].clone())
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda state: now.update(mps=state))
    thaw = hold_randomness()
    for state in (*now["cuda"], now["mps"]):
        state.add_(5)
    thaw()
    assert all(map(torch.equal, now[kind], before[kind]))
