"""What no engine runs, every front end refuses before anything is touched: at its line, with what to write instead."""

import math

import numpy as np
import pytest

from descend import chain, maximum, norm, rule, rules, sign, sqrt, total, where, zeros
from descend.checks import check_rule
from descend.core.ops import isfinite, matmul, matrix, qr, shaped, when
from descend.core.program import program
from descend.core.trace import admit, trace
from descend.core.value import Misreturned, Refused
from descend.optimizer import Optimizer

WAY_OUT = r"where\(condition, a, b\)"


def helper(x):
    return x if x > 0 else -x


# a line of a rule with p, g, v, t, lr -> what is said of it besides the line
BRANCHES = {
    "v = g if g > 0 else v": WAY_OUT,
    "v = g if lr > 0 else v": WAY_OUT,
    "v = g / t if t < 10 else g": WAY_OUT,
    "v = max(v, g)": r"maximum\(a, b\) in place of max",
    "v = min(v, g)": r"minimum\(a, b\) in place of min",
    "v = g and v": WAY_OUT,
    "v = 0.0 if not g else v": WAY_OUT,
    "v = where(0 < g < 1, v, g)": WAY_OUT,
    "v = v * (g in (1.0, 2.0))": WAY_OUT,
    "v = v + float(g)": WAY_OUT,
    "v = v + int(lr)": WAY_OUT,
    "v = v + round(g)": WAY_OUT,
    "v = v + bool(g)": WAY_OUT,
    "v = v + sum(g)": r"total\(x\)",
    "v = v + len(g)": "rows",
    "v = v + g[0]": WAY_OUT,
    "v = [x for x in g][0]": WAY_OUT,
    "a, b = g": WAY_OUT,
    'v = v + len(f"{g}")': "print in the training loop",
    "d = {g: 1}": "as a key",
    "v = v + hash(g)": "as a key",
    "v[:] = g": "never overwritten",
    "v = sorted([v, g])[0]": WAY_OUT,
    "assert g > 0": WAY_OUT,
    "v = math.sqrt(lr) * v": r"write sqrt from descend \(from descend import sqrt\)",
    "v = np.sqrt(v)": r"write sqrt from descend \(from descend import sqrt\)",
    "v = np.linalg.norm(v)": "write norm from descend",
    "v = np.where(g > 0, v, g)": "write where from descend",
    "v = np.clip(g, -1, 1)": r"minimum\(maximum\(x, low\), high\)",
    "v = v + g.sum()": r"total\(x\)",
    "v = v + g.abs()": r"abs\(x\)",
    "v = matmul(g.T, g)": r"transpose\(x\)",
    "v = v + np.array([1.0]) * g": "neither a number nor a value",
    "v = sqr(v)": r"Did you mean 'sqrt'\?",
    "v = clamp(v, 0, 1)": r"minimum\(maximum\(x, low\), high\)",
    "v = g @ v": r"write matmul\(a, b\)",
    "v = 2.0 @ v": r"write matmul\(a, b\)",
    "v = g // 2": r"\(a - a % b\) / b",
    "v = 1.0 // g": r"\(a - a % b\) / b",
    "v = divmod(g, v)": r"\(a - a % b\) / b",
    "v = g << 1": "write \\* or /",
    "v = where(g > 0 & v > 0, g, v)": r"write \(a > 0\) & \(b > 0\)",
    "v = where(g > 0 | v > 0, g, v)": r"write \(a > 0\) & \(b > 0\)",
    "v = lr(t) * g": "give the schedule to the optimizer",
    "v = p.grad": "write g, the gradient",
    "v = p.data": "write the value itself",
    "v = g.clone()": "write the value itself",
    "v = g.detach().cpu().numpy()": "write the value itself",
    "v = g.zero_()": r"write 0 \* x",
    **dict.fromkeys(
        [
            "v = v + (g > 0)",
            "v = v + ((g > 0) + (v > 0))",
            "v = v + (1 - (g > 0))",
            "v = v + (g > 0) * 0.1",
            "v = v + -(g > 0)",
            "v = v + abs(g > 0)",
            "v = v + sqrt(g > 0)",
            "v = v + sign(where(g > 0, g > 1, v > 1))",
            "v = v + maximum(g > 0, v)",
            "v = v + g ** (v > 0)",
            "v = v * (t > 1)",
            "v = v + norm(g > 0)",
            "v = v + total(isfinite(g))",
            "v = where((g > 0) > 0.5, v, g)",
            "v = where(g > 0, g > 1, v)",
        ],
        r"takes a condition for a number: write where\(condition, 1.0, 0.0\)",
    ),
    **dict.fromkeys(
        [
            "v = where(g, g, v)",
            "v = where(lr, g, v)",
            "v = where(1, g, v)",
            "v = when(norm(g), lambda: g, lambda: v)",
            "v = where(~g, g, v)",
            "v = where((g > 0) & v, g, v)",
            "v = where(v | (g > 0), g, v)",
            "v = where((g > 0) == v, g, v)",
        ],
        r"takes a number for a condition: compare it, as in where\(x != 0, a, b\)",
    ),
}


