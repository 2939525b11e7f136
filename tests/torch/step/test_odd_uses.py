"""Uses nobody plans for: steps inside steps, groups edited by hand, classes of one's own pickled, odd numbers."""

import copy
import io
import os
import pickle
import signal
import threading

import numpy
import pytest
import torch
from torch.nn import Parameter
from twins import ENGINES, assert_close, copies, feed, parameters, snapshot, theirs, train, twin

import descend.torch as ours
from descend import chain, rules

CHAINED = chain(rules.clip_norm(0.5), rules.decay_l2(0.1), rules.adam)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("place", ["closure", "pre-hook", "post-hook"])
def test_a_step_inside_a_step_does_not_hang(place, engine):
    mine, reference = twin("Adam", engine=engine)
    for opt, params in (mine, reference):
        feed(params, 0)
        inner = []

        def once(*_, opt=opt, inner=inner):
            if not inner:
                inner.append(1)
                opt.step()

        if place == "pre-hook":
            opt.register_step_pre_hook(once)
        elif place == "post-hook":
            opt.register_step_post_hook(once)
        runner = threading.Thread(target=opt.step, args=(once if place == "closure" else None,), daemon=True)
        runner.start()
        runner.join(30)
        assert not runner.is_alive(), "the inner step waits for the outer one"
    assert_close(mine, reference, 1e-14)
    assert reference[0].state[reference[1][0]]["step"] == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_groups_edited_by_hand_as_in_torch(engine):
    mine, reference = twin("Adam", engine=engine)
    for opt, params in (mine, reference):
        train(range(2), (opt, params))
        last = opt.param_groups[0]["params"].pop()
        opt.param_groups.append({**opt.param_groups[0], "params": [last], "lr": 0.5})
        opt.param_groups[0]["params"].reverse()
        train(range(2, 4), (opt, params))
        opt.param_groups.pop(0)
        train(range(4, 6), (opt, params))
        opt.state.clear()
        train(range(6, 8), (opt, params))
    assert_close((mine[0], mine[1][-1:]), (reference[0], reference[1][-1:]), 1e-14)
    for p, q in zip(mine[1], reference[1], strict=True):
        assert (p - q).abs().max() <= 1e-14 if p.numel() else True


@pytest.mark.parametrize("engine", ENGINES)
def test_a_parameter_listed_twice_by_hand_is_refused(engine):
    opt = ours.Adam(p := parameters(), engine=engine)
    train(range(1), (opt, p))
    opt.param_groups[0]["params"].append(p[1])
    before = snapshot(opt, p)
    with pytest.raises(ValueError, match="more than once"):
        opt.step()
    assert snapshot(opt, p) == before


@pytest.mark.parametrize("source", [rules.adam_uncorrected, CHAINED], ids=["rule", "chain"])
def test_a_class_made_from_a_rule_survives_being_copied_and_pickled(source):
    made = ours.optimizer(source)
    opt = made(p := parameters(), lr=0.05)
    train(range(3), (opt, p))
    file = io.BytesIO()
    torch.save((opt, p), file)
    file.seek(0)
    runs = [copy.deepcopy((opt, p)), pickle.loads(pickle.dumps((opt, p))), torch.load(file, weights_only=False)]
    train(range(3, 6), *runs, (opt, p))
    for other, q in runs:
        assert snapshot(other, q) == snapshot(opt, p)


@pytest.mark.parametrize("value", [numpy.float32(0.25), numpy.array(0.25), torch.tensor(0.25), 1, torch.tensor([1])])
def test_a_number_in_any_form_counts_and_can_be_saved(value):
    opt, plain = ours.SGD(p := parameters(), lr=value), ours.SGD(q := parameters(), lr=float(value))
    train(range(2), (opt, p), (plain, q))
    assert snapshot(opt)[:2] == snapshot(plain)[:2]
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    file.seek(0)
    assert float(torch.load(file, weights_only=True)["param_groups"][0]["lr"]) == float(value)


NO_NUMBERS = {
    "beyond every float": 10**400,
    "two numbers": numpy.array([0.1, 0.2]),
    "array of text": numpy.array("x"),
    "meta": torch.tensor(0.5, device="meta"),
    "dict": {},
    "complex": 0.5 + 0j,
}


@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_number_is_refused_by_name(value):
    with pytest.raises((ValueError, TypeError), match=r"\blr\b|learning rate"):
        ours.AdamW(parameters(), lr=value)
    opt = ours.AdamW(p := parameters())
    feed(p, 0)
    before, lr = snapshot(opt), opt.param_groups[0]["lr"]
    opt.param_groups[0]["lr"] = value
    with pytest.raises((ValueError, TypeError), match=r"\blr\b|learning rate"):
        opt.step()
    opt.param_groups[0]["lr"] = lr
    assert snapshot(opt) == before


def test_an_lr_that_requires_grad_steps_without_a_warning():
    """Warnings are errors here, and hypergradient code passes such a learning rate."""
    opt = ours.SGD(p := parameters(), lr=torch.tensor(0.1, dtype=torch.float64, requires_grad=True))
    ref = theirs("SGD", q := copies(p), lr=0.1)
    train(range(2), (opt, p), (ref, q))
    assert_close((opt, p), (ref, q), 1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_saving_while_another_thread_steps_gives_a_whole_step(engine):
    """Parameters are not in the dict, but the state of one dict must be of one step, or the call say why not."""
    p = [Parameter(torch.ones(100_000)) for _ in range(3)]
    opt = ours.SGD(p, lr=0.0, momentum=1.0, engine=engine)
    for x in p:
        x.grad = torch.ones_like(x)
    opt.step()
    stop, errors = threading.Event(), []

    def saver():
        while not stop.is_set():
            try:
                opt.state_dict()
            except BaseException as error:
                if not (isinstance(error, RuntimeError) and "step" in str(error)):
                    errors.append(error)

    worker = threading.Thread(target=saver)
    worker.start()
    for _ in range(40):
        opt.step()
    stop.set()
    worker.join(30)
    assert not errors
    assert all(torch.equal(opt.state[x]["momentum_buffer"], opt.state[p[0]]["momentum_buffer"]) for x in p)
    assert float(opt.state[p[0]]["momentum_buffer"][0]) == 41


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs POSIX signals")
@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupt_is_deferred_not_lost_and_handlers_stay(engine):
    rung, handler = [], lambda *_: rung.append(1)
    old = signal.signal(signal.SIGINT, handler)
    try:
        p = [Parameter(torch.ones(500_000)) for _ in range(4)]
        opt = ours.AdamW(p, engine=engine)
        for x in p:
            x.grad = torch.ones_like(x)
        opt.step()
        timer = threading.Timer(0.005, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        while timer.is_alive() or not rung:
            opt.step()
            assert len(rung) <= 1
        assert signal.getsignal(signal.SIGINT) is handler
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
        assert len(rung) == 1
    finally:
        signal.signal(signal.SIGINT, old)


@pytest.mark.parametrize("name", ["shampoo", "soap", "muon", "psgd_kron", "adafactor"])
def test_matrix_rules_have_the_same_bits_for_any_number_of_threads(name):
    threads, found = torch.get_num_threads(), []
    for count in (1, 2, 5):
        torch.manual_seed(0)
        p = torch.nn.Parameter(torch.randn(70, 130))
        opt = ours.optimizer(rules.all()[name])([p])
        try:
            torch.set_num_threads(count)
            for _ in range(3):
                p.grad = torch.randn_like(p)
                opt.step()
            assert torch.get_num_threads() == count
        finally:
            torch.set_num_threads(threads)
        found.append(p.detach().clone())
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
