"""The declaration: what a signature becomes, and how mistakes in one read."""

import ast
import math

import numpy as np
import pytest

from descend import before, chain, rule, rules, shared, where, zeros
from descend.checks.traces import gradients, oracle
from descend.core import ops
from descend.core.program import program
from descend.core.settings import check_setting
from descend.core.trace import trace
from descend.optimizer import Optimizer


def test_the_signature_is_the_declaration():
    lion = rules.lion
    assert [s.name for s in lion.slots] == ["m"]
    assert lion.slots[0].saved_as == "exp_avg"
    assert lion.settings == {"lr": 1e-4, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0}
    assert not lion.uses_t
    assert rules.adam.uses_t
    assert lion.title.startswith("Lion:")


@pytest.mark.parametrize("name", {**rules.all(), **rules.modifiers()})
def test_every_rule_names_its_source(name):
    found = {**rules.all(), **rules.modifiers()}[name]
    assert ":" in found.title or "torch" in found.title
    assert any(c.isdigit() for c in found.doc) or "torch" in found.doc
    body = ast.parse(found.source).body[0].body
    assert sum(isinstance(statement, ast.Assign) for statement in body) <= 15


def test_mistakes_in_a_signature_are_explained():
    with pytest.raises(TypeError, match=r"must begin with \(p, g, \.\.\.\); it has \("):
        rule(lambda x, y: x)
    with pytest.raises(TypeError, match="needs an initialiser to be state"):

        @rule
        def one(p, g, m=0.0):
            return p, m

    with pytest.raises(TypeError, match="needs a default"):

        @rule
        def two(p, g, *, lr):
            return p

    with pytest.raises(TypeError, match=r"no \* or \*\*"):

        @rule
        def three(p, g, **settings):
            return p


def test_a_branch_on_data_is_refused_with_the_way_out():
    @rule
    def branching(p, g, *, lr=0.1):
        return p - lr * g if g > 0 else p

    with pytest.raises(
        TypeError,
        match=r"rule branching, .*`return p - lr \* g if g > 0 else p`, branches on .* where\(condition, a, b\)",
    ):
        trace(branching)


def test_a_wrong_number_of_results_is_refused():
    @rule
    def forgetful(p, g, m=zeros, *, lr=0.1):
        return p - lr * g

    with pytest.raises(TypeError, match=r"must return \(p, m\); it returned 1"):
        trace(forgetful)


def test_unknown_settings_list_the_valid_ones():
    with pytest.raises(TypeError, match=r"no setting 'weight_dekay'. Did you mean 'weight_decay'\? It has: lr, beta1"):
        rules.adamw.bind(weight_dekay=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", -1.0),
        ("lr", math.nan),
        ("lr", math.inf),
        ("beta1", 1.0),
        ("beta2", -0.1),
        ("eps", -1e-9),
        ("weight_decay", -1),
    ],
)
def test_bad_values_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        rules.adamw.bind(**{name: value})


@pytest.mark.parametrize("value", ["0.1", None, True, [1.0]])
def test_values_that_are_no_numbers_are_refused(value):
    with pytest.raises(TypeError, match="lr must be a number"):
        check_setting("lr", value)


def test_scalars_are_computed_on_the_host():
    made = program(rules.adamw)
    assert len(made.kernels) == 1
    ops_per_element = [made.tape.nodes[i].op for i in made.kernels[0].body]
    assert "pow" not in ops_per_element
    assert made.moved == (4, 3)


def test_a_global_norm_costs_one_more_pass():
    made = program(chain(rules.clip_norm, rules.adamw))
    assert [k.loads for k in made.kernels] == [("g",), ("p", "g", "m", "v")]
    assert made.kernels[0].stores == ()


def test_constants_of_different_types_stay_apart():
    @rule
    def constants(p, g, *, lr=1.0):
        return p - where(g > 1, 1, 1.0) * lr

    assert [n.value for n in trace(constants).nodes if n.op == "const"] == [1.0]


def test_chain_names_what_clashes():
    @before
    def decayed(p, g, v=zeros, *, lr=0.5, momentum=shared):
        return g * lr * momentum, v

    made = chain(decayed, rules.momentum_velocity)
    assert made.settings == {"decayed_lr": 0.5, "lr": 1e-3, "momentum": 0.9}
    assert [s.name for s in made.slots] == ["v", "momentum_velocity_v"]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((), "exactly one rule"),
        ((rules.clip_norm,), "exactly one rule"),
        ((rules.adam, rules.clip_norm), "before the rule"),
        ((rules.adam, rules.adam), "has 2"),
        ((rules.adam, 3), "takes rules"),
    ],
)
def test_a_chain_that_is_none_is_refused(stages, message):
    with pytest.raises(TypeError, match=message):
        chain(*stages)