def made(line):
    """A rule with this line, whose text is nowhere at hand."""
    words = (where, when, matmul, sqrt, sign, maximum, norm, total, isfinite)
    scope = {"zeros": zeros, "np": np, "math": math, **{word.__name__: word for word in words}}
    exec(f"def mine(p, g, v=zeros, *, t, lr=0.1):\n    {line}\n    return p - lr * v, v\n", scope)
    return rule(scope["mine"])


@pytest.mark.parametrize(("line", "says"), BRANCHES.items(), ids=list(BRANCHES))
def test_every_front_end_refuses_what_the_tracer_refuses(line, says):
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("descend.jax")
    from descend.torch import optimizer

    mine, p = made(line), np.ones(3)
    whole = chain(rules.clip_norm, mine, rules.cautious)
    starts = [
        lambda of: optimizer(of)([torch.nn.Parameter(torch.ones(3))]),
        lambda of: Optimizer(of, [p], engine="numpy"),
        lambda of: Optimizer(of, [p]),
        jax.transform,
        jax.Stepper,
        program,
        trace,
    ]
    for of in (mine, whole):
        for begin in starts:
            with pytest.raises(Refused, match=rf"^rule mine, <string>:2 .*{says}"):
                begin(of)
    seen = {result.name: result for result in check_rule(mine, quick=True).results}
    assert seen["branches"].status == "red"
    assert str(admission(mine)) == seen["branches"].outcome.seen


@pytest.mark.parametrize("engine", ["numpy", "torch", "llvm", "jax"])
def test_conditions_are_joined_compared_and_chosen_from_on_every_engine(engine):
    mine = made(
        "v = where(((g > 0) & (v >= 0)) | ~(g < 2), 1.0, 0.0) + where((g > 0) == (v > 0), 2.0, 0.0) + "
        "where(where(g > 1, v > 0, v <= 0), 4.0, 0.0) + where(True, g, v) + where(False, g, where(g > 0, 8, 16))"
    )
    g, p = np.array([-3.0, 0.5, 1.5, 4.0]), np.zeros(4)
    if engine == "torch":
        torch, descend_torch = pytest.importorskip("torch"), pytest.importorskip("descend.torch")
        param = torch.nn.Parameter(torch.from_numpy(p))
        param.grad = torch.from_numpy(g)
        descend_torch.optimizer(mine)([param], lr=1.0, engine=engine).step()
    else:
        Optimizer(mine, [p], lr=1.0, engine=engine).step([g])
    np.testing.assert_array_equal(p, [-(2 + 4 - 3 + 16), -(1 + 4 + 0.5 + 8), -(1 + 1.5 + 8), -(1 + 4 + 8)])


def admission(of):
    with pytest.raises(Refused) as caught:
        admit(of)
    return caught.value


@pytest.mark.parametrize("engine", ["llvm", "numpy"])
def test_plus_is_the_value_itself_and_a_number_may_be_divided_with_a_rest(engine):
    p, g = np.array([1.0, 2.0, 3.0]), np.array([0.3, 0.7, 1.1])
    Optimizer(made("v = +(2.0 % g)"), [p], lr=1.0, engine=engine).step([g])
    assert p.tolist() == [1.0 - 2.0 % 0.3, 2.0 - 2.0 % 0.7, 3.0 - 2.0 % 1.1]


def test_a_rule_of_matrices_is_looked_at_in_the_same_way():
    @rule(vectors=rules.adamw)
    def turned(p, g, *, lr=0.1):
        step = shaped(qr(matrix(g)), p)
        if norm(step) > 0:
            step = step / norm(step)
        return p - lr * step

    with pytest.raises(
        Refused, match=r"rule turned, tests/core/test_refusals.py:\d+, `if norm\(step\) > 0:`, branches"
    ):
        Optimizer(turned, [np.ones((2, 2))], engine="numpy")


