"""Kernels: the machine code does what the text says, and what comes from disk is what was compiled."""

import hashlib
import os
import threading
import time
import types

import numpy as np
import pytest
from kernel_reader import read_aloud

from descend import chain, rule, rules
from descend.engines.llvm import cache, kernels, lower, machine
from descend.engines.llvm.engine import cut, texts
from descend.optimizer import Optimizer
from descend.rules import watching

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the cache's tests are for POSIX")
DTYPES = ("float32", "float64", "bfloat16") + ("float16",) * machine.halves()
ADAMW = texts(cut(rules.adamw, False), "float32")[0]
CLIPPED = texts(cut(chain(rules.clip_norm(1.0), rules.adamw, rules.ema), True), "bfloat16")
WATCHED = texts(cut(chain(watching.watch_gradient, rules.adamw, watching.watch_step), False), "float32")[0]
RULES = {name: rule for name, rule in rules.all().items() if rule.vectors is None}


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    """An empty cache, and a process that knows no kernel yet."""
    monkeypatch.setenv("DESCEND_CACHE", str(tmp_path / "kernels"))
    monkeypatch.setattr(kernels, "_known", {})
    return tmp_path / "kernels"


def forget(monkeypatch):
    monkeypatch.setattr(kernels, "_known", {})


def given_of(rule, dtype):
    return [given for guard in (False, True) for given in texts(cut(rule, guard), dtype)]


def same_answer(given):
    """The machine code writes what the text says, which is a Python function: the same bits, the sums in any order."""
    made = kernels.kernel(*given)
    assert made.origin == "compiled", given[0]
    (arrays, sums), (expected, added) = kernels.tried(made, *given), kernels.tried(read_aloud(*given), *given)
    for array, wanted in zip(arrays, expected, strict=True):
        np.testing.assert_array_equal(array, wanted, given[0])
    np.testing.assert_allclose(sums, added, rtol=1e-5, err_msg=given[0])


@pytest.mark.parametrize("given", [ADAMW, *CLIPPED, WATCHED], ids=["adamw", "norm", "clipped", "watched"])
def test_the_machine_code_does_what_the_text_says(given):
    same_answer(given)


@pytest.mark.parametrize("bad", [[], [3], [3, 40], [40]])
def test_what_is_not_finite_is_counted(bad):
    arrays = np.ones((4, 45), np.float32)
    arrays[1, bad] = np.inf
    addresses = np.array([[row.ctypes.data] for row in arrays], np.int64)
    chunks = np.array([[0, 0], [0, 32], [32, 13], [0, 0]], np.int64)
    partials = np.full((4, 2), 5.0)  # as a step before may have left them
    scalars = np.array([[0.5] * 11], np.float32)
    scalars[0, 4:6] = 0.0, 1.0  # what a finite element counts, and another
    kernels.kernel(*WATCHED)(addresses, chunks, scalars, partials, 0, 2)
    assert partials[1].tolist() == [sum(i < 32 for i in bad), sum(i >= 32 for i in bad)]


@pytest.mark.slow
@pytest.mark.parametrize("name", RULES)
def test_the_machine_code_does_what_the_text_says_for_every_rule(name):
    for given in dict.fromkeys(given_of(RULES[name], "float32")):
        same_answer(given)


@rule
def winding(p, g, *, lr=0.1, period=0.75):
    """Elements that turn in a circle."""
    return (p - lr * g) % period


@rule
def unwinding(p, g, *, lr=0.1, period=0.75):
    """Elements that turn in a circle below zero."""
    return (p - lr * g) % (-period)


