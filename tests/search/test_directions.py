"""Directions, steps and accepted points of the second-order methods, from textbooks by dense algebra."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der, rosen_hess

from descend.search import names

START = np.array([-1.2, 1.0, -0.5, 0.8, 1.3])


def iterations(method, count, f=rosen, g=rosen_der, h=rosen_hess):
    """(state before, points whose gradient was asked for, products asked for, state after), one after the other."""
    while method.nit == 0 and method.wanted.what == "gradient" and not method.begun:
        x = method.wanted.points[0]
        method.answer((f(x), g(x)))
    for nit in range(count):
        before, tried = method.state_dict()["began"], []
        while method.wanted is not None and method.nit == nit:
            wanted, x = method.wanted, np.array(method.wanted.points[0])
            if wanted.what == "gradient":
                tried.append(x)
            method.answer(
                (f(x), g(x)) if wanted.what == "gradient" else h(x) if wanted.what == "hessian" else h(x) @ wanted.along
            )
        if method.wanted is None:
            return
        yield before, tried, method.state_dict()["began"]


def along(point, x, d):
    """How far ``point`` is along d from x; it must lie on that line."""
    t = (point - x) @ d / (d @ d)
    np.testing.assert_allclose(point - x, t * d, rtol=0, atol=1e-9 * np.abs(t * d).max() + 1e-14)
    return t


def corrected(x, new):
    """s and y of a step; y times the curvature at its end over the mean one, of the cubic through values and slopes."""
    s, y = new - x, rosen_der(new) - rosen_der(x)
    ends = [rosen(x), rosen_der(x) @ s, rosen(new), rosen_der(new) @ s]
    _, _, c, d = np.linalg.solve([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1], [0, 1, 2, 3]], ends)
    return s, y * (np.clip((2 * c + 6 * d) / (s @ y), 0.2, 5) if s @ y > 1e3 * 2.3e-16 * ends[0] else 1.0)


def dense_bfgs(pairs, scale):
    """Nocedal & Wright (2006), equation (6.17), from H₀ = scale I."""
    H = scale * np.eye(len(pairs[0][0]))
    for s, y in pairs:
        V = np.eye(len(s)) - np.outer(y, s) / (y @ s)
        H = V.T @ H @ V + np.outer(s, s) / (y @ s)
    return H


@pytest.mark.parametrize("memory", [1, 4, 20])
def test_l_bfgs_goes_along_the_direction_of_its_last_pairs(memory):
    pairs, scale, factors = [], 1.0, []
    for k, (was, tried, now) in enumerate(iterations(names.build("l_bfgs", START, memory=memory), 25)):
        x, g = was["x"], rosen_der(was["x"])
        d = -g if k == 0 else -dense_bfgs(pairs[-memory:], scale) @ g
        lengths = [along(point, x, d) for point in tried]
        assert all(t > 0 for t in lengths)
        assert k == 0 or np.isclose(lengths[0], 1.0)
        s, y = now["x"] - x, rosen_der(now["x"]) - g
        if s @ y > 0:
            pairs.append(corrected(x, now["x"]))
            scale = (s @ y) / (y @ y)  # (7.20)
            factors.append(pairs[-1][1] @ y / (y @ y))
    assert k > 15
    assert min(factors) < 0.7
    assert max(factors) > 1.3


def test_bfgs_goes_along_the_direction_of_all_its_pairs():
    for k, (was, tried, now) in enumerate(iterations(names.build("bfgs", START), 20)):
        x, g = was["x"], rosen_der(was["x"])
        if k == 0:
            H = np.eye(len(x))
        for point in tried:
            along(point, x, -H @ g)
        s, y = now["x"] - x, rosen_der(now["x"]) - g
        if k == 0:
            H = (s @ y) / (y @ y) * np.eye(len(x))  # (6.20)
        s, y = corrected(x, now["x"])
        V = np.eye(len(x)) - np.outer(y, s) / (y @ s)
        H = V.T @ H @ V + np.outer(s, s) / (y @ s)
    assert k > 12


def test_ssbroyden_scales_and_chooses_as_its_paper_does():
    """Urbán, Stefanou & Pons (2025), section 3, with B = H⁻¹ written out."""
    signs = set()
    for k, (was, tried, now) in enumerate(iterations(names.build("ssbroyden", START), 20)):
        x, g, n = was["x"], rosen_der(was["x"]), len(START)
        s, y = now["x"] - x, rosen_der(now["x"]) - g
        H = (s @ y) / (y @ y) * np.eye(n) if k == 0 else was["H"]
        assert k == 0 or all(along(point, x, -H @ g) > 0 for point in tried)
        B = np.linalg.inv(H)
        b, h = s @ B @ s / (y @ s), y @ H @ y / (y @ s)
        a = b * h - 1
        if a < 1e-8:
            continue
        low = min(1, h * (1 - np.sqrt(a / (1 + a))))
        theta = max((low - 1) / a, min(1 / low, (1 - b) / b))
        sigma, plus = 1 + theta * a, min(1, 1 / b)
        root = sigma ** (1 / (1 - n))
        tau = plus * min(root, 1 / theta) if theta > 0 else min(plus * root, sigma)
        v = np.sqrt(y @ H @ y) * (s / (y @ s) - H @ y / (y @ H @ y))
        expected = H - np.outer(H @ y, H @ y) / (y @ H @ y) + (1 - theta) / (1 + a * theta) * np.outer(v, v)
        np.testing.assert_allclose(now["H"], expected / tau + np.outer(s, s) / (y @ s), rtol=1e-6, atol=1e-9)
        signs.add(theta > 0)
    assert signs == {True, False}


@pytest.mark.parametrize(("method", "c2"), [("l_bfgs", 0.9), ("bfgs", 0.9), ("nonlinear_cg", 0.2), ("newton_cg", 0.9)])
def test_every_accepted_point_satisfies_the_strong_wolfe_conditions(method, c2):
    """Nocedal & Wright (2006), (3.7)."""
    held = 0
    for was, tried, now in iterations(names.build(method, START), 30):
        p = now["x"] - was["x"]
        slope = rosen_der(was["x"]) @ p
        assert slope < 0
        if abs(slope) < 1e-12:  # below the rounding of the values
            break
        assert any(np.array_equal(now["x"], point) for point in tried)
        assert rosen(now["x"]) <= rosen(was["x"]) + 1e-4 * slope
        assert abs(rosen_der(now["x"]) @ p) <= -c2 * slope
        held += 1
    assert held > 5


def test_nonlinear_cg_has_the_direction_of_hager_and_zhang():
    """Hager & Zhang (2005), (1.3) to (1.6) with η = 0.01."""
    d = None
    for was, tried, now in iterations(names.build("nonlinear_cg", START), 25):
        g, then = rosen_der(was["x"]), rosen_der(now["x"])
        d = -g if d is None else d
        for point in tried:
            assert along(point, was["x"], d) > 0
        y = then - g
        beta = (y - 2 * d * (y @ y) / (d @ y)) @ then / (d @ y)
        d = -then + max(beta, -1 / (np.linalg.norm(d) * min(0.01, np.linalg.norm(g)))) * d


def test_newton_and_saddle_free_take_their_steps():
    for name in ("newton", "saddle_free"):
        full = 0
        for was, tried, _ in iterations(names.build(name, START), 15):
            H, g = rosen_hess(was["x"]), rosen_der(was["x"])
            values, vectors = np.linalg.eigh(H)
            if name == "newton" and values[0] <= 0:
                assert (tried[0] - was["x"]) @ g < 0
                continue
            d = -vectors @ (vectors.T @ g / np.abs(values))
            full += np.isclose(along(tried[0], was["x"], d), 1.0)
        assert full > 3


def steihaug(g, H, radius, tolerance):
    """Nocedal & Wright (2006), Algorithm 7.2."""
    z, r, d = 0 * g, g, -g
    for _ in range(2 * len(g)):
        curved = d @ H @ d
        alpha = r @ r / curved
        if curved <= 0 or np.linalg.norm(z + alpha * d) >= radius:
            roots = np.roots([d @ d, 2 * z @ d, z @ z - radius**2])
            return z + max(roots.real) * d
        z, old, r = z + alpha * d, r, r + alpha * H @ d
        if np.linalg.norm(r) <= tolerance:
            break
        d = -r + (r @ r) / (old @ old) * d
    return z


def shrunk(radius, p, x, g, H):
    """The radius after a step that was tried at x + p (lmder of MINPACK; Moré 1978), and whether the step is taken."""
    fall = rosen(x) - rosen(x + p)
    share, length = fall / -(g @ p + p @ H @ p / 2), np.linalg.norm(p)
    if share <= 0.25:
        factor = 0.5 * (g @ p) / (g @ p + fall)  # the lowest point of the parabola
        return min(max(factor, 0.1), 0.5) * min(radius, length / 0.1), share > 1e-3
    return (max(radius, length / 0.5) if share >= 0.75 else radius), True


@pytest.mark.parametrize("method", ["trust_ncg", "trust_exact", "trust_krylov"])
def test_a_trust_region_tries_the_step_of_its_paper(method):
    edge = 0
    for was, tried, now in iterations(names.build(method, START, radius=0.3), 18):
        x, radius = was["x"], was["radius"]
        g, H = rosen_der(x), rosen_hess(x)
        size = np.linalg.norm(g)
        if size < 1e-5:
            break
        eta = min(0.5, 10 * size)  # of order two: Nocedal & Wright (2006), section 7.1
        for point in tried:
            p = point - x
            if method == "trust_exact":  # Moré & Sorensen (1983), (2.4)
                lam = -(p @ (H @ p + g)) / (p @ p)
                np.testing.assert_allclose(H @ p + lam * p, -g, atol=1e-6 * size)
                assert lam >= -1e-9 * abs(H).max()
                assert np.linalg.eigvalsh(H)[0] + lam >= -1e-9 * abs(H).max()
                assert abs(np.linalg.norm(p) - radius) < 1e-8 * radius or (
                    abs(lam) < 1e-6 and np.linalg.norm(p) < radius
                )
            else:
                expected = steihaug(g, H, radius, eta * size)
                if method == "trust_ncg":
                    np.testing.assert_allclose(p, expected, rtol=1e-7, atol=1e-10)
                else:  # never worse in the model than the way that stops at the edge
                    model = [g @ q + q @ H @ q / 2 for q in (p, expected)]
                    assert np.linalg.norm(p) <= radius * (1 + 1e-9)
                    assert model[0] <= model[1] + eta * abs(model[1])
            edge += np.linalg.norm(p) > 0.999 * radius
            radius, taken = shrunk(radius, p, x, g, H)
            assert taken == np.array_equal(point, now["x"])
        assert np.isclose(radius, now["radius"])
    assert edge > 1


def conjugate_gradients(g, H, lam, start, most):
    """Martens (2010), section 4.4: the vectors whose product is taken, up to where his rule stops."""
    A = H + lam * np.eye(len(g))
    x = start
    r = A @ x + g
    d, directions, phi = -r, [], [x @ (r + g) / 2]
    for i in range(1, most + 1):
        directions.append(d)
        alpha = (r @ r) / (d @ A @ d)
        x, old, r = x + alpha * d, r, r + alpha * A @ d
        d = -r + (r @ r) / (old @ old) * d
        phi.append(x @ (r + g) / 2)
        k = max(10, int(0.1 * i))
        if i > k and phi[i] < 0 and (phi[i] - phi[i - k]) / phi[i] < k * 0.0005:
            break
    return directions


def test_hessian_free_runs_conjugate_gradients_as_long_as_martens_does():
    rng = np.random.default_rng(5)
    n = 60
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    curvature = Q * np.geomspace(1e-3, 30, n) @ Q.T
    middle = rng.standard_normal(n)

    def f(x):
        e = x - middle
        return float(e @ curvature @ e / 2 + 0.05 * (e**4).sum())

    def g(x):
        e = x - middle
        return curvature @ e + 0.2 * e**3

    def h(x):
        return curvature + np.diag(0.6 * (x - middle) ** 2)

    method = names.build("hessian_free", np.zeros(n), damping=0.1)
    lengths = set()
    for nit in range(6):  # near the solution it ends before, at the rounding
        while method.wanted.what != "product":
            x = method.wanted.points
            method.answer((f(x[0]), g(x[0])) if method.wanted.what == "gradient" else np.array([f(p) for p in x]))
        was = method.state_dict()["began"]
        x, lam, last = was["x"], was["damping"], was["last"]
        asked = []
        while method.nit == nit:
            wanted = method.wanted
            if wanted.what == "product":
                asked.append(np.array(wanted.along))
                method.answer(h(x) @ wanted.along)
            else:
                point = wanted.points[0]
                method.answer(
                    (f(point), g(point)) if wanted.what == "gradient" else np.array([f(p) for p in wanted.points])
                )
        start = np.zeros(n) if last is None else 0.95 * last
        directions = conjugate_gradients(g(x), h(x), lam, start, 250)
        taken = asked[len(asked) - len(directions) :]  # before them, at most the product of the start
        assert len(asked) - len(directions) in (0, 1)
        for mine, theirs in zip(directions[:15], taken, strict=False):  # later ones are ruled by rounding
            np.testing.assert_allclose(theirs / np.linalg.norm(theirs), mine / np.linalg.norm(mine), atol=1e-8)
        iterates, p = [], start
        for d in taken:  # along the directions it took, for rounding
            A = h(x) + lam * np.eye(n)
            p = p - (A @ p + g(x)) @ d / (d @ A @ d) * d
            iterates.append(p)
        lengths.add(len(directions))
        step = method.state_dict()["began"]["x"] - x
        parallel = [abs(step @ p) / (np.linalg.norm(step) * np.linalg.norm(p)) for p in iterates]
        assert max(parallel) > 1 - 1e-7
        rest = method.state_dict()["began"]["damping"] / lam
        assert min(abs(rest - factor) for factor in (2 / 3, 1.0, 3 / 2)) < 1e-9  # section 4.1
        assert f(x + step) < f(x)
    assert len(lengths) > 2
    assert max(lengths) > 11
