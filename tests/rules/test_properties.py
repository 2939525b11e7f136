"""What a rule keeps when the problem is turned, stretched or scaled: symmetries, each of every rule.

A table says which rules have a symmetry, and the test demands it of these and its absence of all others; so
a new rule that belongs to a table fails here until it stands there.
Relative to how far the path goes, "has" means 1e-9 and "has not" 1e-3.
"""

import numpy as np
import pytest

from descend import rules
from descend.checks.traces import oracle
from descend.rules.matrix import JORDAN, POLAR_EXPRESS

ALL = rules.all()

HEAVY_BALL = {f"momentum_{form}" for form in ("accumulation", "ema", "velocity", "dampened")}
NESTEROV = {f"nesterov_{form}" for form in ("lookahead", "rewritten", "accumulation")}
# The step is a sum of gradients, with weights that no gradient changes: AdaHessian's are fed.
LINEAR = {"gradient_descent", "quasi_hyperbolic", "asgd", "schedule_free_sgd", "adahessian"} | HEAVY_BALL | NESTEROV
# RAdam's first steps are plain momentum; MARS clips at norm 1; FTRL has a β and Adadelta an ε that set a scale.
# Sophia is fed one curvature, whatever the gradients; PSGD begins at the identity and bounds its steps.
SCALED_BY_A_CONSTANT = {"radam", "radamw", "mars", "ftrl", "adadelta", "sophia", "psgd_kron"}
# One number, or one matrix, for many coordinates.
LOOKS_AT_NORMS = {"lars", "novograd", "dadapt_sgd", "dog", "dowg"}
LOOKS_AT_MATRICES = {"muon", "muon_polar_express", "shampoo", "soap"}
COUPLED = LOOKS_AT_NORMS | LOOKS_AT_MATRICES | {"normuon", "adafactor", "came", "dadapt_adam", "prodigy"}
COUPLED |= {"prodigy_tensor"}
ROTATES = LINEAR | LOOKS_AT_NORMS | LOOKS_AT_MATRICES

# Estimates of the distance begin where twelve steps are no rounding errors of the start; decay is another matter.
COMMON = {"weight_decay": 0.0, "lambd": 0.0, "initial_accumulator": 0.0, "precondition_frequency": 4.0}
COMMON |= dict.fromkeys(("d0", "reps_rel", "r_eps"), 1e-3)


def drawn(shape, seed=0, steps=12):
    """A start, and gradients of order 1 that drift one way, as the estimates of the distance rise only then."""
    rng = np.random.default_rng(seed)
    start, drift = rng.normal(size=shape), rng.normal(size=shape)
    return start, [drift + rng.normal(size=shape) for _ in range(steps)]


def walk(name, x, grads, **settings):
    """The states along a path without ε, but for Adadelta, which would not move."""
    rule = ALL[name]
    given = {**rule.settings, **{k: v for k, v in COMMON.items() if k in rule.settings}}
    given |= {k: 0.0 for k in given if k.startswith("eps") and name != "adadelta"}
    return list(oracle(rule, [x], [[g] for g in grads], {**given, **settings}))


def end(name, x, grads, **settings):
    return walk(name, x, grads, **settings)[-1]["p"][0]


def apart(a, b, start):
    """The distance of two end points over the length of the way to the second."""
    way = np.abs(b - start).max()
    assert way > 1e-5, "it did not move"
    return np.abs(a - b).max() / way


def judge(distance, has, tolerance=1e-9):
    assert distance < tolerance if has else distance > 1e-3


def rotation(size, seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]


@pytest.mark.parametrize("name", ALL)
def test_gradients_of_another_scale(name):
    """Without ε the path stays what it was, or its way grows in proportion, or a constant of the rule sets a scale."""
    x, grads = drawn((4, 4))
    here = end(name, x, grads)
    paths = {scale: end(name, x, [scale * g for g in grads]) for scale in (1e-2, 1e3)}
    # NorMuon's norm + 1e-7 is a constant of the paper, no setting
    tolerance = 1e-4 if name == "normuon" else 1e-9
    free = name not in LINEAR | SCALED_BY_A_CONSTANT
    judge(max(apart(there, here, x) for there in paths.values()), free, tolerance)
    judge(max(apart(x + (there - x) / scale, here, x) for scale, there in paths.items()), name in LINEAR)


@pytest.mark.parametrize("name", ALL)
def test_each_coordinate_of_another_scale(name):
    x, grads = drawn((4, 4))
    stretch = 10 ** np.random.default_rng(1).uniform(-2, 2, size=x.shape)
    there = end(name, x, [stretch * g for g in grads])
    judge(apart(there, end(name, x, grads), x), name not in LINEAR | SCALED_BY_A_CONSTANT | COUPLED)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(4, 4), (5, 3)])
def test_rotated_rows_and_columns(name, shape):
    """With G turned to U G Vᵀ and the start likewise, the path turns with them.

    SOAP does so exactly where its first bases are unique but for signs, which cancel: a first gradient that
    is square, of full rank and of distinct singular values. At 5 x 3 two null vectors are the solver's choice.
    """
    x, grads = drawn(shape)
    values = np.linalg.svd(grads[0], compute_uv=False)
    assert values.min() > 0.1
    assert np.diff(values).max() < -0.1
    U, V = rotation(shape[0], 1), rotation(shape[1], 2)
    constants = {"eps": 1e-4} if name == "shampoo" else {}  # Shampoo begins at ε times the identity
    turned = end(name, U @ x @ V.T, [U @ g @ V.T for g in grads], **constants)
    distance = apart(U.T @ turned @ V, end(name, x, grads, **constants), x)
    judge(distance, name in ROTATES and (name != "soap" or shape == (4, 4)))


