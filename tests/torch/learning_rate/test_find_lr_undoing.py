"""What puts things back after a range test, and the signals that must not come between."""

import math
import os
import signal
import threading

import numpy as np
import pytest
import torch
from range_tests import FEW, Loop, bits

from descend.torch import find_lr
from descend.torch.loop.untouched import Signals, hold, untouched


class Boom(Exception):
    pass


def boom():
    raise Boom


# Python prints what is raised inside a destructor and goes on, an interrupt too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_signals_at_random_times_leave_no_trace():
    loop, ends = Loop("ours Adam"), []
    seen = loop.look()
    for k in range(60):
        timer = threading.Timer(0.002 + 0.0015 * k, lambda: os.kill(os.getpid(), signal.SIGINT))
        try:
            timer.start()
            find_lr(loop.model, loop.opt, loop.loss, loop.loader, **FEW)
            ends.append("done")
            timer.join()
        except KeyboardInterrupt:
            ends.append("interrupted")
        assert loop.look() == seen, f"signal {k}"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert ends.count("interrupted") > 10


def test_a_second_signal_waits_until_all_is_restored():
    held, order = [1], []

    def body():
        held[0] = 2
        signal.raise_signal(signal.SIGINT)

    def thaw():
        signal.raise_signal(signal.SIGINT)
        held[0] = 1
        order.append("restored")

    before = signal.signal(signal.SIGINT, lambda *_: order.append("signal") or boom())
    try:
        with pytest.raises(Boom):
            untouched(body, thaw)
        assert order == ["signal", "restored", "signal"]
        assert held == [1]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_signal_during_the_undoing_waits_for_its_end():
    order = []
    before = signal.signal(signal.SIGINT, lambda *_: order.append("signal"))
    try:
        untouched(lambda: None, lambda: order.append("last"), lambda: signal.raise_signal(signal.SIGINT))
        assert order == ["last", "signal"]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_signal_that_interrupts_closes_the_door_behind_it():
    before = signal.signal(signal.SIGINT, lambda *_: boom())
    signals = Signals()
    try:
        signals.catch()
        with pytest.raises(Boom):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Boom):
            signals.release()
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_thaw_that_fails_does_not_keep_the_others_from_running():
    ran = []
    with pytest.raises(Boom):
        untouched(lambda: None, boom, lambda: ran.append(1), boom, lambda: ran.append(2))
    assert sorted(ran) == [1, 2]


def test_a_tensor_gets_back_its_storage_its_bits_and_its_flags():
    base = torch.tensor([0.0, -0.0, math.nan, 1.0])
    p = torch.nn.Parameter(base.clone(), requires_grad=False)
    wide = torch.ones(1, 3).expand(4, 3)
    content = {"p": p, "wide": wide, "list": [p, 1], "array": np.zeros(2)}
    content["self"] = content
    seen, place = bits(p), p.data_ptr()
    thaw = hold(content)
    p.data = torch.zeros(7)
    p.requires_grad_(True)
    p.grad = torch.ones(7)
    wide[:, 0].unsqueeze(0)[..., :1].fill_(3.0)
    content["list"].clear()
    content["array"][0] = 5
    content["new"] = 1
    thaw()
    assert bits(p) == seen
    assert p.data_ptr() == place
    assert (p.requires_grad, p.grad) == (False, None)
    assert list(content) == ["p", "wide", "list", "array", "self"]
    assert content["list"] == [p, 1]
    assert content["array"].tolist() == [0, 0]
    assert wide.tolist() == [[1.0] * 3] * 4
