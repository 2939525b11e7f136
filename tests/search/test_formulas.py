"""Updates of the population methods, written from their papers and fed with what a method asked and was told."""

import numpy as np
import pytest

from descend.search import names

N = 4
START = np.array([0.8, -1.2, 0.4, 1.5])


def rosen(x):
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def generations(method, count, f=rosen):
    """(state before, points, values, state after), one generation after the other."""
    for _ in range(count):
        before = method.state_dict()["began"]
        points = method.ask().copy()
        values = np.array([f(x) for x in points])
        method.tell(points, values)
        method.ask()
        yield before, points, values, method.state_dict()["began"]


def near(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def root(C):
    d, B = np.linalg.eigh(C)
    return B @ np.diag(d**-0.5) @ B.T


@pytest.mark.parametrize("population", [None, 5, 30])
@pytest.mark.parametrize("n", [2, N])
def test_cma_es(n, population):
    """Hansen (2016, arXiv:1604.00772v2), Table 1 and Figure 6; "pycma" marks what the method says it has from there."""
    method = names.build("cma_es", START[:n], seed=4, sigma0=0.5, population=population)
    lam = method.ask().shape[0]
    assert lam == (population or 4 + int(3 * np.log(n)))
    w = np.log((lam + 1) / 2) - np.log(np.arange(1, lam + 1))
    mu = lam // 2
    mueff = w[:mu].sum() ** 2 / (w[:mu] ** 2).sum()
    mueff_minus = w[mu:].sum() ** 2 / (w[mu:] ** 2).sum()
    c1 = min(1, lam / 6) * 2 / ((n + 1.3) ** 2 + mueff)  # pycma: λ / 6
    cmu = min(1 - c1, 2 * (1 / 4 + mueff + 1 / mueff - 2) / ((n + 2) ** 2 + mueff))
    bound = min(1 + c1 / cmu, 1 + 2 * mueff_minus / (mueff + 2), (1 - c1 - cmu) / (n * cmu))
    w = np.where(w >= 0, w / w[w >= 0].sum(), w * bound / -w[w < 0].sum())
    cs = min(0.5, (mueff + 2) / (n + mueff + 5))  # pycma: 0.5
    widened = max(1, 3 * (1 - 2 ** (-n / 9)))  # pycma
    ds = 1 + 2 * max(0, widened * np.sqrt((mueff - 1) / (n + 1)) - 1) + cs
    cc = (4 + mueff / n) / (n + 4 + 2 * mueff / n)
    E = np.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))
    stalled = 0
    for g, (was, x, f, now) in enumerate(generations(method, 25), 1):
        m, sigma, ps, pc, C = (was[k] for k in ("mean", "sigma", "ps", "pc", "C"))
        y = (x[np.argsort(f)] - m) / sigma
        yw = w[:mu] @ y[:mu]
        ps = (1 - cs) * ps + np.sqrt(cs * (2 - cs) * mueff) * root(C) @ yw
        length = np.linalg.norm(ps)
        h = float(length**2 / (1 - (1 - cs) ** (2 * g)) < (2 + 4 / (n + 1)) * n)  # pycma: squares
        pc = (1 - cc) * pc + h * np.sqrt(cc * (2 - cc) * mueff) * yw
        scaled = np.where(w >= 0, w, w * n / (np.linalg.norm(y @ root(C), axis=1) ** 2 + 1e-9))  # pycma: 1e-9
        C = (1 + c1 * (1 - h) * cc * (2 - cc) - c1 - cmu * w.sum()) * C
        C = C + c1 * np.outer(pc, pc) + cmu * (y.T * scaled) @ y
        near(now["mean"], m + sigma * yw)
        near(now["ps"], ps)
        near(now["pc"], pc)
        near(now["C"], C)
        near(now["sigma"], sigma * np.exp(min(1, cs / ds * (length / E - 1))))
        stalled += h == 0
    assert n > 2 or population or stalled  # both branches of h are seen somewhere


@pytest.mark.parametrize("population", [None, 24])
def test_xnes(population):
    """Glasmachers et al. (2010), Algorithm 1 and Table 1."""
    method = names.build("xnes", START, seed=4, sigma0=0.5, population=population)
    for was, x, f, now in generations(method, 15):
        lam, d = x.shape
        rank = np.argsort(np.argsort(f)) + 1
        u = np.maximum(0, np.log(lam / 2 + 1) - np.log(rank))
        u = u / u.sum() - 1 / lam
        s = np.linalg.solve(was["B"], ((x - was["mean"]) / was["sigma"]).T).T
        M = (s.T * u) @ s - u.sum() * np.eye(d)
        trace = np.trace(M) / d
        eta = (9 + 3 * np.log(d)) / (5 * d * np.sqrt(d))
        e, Q = np.linalg.eigh(eta / 2 * (M - trace * np.eye(d)))
        near(now["mean"], was["mean"] + was["sigma"] * was["B"] @ (u @ s))
        near(now["sigma"], was["sigma"] * np.exp(eta / 2 * trace))
        near(now["B"], was["B"] @ (Q * np.exp(e)) @ Q.T)


