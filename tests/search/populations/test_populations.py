"""What holds for every population method: it minimises, keeps bounds, resumes to the bit, survives bad values."""

import numpy as np
import pytest

from descend import minimize
from descend.search.names import METHODS, build

NAMES = [
    "ga", "pso", "de", "l_shade", "cma_es", "sep_cma_es", "lq_cma_es", "xnes", "snes", "pgpe", "es",
    "simulated_annealing", "auto",
]  # fmt: skip
REACHED = {"ga": 1e-3, "es": 1e-1, "simulated_annealing": 1e-3}  # after 6,000 evaluations; the others 1e-8
MORE = {"es": {"decay": 0.98}, "simulated_annealing": {"cooling": 0.98}}


def bowl(x):
    return float(((x - 0.7) ** 2 * np.arange(1, len(x) + 1)).sum())


def played(method, f, evaluations):
    """Points asked for until so many were told."""
    asked = []
    while sum(map(len, asked)) < evaluations and len(points := method.ask()):
        method.tell(points, [f(x) for x in points])
        asked.append(points)
    return asked


def test_every_name_is_in_the_list():
    assert set(NAMES) < set(METHODS)


@pytest.mark.parametrize("bounds", [None, [(-2, 2)] * 4, [(-2, None), (None, 2), (-2, 2), (0.7, 3)]])
@pytest.mark.parametrize("name", NAMES)
def test_it_finds_the_least_value_inside_its_bounds(name, bounds):
    low, high = (-np.inf, np.inf) if bounds is None else np.array(bounds, float).T
    low, high = np.nan_to_num(low, nan=-np.inf), np.nan_to_num(high, nan=np.inf)
    x0 = np.array([0.0, 0.0, 1.5, 1.0])

    def f(points):
        assert (points >= low).all()
        assert (points <= high).all()
        return [bowl(x) for x in points]

    found = minimize(f, x0, name, bounds, budget=6_000, target=1e-9, vectorized=True, seed=3, **MORE.get(name, {}))
    assert found.fun <= REACHED.get(name, 1e-8)
    assert found.fun == bowl(found.x)