def test_normuon_rotates_with_its_columns_alone():
    x, grads = drawn((4, 5))
    U, V = rotation(4, 1), rotation(5, 2)
    here = end("normuon", x, grads)
    judge(apart(end("normuon", x @ V.T, [g @ V.T for g in grads]) @ V, here, x), True)
    judge(apart(U.T @ end("normuon", U @ x, [U @ g for g in grads]), here, x), False)


@pytest.mark.parametrize("name", ["sign_sgd", "rprop", "rprop_simple"])
def test_rules_that_see_signs_alone(name):
    """Every entry of every step may be another size."""
    x, grads = drawn((4, 4))
    sizes = 10 ** np.random.default_rng(1).uniform(-6, 6, size=(len(grads), 4, 4))
    assert np.array_equal(end(name, x, grads), end(name, x, [s * g for s, g in zip(sizes, grads, strict=True)]))
    with pytest.raises(AssertionError):
        judge(apart(end(name, x, grads), end(name, x, [-g for g in grads]), x), True)


@pytest.mark.parametrize("name", ["sign_sgd", "signum", "tiger", "lion"])
def test_sign_rules_move_every_entry_by_lr(name):
    before, grads = drawn((4, 3))
    for state in walk(name, before, grads, lr=0.01):
        assert np.allclose(np.abs(state["p"][0] - before), 0.01, rtol=1e-12)
        before = state["p"][0]


# Muon: what the polynomials do to singular values, and nothing else. The bands are those of the published
# coefficients over all singular values from the given share of the Frobenius norm up.
MATRIX_BANDS = [
    ("muon", JORDAN, 1.0, 0.01, (0.681, 1.135)),
    ("muon_polar_express", POLAR_EXPRESS, 1.01, 1e-3, (0.840, 1.124)),
]


def through(polynomials, values):
    for a, b, c in polynomials:
        values = a * values + b * values**3 + c * values**5
    return values


@pytest.mark.parametrize(("name", "polynomials", "stretch", "least", "band"), MATRIX_BANDS)
@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_muon_moves_by_a_nearly_orthogonal_matrix(name, polynomials, stretch, least, band, shape):
    before, grads = drawn(shape)
    lr, momentum, decay = 0.02, 0.9, 0.3
    scale = max(1.0, shape[0] / shape[1]) ** 0.5
    for g, state in zip(grads, walk(name, before, grads, lr=lr, momentum=momentum, weight_decay=decay), strict=True):
        step = (state["p"][0] - (1 - lr * decay) * before) / (-lr * scale)
        U, values, Vt = np.linalg.svd(momentum * state["m"][0] + (1 - momentum) * g, full_matrices=False)
        shares = values / np.linalg.norm(values)
        inside = U.T @ step @ Vt.T  # diagonal: the same singular vectors, none turned round
        assert np.allclose(inside, np.diag(through(polynomials, shares / stretch)), rtol=0, atol=1e-11)
        assert np.allclose(U @ inside @ Vt, step, rtol=0, atol=1e-11)
        sound = inside.diagonal()[shares > least]
        assert band[0] < sound.min() <= sound.max() < band[1]
        before = state["p"][0]


@pytest.mark.parametrize(("name", "polynomials", "stretch", "least", "band"), MATRIX_BANDS)
def test_the_bands_hold_for_all_singular_values_and_are_tight(name, polynomials, stretch, least, band):
    values = through(polynomials, np.geomspace(least, 1, 100_001) / stretch)
    assert np.allclose((values.min(), values.max()), band, rtol=0, atol=1e-3)
    assert band[0] < values.min() <= values.max() < band[1]


def test_polar_express_holds_where_jordans_steps_do_not():
    """Singular values down to a thousandth of the norm: Jordan's leaves some below a half."""
    G = rotation(5, 1) @ np.diag([0.9, 0.4, 0.1, 0.01, 0.001]) @ rotation(5, 2)
    least = {}
    for name, *_ in MATRIX_BANDS:
        step = -end(name, 0 * G, [G], lr=1.0, momentum=0.0)
        least[name] = np.linalg.svd(step, compute_uv=False).min()
    assert least["muon"] < 0.5 < 0.84 < least["muon_polar_express"]


def test_the_coefficients_of_polar_express_are_optimal():
    """A check of the published digits without their source: the optimal polynomials leave [1 - e, 1 + e].

    Each is the best on the interval the one before left, beginning with [1e-3, 1]; so its error has the same
    size at the left end, at the inner maximum and at the right end.
    """
    low, high = 1e-3, 1.0
    for a, b, c in POLAR_EXPRESS:
        plain = ((1.01 * a, 1.01**3 * b, 1.01**5 * c),)
        values = through(plain, np.linspace(low, high, 1_000_001))
        inner = values[: values.size // 2].max()
        assert values[0] + values[-1] == pytest.approx(2, abs=1e-9)
        assert inner == pytest.approx(values[-1], abs=1e-7)
        low, high = values[0], values[-1]
    assert 1 - low == pytest.approx(0.12356, abs=1e-5)