def test_snes():
    """Schaul, Glasmachers & Schmidhuber (2011), section 3.4 with their defaults."""
    method = names.build("snes", START, seed=4, sigma0=0.5)
    for was, x, f, now in generations(method, 15):
        lam, d = x.shape
        assert lam == 4 + int(3 * np.log(d))
        rank = np.argsort(np.argsort(f)) + 1
        u = np.maximum(0, np.log(lam / 2 + 1) - np.log(rank))
        u = u / u.sum() - 1 / lam
        s = (x - was["mean"]) / was["sigma"]
        near(now["mean"], was["mean"] + was["sigma"] * (u @ s))
        near(now["sigma"], was["sigma"] * np.exp((3 + np.log(d)) / (5 * np.sqrt(d)) / 2 * (u @ (s**2 - 1))))


def test_pso_constriction():
    """Clerc & Kennedy (2002): χ = 2 / |2 − φ − √(φ² − 4φ)|, φ = 4.1; chance of its own in each coordinate."""
    chi = 2 / abs(2 - 4.1 - np.sqrt(4.1**2 - 4 * 4.1))
    method = names.build("pso", START, seed=4, population=30, sigma0=1.0)
    shares = []
    for k, (was, x, f, now) in enumerate(generations(method, 12)):
        if k == 0:
            continue  # the first swarm
        V = x - was["X"]
        best = was["P"][np.argmin(was["f"])]
        rest = V - chi * was["V"]
        to_p, to_g = chi * 2.05 * (was["P"] - was["X"]), chi * 2.05 * (best - was["X"])
        assert (rest >= np.minimum(to_p, 0) + np.minimum(to_g, 0) - 1e-12).all()
        assert (rest <= np.maximum(to_p, 0) + np.maximum(to_g, 0) + 1e-12).all()
        alone = (to_p == 0).all(1) & (np.abs(to_g) > 1e-9).all(1)  # pulled by g only: r2 can be read off
        shares += list(rest[alone] / to_g[alone])
        better = f < was["f"]
        near(now["P"], np.where(better[:, None], x, was["P"]))
        near(now["f"], np.where(better, f, was["f"]))
        near(now["X"], x)
        near(now["V"], V)
    shares = np.array(shares)
    assert len(shares) > 50
    assert 0.4 < shares.mean() < 0.6
    assert 0.25 < shares.std() < 0.33  # uniform: 0.289
    assert np.ptp(shares, axis=1).min() > 1e-3  # no one number for a whole particle


def differences(X, pool, base, u, x):
    """All F with u = base + F (X[a] − pool[b]) in every coordinate that differs from x; the coordinates must be ≥ 2."""
    moved = u != x
    if moved.sum() < 2:
        return []
    D = (X[:, None] - pool[None])[:, :, moved].reshape(-1, moved.sum())
    lead = np.abs(D).argmax(1)
    rows = np.arange(len(D))
    with np.errstate(all="ignore"):
        F = (u - base)[moved][lead] / D[rows, lead]
        fits = np.abs(F[:, None] * D - (u - base)[moved]).max(1) < 1e-12
    return list(F[fits & (F > 0) & (F < 1.0001)])


def test_de_rand_1():
    """Storn & Price (1997): v = x_r1 + F (x_r2 − x_r3), one coordinate at least from v, the better of both lives."""
    method = names.build("de", START, seed=4, population=12, sigma0=1.0, F=0.6, CR=0.5)
    crossed = []
    ties = 0
    for k, (was, u, f, now) in enumerate(generations(method, 12, lambda x: float(np.floor(np.sqrt(rosen(x)))))):
        if k == 0:
            continue
        X = was["X"]
        for i, trial in enumerate(u):
            moved = trial != X[i]
            crossed.append(moved.sum())
            assert moved.any()
            others = np.delete(X, i, 0)
            donors = others[:, None, None] + 0.6 * (others[None, :, None] - others[None, None])
            a, b, c = np.nonzero(np.abs(donors - trial)[..., moved].max(-1) < 1e-12)
            assert ((a != b) & (b != c) & (a != c)).any()
        wins = f <= was["f"]
        ties += (f == was["f"]).sum()
        near(now["X"], np.where(wins[:, None], u, X))
    assert ties
    assert abs(np.mean(crossed) - (1 + 3 * 0.5)) < 0.3  # a forced one, the others at CR


