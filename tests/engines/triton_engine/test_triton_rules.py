"""Every rule of the catalogue on the Triton engine, by the interpreter, against the oracle."""

import pytest

pytest.importorskip("triton.language", reason="Triton is not installed: pip install triton==3.7.1 (Linux only)")

from triton_works import apart, load_triton, on_cpu, oracle, triton

from descend import rules

TAKEN = {name: rule for name, rule in rules.all().items() if load_triton().refuses(rule, "float32") is None}
BOUND = 16  # units in the last place after 6 steps in float32: rounding happens once per operation
# These take the distance of p from where it started, which loses the digits that the two have in common. No
# engine that computes in float32 comes nearer: they are measured by the distance of the CPU engine.
CANCELLING = ("dog", "dowg", "prodigy", "prodigy_tensor", "dadapt_adam")


def test_only_rules_for_rows_and_matrices_are_refused():
    refused = {name: load_triton().refuses(rule, "float32") for name, rule in rules.all().items() if name not in TAKEN}
    assert len(TAKEN) > 50
    assert all("row" in reason or "matri" in reason for reason in refused.values()), refused
    assert all(rules.all()[name].vectors is not None for name in refused)


@pytest.mark.parametrize("name", TAKEN)
def test_a_rule_equals_the_oracle_in_float32(name):
    rule = TAKEN[name]
    exact = oracle(rule, "float32")
    bound = 4 * apart(exact, on_cpu(rule), "float32") if name in CANCELLING else BOUND
    assert apart(exact, triton(rule, "float32"), "float32") <= bound


@pytest.mark.parametrize("name", ["adamw", "momentum_accumulation", "lamb", "nadam"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_rule_on_half_precision_rounds_p_once_a_step(name, dtype):
    rule, steps = TAKEN[name], 4
    assert apart(oracle(rule, dtype, steps), triton(rule, dtype, steps), dtype, only="p") <= steps


@pytest.mark.slow
@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_every_rule_on_half_precision(name, dtype):
    rule = TAKEN[name]
    assert apart(oracle(rule, dtype, 2), triton(rule, dtype, 2), dtype, only="p") <= 2


@pytest.mark.parametrize("name", ["adamw", "lamb", "radam"])
def test_a_rule_equals_the_oracle_in_float64(name):
    rule = TAKEN[name]
    assert apart(oracle(rule, "float64"), triton(rule, "float64"), "float64") <= 1 << 12


@pytest.mark.parametrize("name", TAKEN)
def test_a_capturable_rule_counts_its_steps_and_gives_the_same_bits(name):
    rule = TAKEN[name]
    assert apart(triton(rule, "float32", 3), triton(rule, "float32", 3, capturable=True), "float32") == 0
