"""Paths on surfaces: the surfaces are what they say, the paths are the rules', and every story is seen in its paths."""

import json
import math
import re

import numpy as np
import pytest

from descend import chain, rules
from descend.lab.surface import SURFACES, Surface, own, roll, run
from descend.lab.surface.paths import GRID, since

ALL = pytest.mark.parametrize("name", SURFACES)


def heights_at(surface: Surface, points: np.ndarray) -> np.ndarray:
    return np.asarray(surface.value(*points.T), float)


@ALL
def test_gradients_are_the_slopes_of_the_values(name: str):
    surface, rng = SURFACES[name], np.random.default_rng(0)
    for point in rng.uniform(*np.array(surface.frame).T, (20, 2)):
        h = 1e-6
        moved = point + h * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
        a, b, c, d = heights_at(surface, moved)
        expected = np.array([a - b, c - d]) / (2 * h)
        assert np.allclose(surface.gradient(*point.tolist()), expected, rtol=1e-6, atol=1e-5)


@ALL
def test_minima_are_flat_in_the_frame_and_nothing_is_lower(name: str):
    surface = SURFACES[name]
    points = np.array(surface.minima)
    assert surface.holds(points).all()
    assert surface.holds(np.array([surface.start])).all()
    for point in surface.minima:
        assert np.allclose(surface.gradient(*point), 0, atol=1e-9)
    low = heights_at(surface, points)
    assert np.allclose(low, surface.lowest, atol=1e-12)
    assert surface.heights(241)[2].min() >= surface.lowest - 1e-12


def test_the_slope_of_samples_is_on_average_that_of_all():
    surface = SURFACES["logistic"]
    slope = surface.slope(0, 4000)
    mean = np.mean([slope(t, 0.3, -0.2) for t in range(4000)], axis=0)
    assert np.allclose(mean, surface.gradient(0.3, -0.2), atol=0.03)


# ------------------------------------------------------------------ the paths


def test_a_path_is_what_a_plain_loop_makes():
    surface = SURFACES["rosenbrock"]
    p, v, expected = np.array(surface.start), np.zeros(2), [surface.start]
    for _ in range(50):
        v = 0.9 * v + np.array(surface.gradient(*p.tolist()))
        p = p - 0.0005 * v
        expected.append(tuple(p))
    path = run("rosenbrock", ["momentum_accumulation"], lr=0.0005, steps=50)[0]
    assert np.allclose(path.points, expected, rtol=1e-12, atol=1e-14)
    assert np.allclose(path.state["v"][-1], v, rtol=1e-10)
    assert np.allclose(path.slopes[3], surface.gradient(*path.points[3].tolist()))
    assert np.allclose(path.heights, heights_at(surface, path.points))


@pytest.mark.parametrize("rule", ["adam", "rprop", "adadelta", "lion", "prodigy", "schedule_free_adamw", "muon"])
def test_the_fast_engine_walks_the_path_of_the_oracle(rule: str):
    fast, oracle = (run("booth", [rule], steps=60, engine=engine)[0] for engine in ("auto", "numpy"))
    assert np.allclose(fast.points, oracle.points, rtol=1e-9, atol=1e-12)


def test_look_ahead_rules_are_given_the_slope_where_they_ask_for_it():
    path = run("valley", ["nesterov_lookahead"], lr=0.3, steps=10)[0]
    velocity = path.velocity
    assert velocity is not None
    assert np.allclose(path.asked, path.trained[:-1] + 0.9 * velocity[:-1])
    assert not np.allclose(path.asked[1:], path.trained[1:-1])
    assert np.allclose(path.slopes[4], SURFACES["valley"].gradient(*path.asked[4].tolist()))


def test_averages_are_walked_where_they_would_be_evaluated():
    path = run("logistic", ["schedule_free_sgd"], lr=0.3, steps=30)[0]
    assert not np.allclose(path.points, path.trained)


def test_a_rule_for_matrices_stands_with_its_rule_for_vectors():
    paths = run("booth", ["muon", "adam"], steps=20)
    vectors = rules.muon.vectors
    assert vectors is not None
    assert (paths["muon"].stepped_as, paths["adam"].stepped_as) == (vectors.name, "")
    assert f"steps as {vectors.name}" in " ".join(paths.draw().split())


def test_chains_and_bound_rules_walk():
    clipped = chain(rules.clip_norm(0.1), rules.gradient_descent)
    path = run("beale", [clipped, rules.adam.bind(beta1=0.5)], lr=0.05, steps=40)[0]
    assert path.diverged is None
    assert path.lengths.max() <= 0.1 * 0.05 * (1 + 1e-12)
    assert np.allclose(path.rates[0], 0.05 * 0.1 / np.hypot(*path.slopes[0]))


