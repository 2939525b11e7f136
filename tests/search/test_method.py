"""A method as such: asked, told in any order, saved and gone on with to the bit."""

import numpy as np
import pytest

from descend.search.method import Method, Stop, Wanted
from descend.search.names import build


def sphere(points):
    return (np.asarray(points) ** 2).sum(axis=-1)


class Climb(Method):
    """Chance within an iteration, several questions in it, and a list in the state."""

    def __init__(self, x0, bounds=None, **base):
        super().__init__(x0, bounds, **base)
        self.at, self.path = x0, []

    def iterate(self):
        values = yield Wanted("values", self.at + self.rng.standard_normal((4, self.n)))
        step = self.rng.standard_normal(self.n) * values.mean()
        more = yield Wanted("values", (self.at + step)[None])
        if more[0] < values.min():
            self.at = self.at + step
        self.path = [*self.path, float(more[0])]
        if self.nit == 19:
            return Stop("twenty iterations")


class Twice(Method):
    """A method within a method."""

    parts = (Climb,)

    def __init__(self, x0, bounds=None, **base):
        super().__init__(x0, bounds, **base)
        self.inner = Climb(x0, seed=self.rng)

    def iterate(self):
        for _ in range(3):
            wanted = self.inner.wanted
            if wanted is None:
                return self.inner.stop
            self.inner.answer((yield wanted))


def finish(method, f=sphere):
    asked = []
    while len(points := method.ask()):
        asked.append(points)
        method.tell(points, f(points))
    return asked


@pytest.mark.parametrize("kind", [Climb, Twice])
@pytest.mark.parametrize("after", range(12))
def test_a_saved_method_goes_on_to_the_bit(kind, after):
    one = kind(np.ones(3), seed=1)
    for _ in range(after):
        points = one.ask()
        one.tell(points, sphere(points))
    points = one.ask()
    if len(points) > 1:
        one.tell(points[2:], sphere(points[2:]))  # in the middle of a population
    other = kind(np.ones(3), seed=2)
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(one.ask(), other.ask())
    assert other.best.f == one.best.f
    for a, b in zip(finish(one), finish(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.nit == other.nit
    assert one.best.f == other.best.f
    np.testing.assert_array_equal(one.best.x, other.best.x)


def test_a_checkpoint_is_no_view_of_the_method():
    one = Climb(np.ones(2), seed=0)
    one.tell(one.ask(), [1.0, 2.0, 3.0, 4.0])
    saved = one.state_dict()
    asked = one.ask()
    for array in (saved["began"]["at"], saved["answers"][0]):
        array[:] = 77.0
    np.testing.assert_array_equal(one.ask(), asked)
    finish(one)
    assert saved["began"]["nit"] == 0


def test_the_order_and_the_pieces_of_what_is_told_do_not_matter():
    one, other = (build("random_search", np.ones(3), seed=5, iterations=4) for _ in range(2))
    first = finish(one)
    chance = np.random.default_rng(0)
    second = []
    while len(points := other.ask()):
        second.append(points)
        for row in chance.permutation(points):
            other.tell(row, sphere(row))
            other.tell(row, 0.0)  # told again: the first stands
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.best.f == other.best.f > 0


def test_a_part_that_is_told_counts_at_once():
    one = build("random_search", np.zeros(2), seed=5)
    one.tell(one.ask(), [9.0])
    points = one.ask()
    one.tell(points[3], -1.0)
    assert one.best.f == -1.0
    np.testing.assert_array_equal(one.best.x, points[3])
    assert len(one.ask()) == len(points) - 1
    np.testing.assert_array_equal(one.ask(), np.delete(points, 3, axis=0))


def test_equal_points_of_a_population_are_told_one_by_one():
    class Same(Method):
        def iterate(self):
            values = yield Wanted("values", np.zeros((3, 1)))
            return Stop(str(values.tolist()))

    one = Same(np.zeros(1))
    one.tell([[-0.0]], [1.0])
    one.tell([[0.0], [0.0]], [2.0, 3.0])
    assert one.stop is not None
    assert one.stop.message == "[1.0, 2.0, 3.0]"


@pytest.mark.parametrize(
    ("points", "values", "says"),
    [
        ([[7.0, 7.0]], [1.0], r"points\[0\] was not asked for"),
        ([[7.0, 7.0, 7.0]], [1.0], r"shape \(n, 2\)"),
        ([[7.0, 7.0]], [1.0, 2.0], r"shape \(1,\)"),
    ],
)
def test_what_cannot_be_told_is_refused(points, values, says):
    one = build("random_search", np.zeros(2), seed=0)
    asked = one.ask()
    with pytest.raises(ValueError, match=says):
        one.tell(points, values)
    np.testing.assert_array_equal(one.ask(), asked)
    assert one.best.f == np.inf


def test_an_unknown_point_among_known_ones_takes_nothing():
    one = build("random_search", np.zeros(2), seed=0)
    one.tell(one.ask(), [5.0])
    asked = one.ask()
    with pytest.raises(ValueError, match=r"points\[1\]"):
        one.tell(np.vstack([asked[0], [9.0, 9.0]]), [1.0, 1.0])
    assert len(one.ask()) == len(asked)
    assert one.best.f == 5.0


def test_a_value_that_is_not_finite_is_never_the_best():
    one = build("random_search", np.zeros(1), seed=0, size=4, iterations=1)
    one.tell(one.ask(), [np.nan])
    one.tell(one.ask(), [np.nan, -np.inf, 3.0, np.inf])
    assert one.best.f == 3.0


@pytest.mark.parametrize(
    "state",
    [{}, None, {"method": "NelderMead", "given": [], "options": {}, "began": {"n": 2}, "answers": []}],
)
def test_a_state_of_something_else_is_refused(state):
    one = build("random_search", np.zeros(2), seed=0)
    with pytest.raises(ValueError, match="load_state_dict"):
        one.load_state_dict(state)


def test_a_state_of_other_coordinates_is_refused():
    with pytest.raises(ValueError, match="3 coordinates, this method 2"):
        build("random_search", np.zeros(2)).load_state_dict(build("random_search", np.zeros(3)).state_dict())


def test_names_are_found_in_every_spelling():
    for name in ("Nelder-Mead", "nelder mead", "NELDER_MEAD", "neldermead"):
        assert type(build(name, np.zeros(2))).__name__ == "NelderMead"
    with pytest.raises(ValueError, match="Did you mean 'nelder_mead'"):
        build("nelder_meat", np.zeros(2))
    with pytest.raises(TypeError, match=r"no option 'adaptiv'\. Did you mean 'adaptive'"):
        build("nelder_mead", np.zeros(2), adaptiv=True)