def test_the_line_is_the_helper_s_and_the_reason_the_word_s():
    @rule
    def helped(p, g, *, lr=0.1):
        return p - lr * helper(g)

    with pytest.raises(Refused, match=r"rule helped, tests/core/test_refusals.py:\d+, `return x if x > 0 else -x`"):
        admit(helped)


@pytest.mark.parametrize("which", ["gradient_point", "shipped_point"])
def test_points_and_rules_for_vectors_are_looked_at(which):
    def point(p, v, *, lr):
        return p if lr > 0 else v

    @rule(**{which: point})
    def pointed(p, g, v=zeros, *, lr=0.1):
        return p - lr * g, v

    @rule(vectors=pointed)
    def whole(p, g, *, lr=0.1):
        return p - lr * shaped(matrix(g), p)

    for of in (pointed, whole, chain(rules.clip_norm, pointed)):
        with pytest.raises(Refused, match=rf"{which} of rule pointed point, .*`return p if lr > 0 else v`"):
            admit(of)


@pytest.mark.parametrize("engine", ["numpy", "llvm", "jax"])
def test_a_value_added_to_in_place_is_a_new_value_on_every_engine(engine):
    if engine == "jax":
        pytest.importorskip("jax")

    @rule
    def added(p, g, v=zeros, *, lr=0.5):
        old, rate = v, lr
        v += g
        rate *= 2.0
        return p - lr * (v + old) - rate * g, v

    p = [np.zeros(2)]
    made = Optimizer(added, p, engine=engine)
    for _ in range(2):
        made.step([np.ones(2)])
    assert np.array_equal(p[0], np.full(2, -0.5 - 1.0 - 1.5 - 1.0))


def test_a_number_multiplied_in_place_is_a_new_number_in_torch():
    torch = pytest.importorskip("torch")
    from descend.torch import optimizer

    @rule
    def halved(p, g, *, lr=1.0):
        rate = lr
        rate *= 0.5
        return p - lr * g - rate * g

    p = torch.nn.Parameter(torch.zeros(2))
    p.grad = torch.ones(2)
    optimizer(halved)([p], engine="torch").step()
    assert torch.equal(p.detach(), torch.full((2,), -1.5))


def test_a_point_writes_into_nothing():
    torch = pytest.importorskip("torch")
    from descend.torch import optimizer

    def ahead(p, v, *, lr):
        v *= lr
        p += v
        return p

    @rule(shipped_point=ahead)
    def looking(p, g, v=zeros, *, lr=0.5):
        v = v + g
        return p - lr * v, v

    p = torch.nn.Parameter(torch.zeros(2))
    opt = optimizer(looking)([p])
    p.grad = torch.ones(2)
    opt.step()
    with opt.shipped():
        assert torch.equal(p.detach(), torch.zeros(2))
    assert torch.equal(p.detach(), torch.full((2,), -0.5))
    assert torch.equal(opt.state[p]["v"], torch.ones(2))


def test_a_function_is_run_once_however_often_its_rule_is_used(capsys):
    torch = pytest.importorskip("torch")
    from descend.torch import optimizer

    @rule
    def talking(p, g, v=zeros, *, lr=0.5):
        print("said", g)
        v = v + g
        return p - lr * v, v

    on = [torch.nn.Parameter(torch.zeros(n)) for n in (2, 3)]
    for options in ({}, {"clip_norm": 1.0}, {"lr": 0.1, "maximize": True}, {"nonfinite": "skip"}):
        opt = optimizer(talking)(on, **options)
        for _ in range(2):
            for p in on:
                p.grad = torch.ones_like(p)
            opt.step()
    Optimizer(chain(talking, rules.cautious), [np.ones(2)]).step([np.ones(2)])
    assert capsys.readouterr().out == "said <g of rule talking>\n"


# ---------------------------------------------------------------- what is returned


def swapped(p, g, m=zeros, *, lr=0.1):
    m = m + g
    p = p - lr * m
    return m, p


def state_swapped_by_name(p, g, m=zeros, v=zeros, *, lr=0.1):
    m, v = m + g, v + g * g
    p = p - lr * m / sqrt(v)
    return p, v, m