def test_what_leaves_all_bounds_has_diverged_and_says_at_which_step():
    paths = run("beale", ["gradient_descent", "adam"], lr=0.05, steps=50)
    gone, stays = paths
    assert (gone.diverged, gone.steps, len(gone.points)) == (2, 2, 3)
    assert stays.diverged is None
    assert stays.left is None
    assert "diverged at step 2" in paths.draw()
    told = json.loads(paths.to_json())
    assert told["paths"][0]["diverged"] == 2


def test_infinite_slopes_and_errors_of_math_end_a_path():
    def wall(x, y):
        return math.log(x) + y * y

    surface = own(wall, frame=((0.1, 3), (-2, 2)), start=(1.0, 1.0))
    paths = run(surface, ["gradient_descent"], lr=0.9, steps=5)
    assert (paths[0].diverged, paths[0].left) == (3, 2)  # x is below 0 after step 2, and has no slope there
    assert np.isnan(paths[0].slopes[2]).all()
    assert not re.search(r"[ML ]nan", paths.to_html())  # what is drawn is finite


@pytest.mark.parametrize(
    ("true", "index"), [([0, 0, 1, 1], 2), ([1, 1], 0), ([1, 0], None), ([0, 1], 1), ([1, 0, 1], 2), ([0, 0], None)]
)
def test_since(true: list[int], index: int | None):
    assert since(np.array(true, bool)) == index


def test_noise_is_the_same_for_all_rules_and_of_its_seed():
    a, b = run("valley", ["gradient_descent", "gradient_descent"], lr=0.1, steps=20, noise=0.5, seed=3)
    again = run("valley", ["gradient_descent"], lr=0.1, steps=20, noise=0.5, seed=3)[0]
    other = run("valley", ["gradient_descent"], lr=0.1, steps=20, noise=0.5, seed=4)[0]
    assert np.array_equal(a.points, b.points)
    assert np.array_equal(a.points, again.points)
    assert not np.allclose(a.points, other.points)


def test_the_tuned_rate_is_the_soonest_of_those_that_stay_in_the_frame():
    surface = SURFACES["valley"]
    paths = run("valley", ["momentum_accumulation"], lr="tuned", steps=100)
    best, reached = paths[0], {}
    for lr in GRID:
        path = run("valley", ["momentum_accumulation"], lr=lr, steps=100)[0]
        if path.reached is not None and surface.holds(path.points).all():
            reached[lr] = path.reached
    assert len(reached) > 1
    assert (best.lr, best.reached) == min(reached.items(), key=lambda item: (item[1], item[0]))
    assert "best rate of 19" in str(paths)


def test_a_rate_that_jumps_out_of_the_frame_and_falls_near_the_minimum_was_lucky():
    surface, start = SURFACES["valley"], (-9.0, 3.0)
    lucky = run("valley", ["adagrad"], start, lr=10.0)[0]
    best = run("valley", ["adagrad"], start, lr="tuned")[0]
    assert not surface.holds(lucky.points).all()
    assert lucky.reached < best.reached
    assert surface.holds(best.points).all()


def test_a_rate_at_the_edge_of_the_grid_is_said():
    flat = run(lambda x, y: 1e-6 * (x * x + y * y), ["gradient_descent"], lr="tuned", steps=3)
    assert flat[0].on_edge
    assert "edge of the grid" in " ".join(flat.draw().split())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"function": "sadle"}, "Did you mean 'saddle'"),
        ({"rules": []}, "rules must name at least one"),
        ({"rules": ["adm"]}, "Did you mean 'adam'"),
        ({"start": (1, 2, 3)}, "start must be two finite numbers"),
        ({"start": (1, math.nan)}, "start must be two finite numbers"),
        ({"steps": 0}, "steps must be a whole number from 1 to"),
        ({"steps": 2.5}, "steps must be a whole number from 1 to"),
        ({"noise": -1}, "noise must be a number from 0 on"),
        ({"lr": "best"}, 'lr must be a number, "tuned"'),
        ({"lr": {"lion": 0.1}}, "lr names lion, which does not run"),
        ({"lr": -0.1}, "lr"),
    ],
)
def test_what_is_not_admitted_is_refused_by_name(given: dict, says: str):
    with pytest.raises((ValueError, TypeError), match=re.escape(says)):
        run(**{"function": "saddle", "rules": ["adam"], **given})


def test_rates_by_rule():
    paths = run("booth", ["adam", "lion"], lr={"lion": 0.5}, steps=3)
    assert (paths["lion"].lr, paths["adam"].lr) == (0.5, rules.adam.settings["lr"])
    with pytest.raises(KeyError, match="no path of 'sgd'; there are adam, lion"):
        paths["sgd"]


# ------------------------------------------------------------------ the ball


