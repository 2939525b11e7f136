"""A step of the Triton engine as a whole: several Works, groups and options, the guard, long offsets, the same bits."""

import numpy as np
import pytest

pytest.importorskip("triton.language", reason="Triton is not installed: pip install triton==3.7.1 (Linux only)")

import torch
from triton_works import SHAPES, apart, feed, load_triton, oracle, point, results, rounded, tensors, triton

from descend import chain, rules
from descend.checks.traces import begin, gradients
from descend.core.program import program
from descend.engines import load
from descend.engines.base import Row
from descend.engines.triton import source as source
from descend.engines.triton.tables import Table, chunks

CLIPPED = chain(rules.clip_norm.bind(max_norm=0.5), rules.decay_l2, rules.adamw)
PREPARE = load_triton().prepare


def arrays(work):
    return {n: [a.clone() for a in v] for n, v in work.arrays.items() if n != "g"}


def same(before, work):
    return all(torch.equal(x, y) for n, v in before.items() for x, y in zip(v, work.arrays[n], strict=True))


def test_a_chain_that_clips_over_all_parameters():
    assert apart(oracle(CLIPPED, "float32"), triton(CLIPPED, "float32"), "float32") <= 16


def test_a_norm_over_all_parameters_spans_works_of_two_types():
    start, grads = gradients(SHAPES, 4)
    kinds = ("float32", "bfloat16")
    ours = [tensors(CLIPPED, start, kind) for kind in kinds]
    exact = [begin(CLIPPED, rounded(start, kind), dict(CLIPPED.settings)) for kind in kinds]
    for work in exact:
        work.arrays["g"] = [np.zeros(a.shape) for a in start]
    steps = PREPARE(ours, True), load("numpy").prepare(exact, True)
    for t, g in enumerate(grads, 1):
        for ours_, exact_, kind in zip(ours, exact, kinds, strict=True):
            feed(ours_, g)
            feed(exact_, rounded(g, kind))
            ours_.rows[0].t = exact_.rows[0].t = t
        assert all(step(1) for step in steps)
    assert apart(exact[0], ours[0], "float32") <= 16
    assert apart(exact[1], ours[1], "bfloat16", only="p") <= 4


@pytest.mark.parametrize("name", ["adamw", "lamb", "nadam"])
def test_groups_have_their_own_settings_and_steps(name):
    rule = rules.all()[name]
    start, grads = gradients(SHAPES, 3)
    ours, exact = tensors(rule, start, "float32"), begin(rule, start, dict(rule.settings))
    exact.arrays["g"] = [np.zeros(a.shape) for a in start]
    ours.row_of = exact.row_of = np.array([0, 1, 0, 2, 1, 2, 0])
    steps = PREPARE([ours]), load("numpy").prepare([exact])
    for t, g in enumerate(grads, 1):
        for work, values in ((ours, g), (exact, rounded(g, "float32"))):
            feed(work, values)
            work.rows = [Row(t + k, {**rule.settings, "lr": 1e-3 * (k + t)}) for k in range(3)]
        assert all(step(1) for step in steps)
    assert apart(exact, ours, "float32") <= 16


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_guard_leaves_everything_as_it_was(bad):
    rule = rules.nadam
    work = tensors(rule, gradients(SHAPES, 1)[0], "float32")
    feed(work, [np.ones(a.shape) for a in work.arrays["g"]])
    work.arrays["g"][5][-1] = bad
    step, before, numbers = PREPARE([work], True), arrays(work), work.numbers["mu_product"].copy()
    assert not step(1)
    assert same(before, work)
    assert np.array_equal(numbers, work.numbers["mu_product"])
    work.arrays["g"][5][-1] = 1e30
    assert step(1)
    assert not same(before, work)


def test_a_capturable_step_skips_on_the_device_and_does_not_count():
    rule = rules.nadam
    work = tensors(rule, gradients(SHAPES, 1)[0], "float32")
    feed(work, [np.ones(a.shape) for a in work.arrays["g"]])
    step = PREPARE([work], True, True)
    before, numbers = arrays(work), work.numbers["mu_product"].copy()
    work.arrays["g"][0][0, 0] = torch.nan
    assert step(1)  # nobody asked the device
    assert same(before, work)
    assert np.array_equal(numbers, work.numbers["mu_product"])
    assert step.counters()[0].tolist() == [1.0]
    work.arrays["g"][0][0, 0] = 1.0
    step.found_inf = torch.ones(1)
    step(1)
    assert same(before, work)
    step.found_inf = torch.zeros(1)
    step(1)
    assert not same(before, work)
    assert step.counters()[0].tolist() == [2.0]