def test_l_shade():
    """Tanabe & Fukunaga (2014): F of each trial, found from the population alone; its memory; the shrinking."""
    n, budget = 3, 3000
    method = names.build("l_shade", START[:n], seed=4, sigma0=1.0, budget=budget)
    points = method.ask()
    assert len(points) == 18 * n
    method.tell(points, [rosen(x) for x in points])
    nfev, slot, memory = len(points), 0, np.full(6, 0.5)
    for _ in range(12):
        u = method.ask().copy()
        was = method.state_dict()["began"]
        X, f = was["X"], was["f"]
        archive = was["archive"]
        count = max(2, round(0.11 * len(X)))
        best = X[np.argsort(f)[:count]]
        F = np.full(len(X), np.nan)
        for i, trial in enumerate(u):
            # x + F (x_pbest − x) + F (x_r1 − x_r2): a difference of (x_pbest + x_r1) and x_r2 + x
            pairs = (best[:, None] + X[None]).reshape(-1, n)
            found = differences(pairs, np.concatenate([X, archive]) + X[i], X[i], trial, X[i])
            if found and np.ptp(found) < 1e-9:
                F[i] = found[0]
        known = np.flatnonzero(np.isfinite(F))
        assert len(known) > 5
        values = f + 1.0  # only those whose F is known are better, each by another gain
        gains = np.arange(1, len(known) + 1) / 10.0
        values[known] = f[known] - gains
        method.tell(u, values)
        method.ask()
        now = method.state_dict()["began"]
        w = gains / gains.sum()
        memory[slot] = (w @ F[known] ** 2) / (w @ F[known])
        slot = (slot + 1) % 6
        np.testing.assert_allclose(now["memory_F"], memory, rtol=1e-8)
        assert now["slot"] == slot
        nfev += len(u)
        size = round((4 - 18 * n) / budget * nfev + 18 * n)
        assert len(now["X"]) == size
        survivors = np.where(values < f, values, f)
        near(np.sort(now["f"]), np.sort(survivors)[:size])
        assert len(now["archive"]) <= round(2.6 * size)
        assert all((row == np.concatenate([archive, X])).all(1).any() for row in now["archive"])


def test_es_and_pgpe_follow_the_estimated_gradient():
    """Salimans et al. (2017): Adam on Σ u ε / (n σ), mirrored; Sehnke et al. (2010): the same for the mean, S for σ."""
    for name in ("es", "pgpe"):
        method = names.build(name, START, seed=4, sigma0=0.3, population=20, lr=0.05)
        m, v = np.zeros(N), np.zeros(N)
        for t, (was, x, f, now) in enumerate(generations(method, 10), 1):
            eps = (x - was["mean"]) / was["sigma"]
            assert all((np.abs(eps + e).max(1) < 1e-9).any() for e in eps)  # mirrored
            u = np.argsort(np.argsort(-f)) / (len(f) - 1) - 0.5
            step = now["mean"] - was["mean"]
            ascent = u @ eps
            if name == "es":
                g = -ascent / (len(f) * was["sigma"])
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
                near(now["sigma"], was["sigma"])
                assert step @ m < 0
                hat = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
                # Adam's step, up to its one scale
                np.testing.assert_allclose(
                    step / np.linalg.norm(step), -hat / np.linalg.norm(hat), rtol=1e-5, atol=1e-7
                )
            else:
                across = step / was["sigma"]
                near(across / np.linalg.norm(across), ascent / np.linalg.norm(ascent))
                change = np.log(now["sigma"] / was["sigma"])
                assert change @ (u @ (eps**2 - 1)) > 0


def test_ga_crosses_without_moving_the_middle_of_two_parents():
    """Deb & Agrawal (1995): SBX is symmetric about the parents; elitism keeps the best."""
    method = names.build("ga", START, seed=4, population=20, sigma0=1.0, mutation=0.0)
    for k, (was, x, f, now) in enumerate(generations(method, 8)):
        assert min(now["f"]) == min([*was.get("f", []), *f])
        if k == 0:
            continue
        middles = (was["X"][:, None] + was["X"][None]) / 2
        half = len(x) // 2
        for a, b in zip(x[:half], x[half:], strict=True):
            assert (np.abs(middles - (a + b) / 2).max(-1) < 1e-12).any()
