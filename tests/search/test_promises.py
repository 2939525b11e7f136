"""What holds for every method of the list, from outside: honest counts, the best of all calls, no trace elsewhere."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest

from descend import minimize
from descend.search import names
from descend.search.method import Method, Stop, Wanted

METHODS = sorted(set(names.METHODS) - {"gauss_newton"})  # which minimizes the half square of what f returns
WITH_GRADIENTS = [name for name in METHODS if "second_order" in names.METHODS[name]]
START = np.array([0.9, -1.4, 0.6])
BUDGET = 150


def half_plane(x):
    return np.nan if x[0] < 0.2 else float(x @ x)


def walls(x):
    return np.inf if np.any(np.abs(x) > 1.5) else float(x @ x)


def mine(x):
    if x[1] > -0.3:
        raise FloatingPointError("no value here")
    return float(x @ x)


FUNCTIONS = {
    "sphere": lambda x: float(x @ x),
    "rosenbrock": lambda x: float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)),
    "flat": lambda x: 3.0,
    "steps": lambda x: float(np.floor(2 * np.abs(x)).sum()),
    "abs": lambda x: float(np.abs(x).sum()),
    "saddle": lambda x: float(x[0] ** 2 - x[1] ** 2 + 0.1 * x[1] ** 4 + x[2] ** 2),
    "linear": lambda x: float(x.sum()),
    "half plane of nan": half_plane,
    "walls of inf": walls,
    "raises": mine,
    "huge": lambda x: 1e300 * float(x @ x),
    "extreme": lambda x: 1.7e308 * float(np.sin(3 * x.sum())),
    "tiny": lambda x: 1e-300 * float(x @ x),
}


class Witness:
    """Calls f, and keeps what it was asked and what it said."""

    def __init__(self, f):
        self.f, self.points, self.values = f, [], []

    def __call__(self, x):
        self.points.append(np.array(x))
        self.values.append(np.nan)
        self.values[-1] = self.f(x)
        return self.values[-1]

    @property
    def finite(self):
        return np.isfinite(self.values)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("method", METHODS)
def test_the_result_is_the_best_of_all_calls_and_all_calls_are_counted(method, name):
    f = Witness(FUNCTIONS[name])
    result = minimize(f, START, method, budget=BUDGET, seed=3)
    values, points = np.array(f.values), np.array(f.points)
    assert np.isfinite(points).all()
    assert result.nfev == len(values) <= BUDGET
    if name not in ("extreme", "huge"):  # where differences of values overflow, derivatives count too
        assert result.nbad == (~f.finite).sum()
    assert result.fun == values[f.finite].min()
    assert any(np.array_equal(result.x, p) and result.fun == v for p, v in zip(points, values, strict=True))
    assert result.message
    assert isinstance(result.success, bool)
    assert result.status == 0 or not result.success


@pytest.mark.parametrize("method", METHODS)
def test_noise_does_not_bring_another_point_than_its_value(method):
    noise = np.random.default_rng(0)
    f = Witness(lambda x: float(x @ x + 0.1 * noise.standard_normal()))
    result = minimize(f, START, method, budget=BUDGET, seed=3)
    best = int(np.argmin(f.values))
    assert result.nfev == len(f.values) <= BUDGET
    assert result.fun == f.values[best]
    assert np.array_equal(result.x, f.points[best])


@pytest.mark.parametrize("budget", [1, 2, 5, 17])
@pytest.mark.parametrize("method", METHODS)
def test_a_small_budget_is_kept(method, budget):
    f = Witness(FUNCTIONS["rosenbrock"])
    result = minimize(f, START, method, budget=budget, seed=3)
    assert result.nfev == len(f.values) <= budget
    assert result.fun == min(f.values)


@pytest.mark.parametrize("method", METHODS)
def test_every_point_asked_lies_within_the_bounds(method):
    f = Witness(FUNCTIONS["linear"])
    bounds = [(-1.0, 1.0), (-2.0, -1.4), (None, 0.6)]
    if not names.find(method).bounded:
        with pytest.raises(ValueError, match="keeps no bounds"):
            minimize(f, START, method, bounds)
        assert f.points == []
        return
    result = minimize(f, START, method, bounds, budget=BUDGET, seed=3)
    points = np.array(f.points)
    assert (points >= [-1.0, -2.0, -np.inf]).all()
    assert (points <= [1.0, -1.4, 0.6]).all()
    assert result.fun == min(f.values)


@pytest.mark.parametrize("method", METHODS)
def test_a_function_that_writes_into_x_changes_nothing(method):
    def vandal(x):
        value = FUNCTIONS["rosenbrock"](x)
        x[:] = np.nan
        return value

    start = START.copy()
    clean = minimize(FUNCTIONS["rosenbrock"], START, method, budget=BUDGET, seed=3)
    result = minimize(vandal, start, method, budget=BUDGET, seed=3)
    assert np.array_equal(start, START)
    assert np.array_equal(result.x, clean.x)
    assert (result.fun, result.nfev) == (clean.fun, clean.nfev)


@pytest.mark.parametrize("method", METHODS)
def test_a_callback_that_writes_into_its_result_changes_nothing(method):
    def vandal(result):
        result.x[:] = 77.0
        result.fun = -1e9

    clean = minimize(FUNCTIONS["sphere"], START, method, budget=BUDGET, seed=3)
    result = minimize(FUNCTIONS["sphere"], START, method, budget=BUDGET, seed=3, callback=vandal)
    assert np.array_equal(result.x, clean.x)
    assert result.fun == clean.fun


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_calls_and_nothing_else_is_touched(method):
    torch = pytest.importorskip("torch")

    def surroundings():
        legacy = np.random.get_state()
        return (legacy[1].tobytes(), legacy[2:], torch.get_rng_state().numpy().tobytes(), torch.get_num_threads(),
                torch.get_default_dtype(), torch.is_grad_enabled(), list(warnings.filters), np.geterr())  # fmt: skip

    before = surroundings()
    first, second = Witness(FUNCTIONS["rosenbrock"]), Witness(FUNCTIONS["rosenbrock"])
    minimize(first, START, method, budget=BUDGET, seed=3)
    np.random.seed(5)  # other chance elsewhere is not ours
    rng = np.random.get_state()
    minimize(second, START, method, budget=BUDGET, seed=3)
    assert np.array_equal(first.points, second.points)
    assert np.random.get_state()[1].tobytes() == rng[1].tobytes()
    assert surroundings()[2:] == before[2:]


@pytest.mark.parametrize("method", METHODS)
def test_a_target_met_at_once_ends_it_at_once(method):
    f = Witness(FUNCTIONS["sphere"])
    result = minimize(f, START, method, budget=BUDGET, seed=3, target=1e3)
    assert result.success
    assert result.status == 0
    assert result.fun <= 1e3
    assert "target" in result.message
    assert result.nfev == len(f.values) < 0.5 * BUDGET


def answered(method, f):
    """Answer what a method wants next, from f and central differences."""
    wanted = method.wanted
    x = np.array(wanted.points)
    h = 1e-4 * np.eye(x.shape[1])

    def slope(x):
        return np.array([(f(x + d) - f(x - d)) / 2e-4 for d in h])

    if wanted.what == "values":
        return np.array([f(p) for p in x])
    if wanted.what == "gradient":
        return f(x[0]), slope(x[0])
    hessian = np.array([(slope(x[0] + d) - slope(x[0] - d)) / 2e-4 for d in h])
    hessian = (hessian + hessian.T) / 2
    return hessian @ wanted.along if wanted.what == "product" else hessian


def plain(state):
    """A state in words that JSON has: arrays with their dtype as hexadecimal bytes."""
    if isinstance(state, dict):
        return {k: plain(v) for k, v in state.items()}
    if isinstance(state, list | tuple):
        return {"list": [plain(v) for v in state], "tuple": isinstance(state, tuple)}
    if isinstance(state, np.ndarray):
        return {"array": state.tobytes().hex(), "dtype": state.dtype.str, "shape": list(state.shape)}
    if isinstance(state, np.generic):
        return plain(np.asarray(state))
    return {"bytes": state.hex()} if isinstance(state, bytes) else state


def back(state):
    if not isinstance(state, dict):
        return state
    if "array" in state:
        shape = state["shape"]
        return np.frombuffer(bytes.fromhex(state["array"]), state["dtype"]).reshape(shape).copy()
    if set(state) == {"list", "tuple"}:
        inner = [back(v) for v in state["list"]]
        return tuple(inner) if state["tuple"] else inner
    return bytes.fromhex(state["bytes"]) if set(state) == {"bytes"} else {k: back(v) for k, v in state.items()}


@pytest.mark.parametrize("through", ["pickle", "json"])
@pytest.mark.parametrize("method", METHODS)
def test_a_state_kept_after_any_answer_goes_on_to_the_bit(method, through):
    f = FUNCTIONS["rosenbrock"]
    one = names.build(method, START, seed=3)
    trail, states = [], []
    for _ in range(24):
        if one.wanted is None:
            break
        state = one.state_dict()
        states.append(pickle.dumps(state) if through == "pickle" else json.dumps(plain(state)))
        trail.append((one.wanted.what, np.array(one.wanted.points)))
        one.answer(answered(one, f))
    for k in range(0, len(states), 5):
        other = names.build(method, START + 1, seed=9)  # all of it has to come from the state
        other.load_state_dict(pickle.loads(states[k]) if through == "pickle" else back(json.loads(states[k])))
        for what, points in trail[k:]:
            assert other.wanted.what == what
            assert np.array_equal(other.wanted.points, points)
            other.answer(answered(other, f))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda method: pickle.loads(pickle.dumps(method))])
@pytest.mark.parametrize("method", METHODS)
def test_a_copy_goes_on_as_its_original(method, copied):
    f = FUNCTIONS["rosenbrock"]
    one = names.build(method, START, seed=3)
    for _ in range(7):
        one.answer(answered(one, f))
    other = copied(one)
    for _ in range(7):
        assert one.wanted.what == other.wanted.what
        assert np.array_equal(one.wanted.points, other.wanted.points)
        one.answer(answered(one, f))
        other.answer(answered(other, f))


@pytest.mark.parametrize("method", METHODS)
def test_points_told_one_by_one_backwards_and_twice_lead_on_as_at_once(method):
    f = FUNCTIONS["rosenbrock"]
    one, other = names.build(method, START, seed=3), names.build(method, START, seed=3)
    rounds = 0
    while rounds < 6 and one.wanted is not None and one.wanted.what == "values":
        points = one.ask()
        one.tell(points, [f(p) for p in points])
        for p in points[::-1]:
            other.tell(p, f(p))
            other.tell(p, f(p) + 5)  # told again: what came first stays
        rounds += 1
        assert np.array_equal(one.ask(), other.ask())
    if rounds:
        with pytest.raises(ValueError, match="ask"):
            other.tell(np.full(3, 123.0), 1.0)


def test_a_state_brings_its_options_and_its_start():
    one = names.build("de", START, seed=3, F=0.7, population=9)
    answers = [one.answer(answered(one, FUNCTIONS["rosenbrock"])) for _ in range(3)]
    other = names.build("de", np.zeros(3), seed=1)
    other.load_state_dict(one.state_dict())
    for _ in answers:
        assert np.array_equal(one.ask(), other.ask())
        one.answer(answered(one, FUNCTIONS["rosenbrock"]))
        other.answer(answered(other, FUNCTIONS["rosenbrock"]))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"seed": -1}, "seed must be a whole number.*got -1"),
        ({"seed": "a"}, "seed must be"),
        ({"seed": 1.5}, "seed must be"),
        ({"tol": "a"}, "tol must be a number.*'a'"),
        ({"target": "a"}, "target must be a number.*'a'"),
        ({"jac": True}, "jac=True: f must return"),
        ({"x0": [[1.0], [1.0, 2.0]]}, "x0 must be"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(arguments, says):
    start = arguments.pop("x0", START)
    with pytest.raises((ValueError, TypeError), match=says):
        minimize(FUNCTIONS["sphere"], start, "cma_es", budget=30, **arguments)


@pytest.mark.parametrize("kind", [np.float32, np.array, lambda v: np.array([v]), lambda v: [v], int, bool])
def test_what_is_one_number_is_taken_for_it(kind):
    f = Witness(lambda x: kind(10 * (x @ x)))
    result = minimize(f, START, "cma_es", budget=60, seed=3)
    assert type(result.fun) is float
    assert result.fun == min(float(np.squeeze(v)) for v in f.values)


@pytest.mark.parametrize("value", [np.ma.masked, 10**400, -np.inf, -(10**400)])
def test_a_value_that_is_no_finite_number_is_never_the_best(value):
    result = minimize(lambda x: value if x[0] < 0.5 else float(x @ x), START, "cma_es", budget=60, seed=3)
    assert np.isfinite(result.fun)
    assert result.x[0] >= 0.5
    assert result.nbad > 0


@pytest.mark.parametrize("value", ["1", b"1", None, 1 + 0j, "abc", np.zeros(2), np.zeros(0)])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match="f must return"):
        minimize(lambda x: value, START, "cma_es", budget=60, seed=3)


class Follower(Method):
    """A method that wants gradients, for the face is not to lose what comes beside them."""

    def iterate(self):
        _, gradient = yield Wanted("gradient", self.x0[None])
        self.x0 = self.x0 - 0.1 * gradient - 1e-3
        return None if self.nit < 20 else Stop("done")


def test_values_of_finite_differences_are_seen_too():
    f = Witness(FUNCTIONS["sphere"])
    result = minimize(f, START, Follower, budget=40)
    assert result.nfev == len(f.values) <= 40
    assert result.fun == min(f.values)


def test_a_value_counts_where_its_gradient_is_not_finite():
    f = Witness(FUNCTIONS["sphere"])
    result = minimize(f, START, Follower, jac=lambda x: np.full(3, np.nan), budget=40)
    assert result.fun == min(f.values)
    one = Follower(START)
    one.tell(START, 2.0, np.full(3, np.nan))
    assert one.best.f == 2.0


@pytest.mark.parametrize("method", WITH_GRADIENTS)
def test_what_has_no_least_value_ends_at_the_budget(method):
    result = minimize(lambda x: float(x.sum()), START, method, jac=np.ones_like, budget=1500)
    assert not result.success
    assert -np.inf < result.fun < -100


@pytest.mark.parametrize("method", WITH_GRADIENTS)
def test_a_gradient_of_the_wrong_sign_is_no_success(method):
    f = Witness(FUNCTIONS["sphere"])
    result = minimize(f, START, method, jac=lambda x: -2 * x, budget=300)
    assert not result.success
    assert result.fun == min(f.values)


def test_a_hessian_that_raises_is_counted_and_said():
    def hess(x):
        raise RuntimeError("no curvature today")

    result = minimize(FUNCTIONS["sphere"], START, "newton", jac=lambda x: 2 * x, hess=hess, budget=100)
    assert result.success
    assert result.nbad == result.nhev > 0
    assert "the Hessian raised RuntimeError: no curvature today" in result.message


@pytest.mark.parametrize("curvature", [{}, {"jac": True}, {"jac": "2-point"}, {"jac": "3-point"}])
@pytest.mark.parametrize("method", WITH_GRADIENTS)
def test_differences_of_gradients_keep_the_budget(method, curvature):
    f = Witness(lambda x: float(x @ x + 0.1 * (x**4).sum()))
    slope = Witness(lambda x: 2 * x + 0.4 * x**3) if curvature.get("jac") is True else None
    given = {"jac": slope} if slope else curvature
    for budget in (20, 41):
        f.values.clear()
        result = minimize(f, np.arange(1.0, 9.0), method, budget=budget, **given)
        assert result.nfev == len(f.values) <= budget


@pytest.mark.parametrize("method", [method for method in METHODS if names.find(method).bounded])
@pytest.mark.parametrize("bounds", [(-1.7e308, 1.7e308), (0.0, 1.7e308), (0.0, 5e-324), (1.0, 1 + 3e-16), (1e15, None)])
def test_odd_bounds_are_kept(method, bounds):
    low, high = bounds[0], np.inf if bounds[1] is None else bounds[1]
    f = Witness(lambda x: float(np.abs(x).sum()))
    start = np.full(3, max(low, 0.0))
    result = minimize(f, start, method, [bounds] * 3, budget=60, seed=3)
    points = np.array(f.points)
    assert ((low <= points) & (points <= high)).all()
    assert np.isfinite(points).all()
    assert result.fun == min(f.values)


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_torch_functions_are_differentiated_whatever_mode_the_caller_is_in(mode):
    torch = pytest.importorskip("torch")
    with getattr(torch, mode)():
        result = minimize(lambda x: ((x - 2) ** 2).sum(), torch.zeros(3, dtype=torch.float64), "l_bfgs", budget=50)
    assert result.success
    assert result.njev == result.nfev < 10
    assert not result.x.requires_grad


@pytest.mark.parametrize("method", ["l_bfgs", "newton", "cma_es"])
def test_a_torch_function_that_writes_into_x_changes_nothing(method):
    torch = pytest.importorskip("torch")
    start = torch.tensor([0.9, -1.4], dtype=torch.float64)
    clean = minimize(lambda x: (2 * x - 1).pow(2).sum(), start, method, budget=60, seed=3)
    result = minimize(lambda x: x.mul_(2).sub_(1).pow(2).sum(), start, method, budget=60, seed=3)
    assert torch.equal(result.x, clean.x)
    assert result.nfev == clean.nfev
    assert start.tolist() == [0.9, -1.4]


def test_bounds_may_be_a_tensor():
    torch = pytest.importorskip("torch")
    result = minimize(FUNCTIONS["linear"], START, "l_bfgs", torch.tensor([[-2.0, 2.0]] * 3, dtype=torch.float64))
    assert result.x.tolist() == [-2.0] * 3


RESIDUALS = {
    "rosenbrock": lambda x: np.concatenate((10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1])),
    "singular": lambda x: np.array([x.sum() ** 2, x.sum() - 1.0]),
    "flat": lambda x: np.ones(2),
    "nan": lambda x: x * (np.nan if x[0] < 0.2 else 1.0),
    "huge": lambda x: 1e160 * x,
}


@pytest.mark.parametrize("budget", [1, 3, 30, 200])
@pytest.mark.parametrize("given", ["nothing", "bad jacobian", "3-point"])
@pytest.mark.parametrize("name", RESIDUALS)
def test_least_squares_keep_the_promises_too(name, given, budget):
    f = Witness(RESIDUALS[name])
    jac = {"nothing": None, "3-point": "3-point", "bad jacobian": lambda x: np.full((len(f.values[0]), 3), np.nan)}[
        given
    ]
    result = minimize(f, START, "gauss_newton", jac=jac, budget=budget)
    with np.errstate(over="ignore"):
        halves = np.array([v @ v / 2 for v in f.values])
    finite = halves[np.isfinite(halves)]
    assert result.nfev == len(halves) <= budget
    assert result.fun == (finite.min() if len(finite) else np.inf)
    assert np.isfinite(result.x).all()
    assert result.message


@pytest.mark.parametrize("budget", [1, 2, 4, 5, 30])
@pytest.mark.parametrize("method", [Follower, "l_bfgs", "newton", "trust_ncg"])
def test_calls_that_torch_could_not_differentiate_are_counted(method, budget):
    torch = pytest.importorskip("torch")
    calls = []

    def f(x):
        calls.append(1)
        x = x.detach()  # torch warns, once per process, of a float made of a tensor with a graph
        return float((x**2).sum() + (x**4).sum())  # a float has none

    result = minimize(f, torch.ones(3), method, budget=budget)
    assert result.nfev == len(calls) <= budget
    assert np.isfinite(result.fun) or budget == 1


def test_a_gradient_told_again_is_left_at_what_was_told_first():
    one = Follower(START)
    asked = one.ask()
    one.tell(asked, 1.0, START)
    then = one.ask()
    one.tell(asked, 5.0, 2 * START)
    assert np.array_equal(one.ask(), then)
    with pytest.raises(ValueError, match="not asked for"):
        one.tell(asked + 1, 5.0, START)


@pytest.mark.parametrize(
    ("start", "bounds", "says"),
    [
        (3.0, None, "x0 must be one vector"),
        (np.ones((2, 2)), None, "x0 must be one vector"),
        ([], None, "x0 must be one vector"),
        (["a"], None, "x0 must be of real numbers"),
        ([np.nan, 1.0], None, r"x0\[0\] is nan"),
        ([0.5, 5.0], ([0, 0], [1, 1]), r"x0\[1\] = 5 is outside"),
        ([0.5, 0.5], ([1, 1], [0, 0]), r"bounds\[0\] is reversed"),
        ([0.5, 0.5, 0.5], [(-1, 1)] * 3, "bounds of a method must be"),
        ([0.5, 0.5], 3, "bounds of a method must be"),
    ],
)
@pytest.mark.parametrize("method", ["cma_es", "l_bfgs", "nelder_mead", "random_search", "de"])
def test_a_start_that_cannot_be_meant_is_refused_when_a_method_is_built(method, start, bounds, says):
    with pytest.raises(ValueError, match=says):
        names.build(method, start, bounds, seed=3)


@pytest.mark.parametrize("method", METHODS)
def test_a_start_is_taken_in_every_form(method):
    points = names.build(method, [1.0, 2.0], seed=3).wanted.points
    for start in ((1, 2), np.array([1, 2]), np.array([1, 2], np.float32)):
        again = names.build(method, start, seed=3).wanted.points
        assert again.dtype == np.float64
        assert np.array_equal(points, again)


def odd_values(option):
    """What no option takes, whatever it is called."""
    given = [np.nan, [1, 2], -np.inf, object()]
    return given if option in ("strategy", "form", "topology", "restarts") else [*given, "none such", -3]


OPTIONS = [(method, option) for method in METHODS for option in names.options(names.find(method))]
OPTIONS = [pair for pair in OPTIONS if pair[1] not in ("seed", "eps", "budget", "tol")]


@pytest.mark.parametrize(("method", "option"), OPTIONS)
def test_an_option_that_cannot_be_meant_is_refused_by_its_name(method, option):
    for value in odd_values(option):
        with pytest.raises((ValueError, TypeError), match=option):
            names.build(method, START, seed=3, **{option: value})


def test_without_budget_or_target_restarts_end_when_they_find_nothing_better():
    calls = []

    def sphere(x):
        calls.append(1)
        return float((x * x).sum())

    found = minimize(sphere, np.array([1.0, 2.0]), seed=0)
    assert found.success
    assert "5 runs in a row found nothing better" in found.message
    assert found.nfev == len(calls) < 600
    assert minimize(sphere, np.array([1.0, 2.0]), seed=0, patience=1).nfev < found.nfev
    assert minimize(sphere, np.array([1.0, 2.0]), seed=0, budget=1_000).nfev == 1_000  # what is given is used