def test_a_capturable_step_takes_new_settings_but_counts_by_itself():
    rule = rules.adamw
    start, grads = gradients(SHAPES, 4)
    plain, ours = tensors(rule, start, "float32"), tensors(rule, start, "float32")
    steps = PREPARE([plain]), PREPARE([ours], False, True)
    for t, g in enumerate(grads, 1):
        feed(plain, g)
        feed(ours, g)
        plain.rows = [Row(t, {**rule.settings, "lr": 0.01 * t})]
        ours.rows = [Row(99, {**rule.settings, "lr": 0.01 * t})]
        assert all(step(1) for step in steps)
    assert apart(plain, ours, "float32") == 0


@pytest.mark.parametrize("rule", [rules.lamb, CLIPPED], ids=["lamb", "clipped"])
def test_the_same_bits_on_every_run_and_with_other_tensors_beside(rule):
    first, second = results(triton(rule, "float32", 3)), results(triton(rule, "float32", 3))
    assert all(np.array_equal(x, y) for n in first for x, y in zip(first[n], second[n], strict=True))
    start, grads = gradients(SHAPES, 1)
    alone = tensors(rules.lamb, start[5:6], "float32")
    among = tensors(rules.lamb, start, "float32")
    feed(alone, grads[0][5:6])
    feed(among, grads[0])
    assert PREPARE([alone])(1)
    assert PREPARE([among])(1)
    assert torch.equal(alone.arrays["p"][0], among.arrays["p"][5])


def test_views_at_odd_addresses_give_the_same_bits():
    rule, (start, grads) = rules.adamw, gradients(((1024,), (8,)), 1)
    even, odd = tensors(rule, start, "float32"), tensors(rule, start, "float32")
    for name, items in odd.arrays.items():
        odd.arrays[name] = [torch.cat([torch.zeros(1), a])[1:] for a in items]
    point(odd)
    for work in (even, odd):
        feed(work, grads[0])
        assert PREPARE([work])(1)
    assert apart(even, odd, "float32") == 0


def test_offsets_beyond_two_gigabytes():
    table, bounds = chunks(np.array([2**31 + 5, 0, 7]), 1024)
    assert table[-2].tolist() == [0, 2**31, 5]
    assert table[-1].tolist() == [2, 0, 7]
    assert bounds.tolist() == [0, 2**21 + 1, 2**21 + 1, 2**21 + 2]
    traced = program(rules.gradient_descent)
    p, g = torch.ones(5), torch.arange(5.0)
    base = [a.data_ptr() - 4 * 2**31 for a in (p, g)]  # where element 2³¹ of a long tensor would be p[0]
    kernel = source.functions(source.element(traced, 0, "float32"), True)["kernel"]
    none = torch.zeros(1, dtype=torch.float64)
    kernel[(1,)](
        torch.tensor([base]), torch.tensor([[0, 2**31, 5]]), torch.zeros(1, dtype=torch.int64),
        torch.tensor([0.5]), none, none, BLOCK=1024,
    )  # fmt: skip
    assert torch.equal(p, 1 - 0.5 * g)


def test_a_table_follows_an_array_that_is_changed_in_place():
    values = np.array([1, 2])
    table = Table(values, torch.device("cpu"))
    place = table.there.data_ptr()
    values[0] = 7
    table.send(values)
    assert table.there.tolist() == [7, 2]
    assert table.there.data_ptr() == place, "a CUDA graph holds the address"
    table.send(np.arange(3))
    assert table.there.tolist() == [0, 1, 2]


def test_nothing_but_empty_tensors_is_a_step():
    work = tensors(CLIPPED, [np.zeros((0,))], "float32")
    assert PREPARE([work], True)(1)
    assert PREPARE([])(1)


def test_the_cpu_is_refused_where_the_interpreter_is_not_asked_for(monkeypatch):
    work = tensors(rules.adamw, [np.zeros(3)], "float32")
    monkeypatch.delenv("TRITON_INTERPRET")
    with pytest.raises(ValueError, match="steps CUDA tensors; with TRITON_INTERPRET=1"):
        PREPARE([work])