def test_numbers_follow_the_vocabulary():
    assert ops.divide(1.0, 0.0) == math.inf
    assert ops.divide(-1.0, 0.0) == -math.inf
    assert math.isnan(ops.divide(0.0, 0.0))
    assert math.isnan(ops.power(-8.0, 1 / 3))
    assert ops.power(10.0, 400) == math.inf
    assert math.isnan(ops.sqrt(-1.0))
    assert ops.log(0.0) == -math.inf
    assert math.isnan(ops.maximum(math.nan, 1.0))
    assert math.isnan(ops.maximum(1.0, math.nan))
    assert ops.where(True, 1.0, 2.0) == 1.0


class TestNumpyOptimizer:
    def test_it_steps_in_place(self):
        p = [np.ones(3), np.zeros((2, 2))]
        optimizer = Optimizer(rules.gradient_descent, p, lr=0.5)
        assert optimizer.engine == "llvm"
        assert optimizer.step([np.ones(3), np.ones((2, 2))])
        assert optimizer.steps == 1
        assert np.array_equal(p[0], np.full(3, 0.5))

    def test_a_schedule_is_a_function_of_the_step(self):
        p = [np.zeros(1)]
        optimizer = Optimizer(rules.gradient_descent, p, lr=lambda step: [1.0, 0.1, 0.01][step])
        for _ in range(3):
            optimizer.step([np.ones(1)])
        assert np.allclose(p[0], -1.11)

    @pytest.mark.parametrize("policy", ["skip", "raise"])
    def test_nonfinite(self, policy):
        p = [np.ones(2)]
        optimizer = Optimizer(rules.adam, p, nonfinite=policy)
        if policy == "raise":
            with pytest.raises(FloatingPointError, match="nothing was changed"):
                optimizer.step([np.array([1.0, np.nan])])
        else:
            assert not optimizer.step([np.array([1.0, np.nan])])
        assert optimizer.steps == 0
        assert np.array_equal(p[0], np.ones(2))
        assert not optimizer.state["m"][0].any()

    def test_gradients_that_do_not_fit_are_refused(self):
        optimizer = Optimizer(rules.adam, [np.ones(2)])
        with pytest.raises(ValueError, match=r"grads\[0\] must be float64 \(2,\); got float32"):
            optimizer.step([np.ones(2, np.float32)])
        with pytest.raises(ValueError, match="as many gradients"):
            optimizer.step([])

    def test_a_modifier_alone_is_refused(self):
        with pytest.raises(TypeError, match="needs chain"):
            Optimizer(rules.clip_norm, [np.ones(2)])

    def test_clip_norm_spans_all_parameters(self):
        p = [np.zeros(1), np.zeros(1)]
        Optimizer(rules.gradient_descent, p, lr=1.0, clip_norm=1.0).step([np.array([3.0]), np.array([4.0])])
        assert np.allclose([p[0][0], p[1][0]], [-0.6, -0.8], rtol=1e-6)

    @pytest.mark.parametrize(
        "name", [n for n in rules.all() if n not in ("nesterov_lookahead", "sophia", "adahessian")]
    )
    def test_every_rule_steps_numpy_arrays_as_the_oracle_does(self, name):
        start, grads = gradients(shapes=[(4, 4), (3, 3)], steps=4, holes=False)
        p = [np.array(x) for x in start]
        optimizer = Optimizer(rules.all()[name], p, engine="numpy")
        for g in grads:
            optimizer.step(g)
        expected = list(oracle(rules.all()[name], start, grads, dict(rules.all()[name].settings)))[-1]["p"]
        assert all(np.array_equal(a, b) for a, b in zip(p, expected, strict=True))

    @pytest.mark.parametrize("name", [name for name, rule in rules.all().items() if rule.vectors])
    def test_a_rule_for_matrices_steps_vectors_by_its_rule_for_them(self, name):
        rule, rng = rules.all()[name], np.random.default_rng(3)
        start = [rng.standard_normal(shape) for shape in ((3,), (4, 4), (2,))]
        together, apart = [x.copy() for x in start], [x.copy() for x in start]
        whole = Optimizer(rule, together, lr=0.01)
        parts = [Optimizer(rule, [apart[1]], engine=whole.engine, lr=0.01)]
        parts += [Optimizer(rule.of((1,)), [apart[0], apart[2]], engine=whole.engine, lr=0.01)]
        for _ in range(4):
            grads = [rng.standard_normal(x.shape) for x in start]
            whole.step(grads)
            parts[0].step([grads[1]])
            parts[1].step([grads[0], grads[2]])
        assert all(np.array_equal(a, b) for a, b in zip(together, apart, strict=True))
        assert not any(np.array_equal(a, b) for a, b in zip(together, start, strict=True))

    def test_clip_norm_spans_matrices_and_vectors(self):
        p = [np.zeros((1, 1)), np.zeros(1)]
        small, large = (Optimizer("muon", [x.copy() for x in p], clip_norm=1.0, lr=0.1) for _ in range(2))
        small.step([np.array([[30.0]]), np.array([40.0])])
        large.step([np.array([[300.0]]), np.array([400.0])])
        for name, held in small.state.items():
            np.testing.assert_allclose(np.ravel(held[0]), np.ravel(large.state[name][0]), rtol=1e-6)