def swapped_and_computed(p, g, m=zeros, *, lr=0.1, weight_decay=0.1):
    new = m + g
    moved = (1 - lr * weight_decay) * p - lr * new
    return new, moved


def nothing(p, g, m=zeros, *, lr=0.1):
    p = p - lr * (m + g)


def one_too_few(p, g, m=zeros, v=zeros, *, lr=0.1):
    p = p - lr * g
    return p, v


def one_too_many(p, g, m=zeros, *, lr=0.1):
    v = g * g
    return p, m, v


def as_a_list(p, g, m=zeros, *, lr=0.1):
    return [p - lr * g, m]


WRONG = {
    swapped: r"`return m, p`, returns \(m, p\); end with the order of the signature: return p, m",
    state_swapped_by_name: r"returns \(p, v, m\); end with",
    swapped_and_computed: r"for p what does not depend on p, and for m the old p and a step; .*return p, m",
    nothing: r"must return \(p, m\); it returned nothing",
    one_too_few: r"it returned 2 values; missing: m; end with .*return p, m, v",
    one_too_many: r"no state of its signature: v \(v=zeros would make it one\)",
    as_a_list: r"it returned a list",
}


@pytest.mark.parametrize("fn", WRONG, ids=lambda fn: fn.__name__)
def test_what_is_returned_in_another_order_or_number_is_refused(fn):
    made = rule(fn)
    with pytest.raises(Misreturned, match=WRONG[fn]):
        Optimizer(made, [np.ones(2)], engine="numpy")
    seen = {result.name: result for result in check_rule(made, quick=True).results}
    assert seen["returns"].status == "red"
    assert seen["returns"].outcome.seen == str(admission(made))


def extrapolated(p, g, look=zeros, *, lr=0.1, momentum=0.9):
    x = look - lr * g
    return x, x + momentum * (x - p)


def moved_on(p, g, last=zeros, older=zeros, *, lr=0.1):
    return p - lr * (last + older), g, last


def dual_averaging(p, g, z=zeros, kept=zeros, *, lr=0.1):
    z = z + g
    return -lr * z, z, p


def averages_the_old_points(p, g, z=zeros, s=zeros, *, lr=0.1):
    z, s = z + g, s + p
    return -lr * z, z, s


def kept_twice(p, g, m=zeros, last=zeros, *, lr=0.1):
    m = m + g
    return p - lr * m, m, m


@pytest.mark.parametrize(
    "fn", [extrapolated, moved_on, dual_averaging, averages_the_old_points, kept_twice], ids=lambda fn: fn.__name__
)
def test_what_only_looks_like_another_order_is_not(fn):
    assert Optimizer(rule(fn), [np.ones(2)]).step([np.ones(2)])


def test_the_catalogue_is_admitted():
    for one in {**rules.all(), **rules.modifiers()}.values():
        assert admit(one) is one


# ---------------------------------------------------------------- what a signature may declare


@pytest.mark.parametrize(
    ("signature", "says"),
    [
        ("p, g, m=zeros()", r"write m=zeros, or m=zeros\(\"exp_avg\"\)"),
        ("p, g, m=0.0", r"m=zeros, from descend import zeros"),
        ("p, g, lr=0.1", r"behind the \* to be a setting \(\*, lr=0.1\)"),
        ("p, g, t, *, lr=0.1", r"t, the step, stands behind the \*"),
        ("p, g, *, t=1, lr=0.1", "write t and not t=1"),
        ("p, g, *, betas=(0.9, 0.999)", "write each by itself: beta1=0.9, beta2=0.999"),
        ("p, g, *, nesterov=False", "another rule next door"),
        ("p, g, *rest", r"no \* or \*\*"),
    ],
)
def test_each_mistake_in_a_signature_has_its_sentence(signature, says):
    with pytest.raises(TypeError, match=says):
        exec(f"@rule\ndef mine({signature}): return p", {"rule": rule, "zeros": zeros})


def test_the_words_are_those_of_the_vocabulary_and_can_be_imported():
    import descend
    from descend.core import ops
    from descend.core.words import STARTS, WORDS

    assert set(WORDS) == {*ops.NUMBERS, *ops.MATRIX_WORDS, "absolute", "mean", "norm"} - {
        "abs", "count", "divide", "power",
    }  # fmt: skip
    assert set(WORDS) | set(STARTS) <= set(descend.__all__)