def test_the_gap_between_ball_and_momentum_shrinks_with_the_step():
    """The discretisation is of first order: half the step, half the gap."""
    gaps = []
    for k in (1, 2, 4):
        found = roll("valley", (-3.0, 1.0), mass=1.0, friction=0.5, dt=0.1 / k, steps=60 * k)
        assert found.ball is not None
        gaps.append(found.ball.gap)
    assert 1.8 < gaps[0] / gaps[1] < 2.2
    assert 1.9 < gaps[1] / gaps[2] < 2.1


def test_the_ball_is_momentum_with_the_constants_of_the_course():
    found = roll("booth", mass=2.0, friction=0.5, dt=0.2, steps=30)
    path = found[0]
    assert (path.rule, path.lr, path.momentum) == ("momentum_velocity", 0.2**2 / 2.0, 1 - 0.5 * 0.2 / 2.0)
    assert "momentum 0.95, lr 0.02" in str(found)


def test_without_friction_the_ball_keeps_its_energy():
    found = roll("valley", (-3.0, 1.0), friction=0.0, dt=0.05, steps=400)
    assert found.ball is not None
    curve = found.ball.curve
    highest = heights_at(SURFACES["valley"], curve).max()
    assert highest == pytest.approx(SURFACES["valley"].value(-3.0, 1.0), rel=1e-6)
    assert heights_at(SURFACES["valley"], curve[-2000:]).max() > 0.5 * highest  # it never comes to rest


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mass": 0.0}, "mass must be a number above 0"),
        ({"friction": -1.0}, "friction must be a number from 0 on"),
        ({"dt": math.inf}, "dt must be a number above 0"),
        ({"dt": 3.0}, "dt must be at most mass/friction = 2, got 3"),
    ],
)
def test_no_such_ball(given: dict, says: str):
    with pytest.raises(ValueError, match=says):
        roll("valley", **given)


# ------------------------------------------------------------------ the stories


def leaves(path) -> int:
    """The step in which a path has left the ridge of the saddle."""
    return int(np.argmax(np.abs(path.points[:, 1]) > 0.5)) or 10**6


def test_saddle():
    paths = run("saddle")
    gd, momentum, scaled = (leaves(paths[rule]) for rule in ("gradient_descent", "momentum_accumulation", "rmsprop"))
    assert 2 * scaled < momentum < 0.6 * gd
    assert paths.story == SURFACES["saddle"].story
    assert run("saddle", lr=0.01).story == ""


def test_valley():
    paths = run("valley")
    gd, momentum = paths["gradient_descent"], paths["momentum_accumulation"]
    assert (np.diff(np.sign(gd.points[:20, 1])) != 0).all()  # from wall to wall
    assert momentum.reached < 0.8 * gd.reached
    assert paths["nesterov_accumulation"].diverged is not None


def test_beale():
    paths = run("beale")
    assert paths["gradient_descent"].diverged is not None
    assert paths["momentum_accumulation"].diverged is not None
    assert all(paths[rule].left is None for rule in ("adagrad", "rmsprop", "adam"))


def test_rosenbrock():
    gd, momentum = run("rosenbrock", ["gradient_descent", "momentum_accumulation"], steps=10_000)
    assert gd.heights[20] < 0.2 * gd.heights[0]  # in the valley
    assert gd.reached > 3000
    assert momentum.reached < 1000


def test_himmelblau():
    paths = [path for path in run("himmelblau") if path.reached is not None]
    minima = np.array(SURFACES["himmelblau"].minima)
    assert len({int(np.hypot(*(path.points[-1] - minima).T).argmin()) for path in paths}) >= 3


def test_rastrigin():
    paths = run("rastrigin")
    gd, momentum = paths["gradient_descent"], paths["momentum_accumulation"]
    assert np.allclose(gd.points[-1], (3, -3), atol=0.1)
    assert momentum.heights[-1] < gd.heights[-1] - 3


def test_ackley():
    paths = run("ackley")
    assert all(path.reached is None for path in paths)
    assert paths["momentum_accumulation"].heights[-1] < min(
        path.heights[-1] for path in paths if path.rule != "momentum_accumulation"
    )


def test_booth():
    paths = run("booth")
    assert paths["gradient_descent"].reached < 50
    assert all(paths[rule].reached is None for rule in ("adagrad", "rmsprop", "adam"))


def test_plateau():
    paths = run("plateau")
    dip = np.array([-0.8, 0.0])
    for rule in ("gradient_descent", "rmsprop"):
        assert np.allclose(paths[rule].points[-1], dip, atol=0.15)
    assert all(paths[rule].reached is not None for rule in ("momentum_accumulation", "nesterov_accumulation", "adam"))


def test_logistic():
    def dance(rule: str, lr: float) -> float:
        path = run("logistic", [rule], lr=lr, steps=2000)[0]
        return float(np.sqrt((path.distance[500:] ** 2).mean()))

    assert 1.5 * dance("gradient_descent", 0.1) < dance("gradient_descent", 0.4)
    assert 2 * dance("schedule_free_sgd", 0.4) < dance("gradient_descent", 0.4)