@pytest.mark.parametrize("period", [0.75, 0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_remainders_are_those_of_numpy(period, dtype):
    g = np.concatenate([np.linspace(-3, 3, 101), [0.0, -0.0, 0.75, np.inf, -np.inf, np.nan]]).astype(dtype)
    for which, by in ((winding, period), (unwinding, -period)):
        p = np.zeros_like(g)
        Optimizer(which, [p], engine="llvm", lr=1.0, period=period).step([g])
        with np.errstate(all="ignore"):
            expected = (dtype(0) - g) % dtype(by)
        np.testing.assert_array_equal(p, expected)
        np.testing.assert_array_equal(np.signbit(p[p == 0]), np.signbit(expected[p == 0]))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES[1:])  # float32 is compiled above, rule by rule
def test_every_rule_compiles(dtype):
    wanted = dict.fromkeys(given for rule in RULES.values() for given in given_of(rule, dtype))
    assert len(wanted) > 100
    assert {kernels.kernel(*given).origin for given in wanted} == {"compiled"}


@pytest.mark.parametrize("given", [ADAMW, *CLIPPED], ids=["adamw", "norm", "clipped"])
def test_from_disk_comes_what_was_compiled(monkeypatch, given):
    made = kernels.kernel(*given)
    assert (made.origin, made.unkept) == ("compiled", "")
    forget(monkeypatch)
    monkeypatch.setattr(lower, "compiled", None)  # compiling would raise
    found = kernels.kernel(*given)
    assert found.origin == "disk"
    assert kernels.probe(found, *given) == kernels.probe(made, *given)


def test_the_self_test_sees_every_kernel_of_a_rule_as_different():
    answers = {
        kernels.probe(kernels.kernel(*given), *given) for given in (ADAMW, texts(cut(rules.adam, False), "float32")[0])
    }
    assert len(answers) == 2


def spoil(monkeypatch, change):
    """Store a kernel, change what is stored, with a right checksum, and get it in a new process's place."""
    name = kernels.name_of(*ADAMW)
    right = kernels.probe(kernels.kernel(*ADAMW), *ADAMW)
    held = cache.load(name)
    assert held is not None
    cache.store(name, change(held))
    forget(monkeypatch)
    found = kernels.kernel(*ADAMW)
    assert found.origin == "compiled"
    assert kernels.probe(found, *ADAMW) == right
    assert cache.load(name) == held  # healed
    forget(monkeypatch)
    assert kernels.kernel(*ADAMW).origin == "disk"


def test_code_that_gives_other_bits_is_compiled_again(monkeypatch, caplog):
    other = lower.compiled(ADAMW[0].replace("x31 / ", "x31 * "), *ADAMW[1:])
    spoil(monkeypatch, lambda held: held[:32] + other)
    assert "another answer" in caplog.text


def test_a_wrong_answer_is_compiled_again(monkeypatch):
    spoil(monkeypatch, lambda held: hashlib.sha256(held[:32]).digest() + held[32:])


@pytest.mark.parametrize(
    "change",
    [
        lambda held: b"",
        lambda held: held[:32],
        lambda held: held[:700],
        lambda held: held[:32] + b"no object file" * 99,
        lambda held: held.replace(b"kernel\0", b"kernal\0"),
    ],
    ids=["empty", "no code", "half the code", "garbage", "no kernel"],
)
def test_what_cannot_be_linked_is_compiled_again(monkeypatch, change):
    spoil(monkeypatch, change)


def test_a_missing_function_is_an_error_that_can_be_caught():
    code = lower.compiled(ADAMW[0].replace("math.sqrt", "math.tanh"), *ADAMW[1:])
    assert b"tanhf\0" in code
    with pytest.raises(RuntimeError, match="materialize"):
        machine.linked(code.replace(b"tanhf\0", b"tanhq\0"))


def test_a_word_llvm_was_not_taught_is_an_error(fresh):
    text = ADAMW[0].replace("x34 = ", "x34 = math.atan(e_p) + 0 * ")
    with pytest.raises(lower.Unknown):
        kernels.kernel(text, *ADAMW[1:])
    assert not list(fresh.glob("*"))


def test_the_name_depends_on_all_that_the_code_depends_on(monkeypatch):
    text, streams, dtype = ADAMW
    names = [kernels.name_of(*given) for given in (
        ADAMW, (text + " ", streams, dtype), (text, streams[::-1], dtype), (text, streams, "float64"))]  # fmt: skip
    changes = [
        (machine, "processor", lambda: ("another", "+avx")),
        (machine, "MACHINE", {"opt": 2}),
        (machine.binding, "llvm_version_info", (0, 0, 0)),
        (kernels.platform, "python_version", lambda: "3.0"),
        (kernels.struct, "calcsize", lambda kind: 4),
        (kernels, "_SOURCES", ("lower",)),
    ]
    for owner, attribute, value in changes:
        with monkeypatch.context() as changed:
            changed.setattr(owner, attribute, value)
            kernels.version.cache_clear()
            names.append(kernels.name_of(*ADAMW))
    kernels.version.cache_clear()
    assert len(set(names)) == len(names)
    assert kernels.name_of(*ADAMW) == names[0]


@pytest.mark.parametrize("wrong", ["float32 addresses", "float64 scalars", "one dimension", "strided"])
def test_tables_of_another_kind_are_refused(wrong):
    tables = {
        "addresses": np.zeros((4, 1), np.int64 if wrong != "float32 addresses" else np.float32),
        "chunks": np.zeros((4, 2), np.int64)[:, :: 2 if wrong == "strided" else 1],
        "scalars": np.zeros((1, 9), np.float64 if wrong == "float64 scalars" else np.float32),
        "partials": np.zeros((1, 1) if wrong != "one dimension" else 1),
    }
    with pytest.raises(TypeError, match="C-contiguous"):
        kernels.kernel(*ADAMW).bind(**tables)


def test_threads_that_ask_at_once_get_one_kernel():
    found = []
    threads = [threading.Thread(target=lambda: found.append(kernels.kernel(*ADAMW))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def ended(child, seconds=300):
    """The exit status of a child; it is killed if it hangs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # forking with threads is what is tested
def test_a_child_forked_while_a_thread_compiles_can_compile():
    right = kernels.probe(kernels.kernel(*ADAMW), *ADAMW)
    stop = threading.Event()

    def keep_compiling():
        n = 0
        while not stop.wait(0.002):  # without a pause no fork comes to its turn for a second
            n += 1
            kernels.kernel(ADAMW[0] + "\n" * n, *ADAMW[1:])

    worker = threading.Thread(target=keep_compiling)
    worker.start()
    try:
        for n in range(10):
            child = os.fork()
            if child == 0:
                given = (ADAMW[0] + " " * (n + 1), *ADAMW[1:])
                os._exit(0 if kernels.probe(kernels.kernel(*given), *given) == right else 1)
            assert ended(child) == 0
    finally:
        stop.set()
        worker.join()


def test_with_no_cache_kernels_are_compiled_all_the_same(monkeypatch):
    monkeypatch.setenv("DESCEND_CACHE", "off")
    made = kernels.kernel(*ADAMW)
    assert (made.origin, made.unkept) == ("compiled", "DESCEND_CACHE is off")


def test_a_full_disk_does_not_stop_a_step(monkeypatch):
    def full(*_args, **_given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "os", types.SimpleNamespace(**{**vars(os), "replace": full}))
    made = kernels.kernel(*ADAMW)
    assert made.origin == "compiled"
    assert "No space left" in made.unkept