@pytest.mark.parametrize("name", NAMES)
def test_it_resumes_to_the_bit(name):
    one = build(name, np.ones(3), (np.full(3, -1.5), np.full(3, 4.0)), seed=1)
    played(one, bowl, 150)
    points = one.ask()
    one.tell(points[::-2], [bowl(x) for x in points[::-2]])  # some of a generation, from its end
    other = build(name, np.ones(3), (np.full(3, -1.5), np.full(3, 4.0)), seed=2)
    other.load_state_dict(one.state_dict())
    for a, b in zip(played(one, bowl, 400), played(other, bowl, 400), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.best.f == other.best.f


@pytest.mark.parametrize("name", ["cma_es", "lq_cma_es", "auto"])
def test_it_resumes_to_the_bit_after_a_restart(name):
    def flat(x):
        return float(np.floor(bowl(x)))

    one = build(name, np.ones(3), seed=1)
    played(one, flat, 900)
    assert one.large > 0, "no run has ended yet"
    other = build(name, np.ones(3), seed=2)
    other.load_state_dict(one.state_dict())
    for a, b in zip(played(one, flat, 900), played(other, flat, 900), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_what_is_told_does_not_matter(name):
    one, other = (build(name, np.ones(3), seed=1) for _ in range(2))
    chance = np.random.default_rng(0)
    for _ in range(8):
        points = one.ask()
        np.testing.assert_array_equal(points, other.ask())
        one.tell(points, [bowl(x) for x in points])
        for row in chance.permutation(points):
            other.tell(row, bowl(row))


@pytest.mark.parametrize("mishap", ["nan", "inf", "-inf", "raise"])
@pytest.mark.parametrize("name", NAMES)
def test_bad_values_are_counted_and_never_chosen(name, mishap):
    chance = np.random.default_rng(0)
    good = []

    def f(x):
        if chance.random() < 0.3:
            if mishap == "raise":
                raise ArithmeticError("no")
            return float(mishap)
        good.append(bowl(x))
        return good[-1]

    found = minimize(f, np.ones(3), name, budget=1_000, seed=1)
    assert found.nbad > 200 or found.nfev < 1_000
    assert found.nbad + len(good) == found.nfev
    assert found.fun == min(good)
    assert found.fun < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_no_value_at_all_is_survived(name):
    found = minimize(lambda x: np.nan, np.ones(3), name, budget=400, seed=1)
    assert not found.success
    assert np.isfinite(found.x).all()


@pytest.mark.parametrize(("n", "share"), [(1, 0.1), (2, 0.1), (22, 0.9)])
@pytest.mark.parametrize("name", NAMES)
def test_one_coordinate_and_many(name, n, share):
    start = bowl(np.ones(n))
    assert (
        minimize(bowl, np.ones(n), name, budget=70 * n + 400 if name != "lq_cma_es" else 200, seed=1).fun
        < share * start
    )


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("cma_es", {"population": 3}, "population must be a whole number of at least 4"),
        ("de", {"population": 3}, "population must be a whole number of at least 4"),
        ("l_shade", {"population": 2.5}, "population must be a whole number"),
        ("pso", {"population": 2}, "population must be a whole number of at least 3"),
        ("ga", {"population": 8, "elite": 8}, "elite must be below the population of 8"),
        ("de", {"strategy": "rand2"}, "strategy must be one of rand1"),
        ("de", {"F": 0.0}, "expected 0 < F"),
        ("pso", {"topology": "star"}, "topology must be one of ring"),
        ("pso", {"form": "fast"}, "form must be"),
        ("pso", {"c1": 1.0}, r"c1 \+ c2 must be above 4"),
        ("cma_es", {"restarts": "never"}, "restarts must be one of"),
        ("cma_es", {"sigma0": 0.0}, "sigma0 must be a finite number above 0"),
        ("snes", {"sigma0": np.nan}, "sigma0 must be a number"),
        ("simulated_annealing", {"cooling": 1.0}, "cooling must be between 0 and 1"),
        ("simulated_annealing", {"temperature": -1.0}, "temperature must be a finite number above 0"),
        ("simulated_annealing", {"chains": 0}, "chains must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(name, options, says):
    def f(x):
        raise AssertionError("the function was called")

    with pytest.raises(ValueError, match=says):
        minimize(f, np.ones(3), name, **options)


@pytest.mark.parametrize("name", ["cma_es", "xnes", "lq_cma_es"])
def test_a_covariance_that_fits_nowhere_is_refused_before_it_is_made(name):
    with pytest.raises(ValueError, match=r"20000 coordinates: a covariance of them takes 3 GiB"):
        minimize(bowl, np.ones(20_000), name)


def test_auto_says_what_it_did_with_the_model():
    def flat(x):  # nothing for a model to learn
        return float(np.floor(0.01 * bowl(x)))

    assert "a quadratic model throughout" in minimize(bowl, np.ones(3), budget=200, seed=1).message
    assert "more than 20 coordinates" in minimize(bowl, np.ones(21), budget=200, seed=1).message
    message = minimize(flat, np.ones(3), "auto", budget=200, seed=1).message
    assert "on CMA-ES without a model" in message


def test_the_quadratic_model_needs_few_values():
    """A quadratic of five coordinates has 21 coefficients."""
    scale = np.array([1.0, 10.0, 100.0, 1e3, 1e4])
    found = minimize(lambda x: float((scale * (x - 1) ** 2).sum()), np.zeros(5), "lq_cma_es", target=1e-9, seed=1)
    assert found.success
    assert found.nfev < 80


def test_l_shade_shrinks_to_the_end_of_its_budget():
    method = build("l_shade", np.ones(3), seed=1, budget=1_000, population=40, tol=0)
    sizes = [len(points) for points in played(method, bowl, 1_100)]
    assert sizes[0] == 40
    assert sizes[-1] == 4
    assert sizes == sorted(sizes, reverse=True)


def test_a_box_folds_the_space_into_itself():
    from descend.search.populations.bounds import Box

    chance = np.random.default_rng(0)
    low, high = np.array([-1.0, 0.0, -np.inf, 1e6]), np.array([2.0, np.inf, 5.0, 1e6 + 1])
    box = Box(low, high)
    y = np.where(np.isfinite(low), low, 0) + chance.standard_normal((500, 4)) * [3, 3, 3, 3]
    x = box.fold(y)
    assert (x >= low).all()
    assert (x <= high).all()
    np.testing.assert_allclose(box.fold(box.unfold(x)), x, rtol=1e-9)
    inner = np.array([0.5, 3.0, 1.0, 1e6 + 0.5])
    np.testing.assert_allclose(box.fold(inner), inner)
    steps = np.linspace(-30, 30, 20_001)
    folded = Box(np.array([-1.0]), np.array([2.0])).fold(steps[:, None])[:, 0]
    assert np.abs(np.diff(folded)).max() < 1.01 * (steps[1] - steps[0])  # continuous, never steeper than 1
