"""The population methods once more, plainly, a loop per index of their papers; nothing is shared with the library.

Each function plays a number of generations and yields, after each, the points it asked for. It draws from the
generator in the order that its comments name, which is the order of the library.
"""

import math

import numpy as np
from scipy.linalg import expm


def cma_es(f, x0, sigma, generations, rng, population=None, separable=False):
    """Hansen 2016, Figure 6 and Table 1, with pycma's offset, damping and h_sigma. Draws: λ × n normals."""
    n = len(x0)
    lam = population or 4 + int(3 * math.log(n))
    raw = [math.log((lam + 1) / 2) - math.log(i) for i in range(1, lam + 1)]
    mu = sum(w > 0 for w in raw)
    mueff = sum(raw[:mu]) ** 2 / sum(w**2 for w in raw[:mu])
    mueff_minus = sum(raw[mu:]) ** 2 / sum(w**2 for w in raw[mu:])
    c1 = min(1, lam / 6) * 2 / ((n + 1.3) ** 2 + mueff)
    cmu = min(1 - c1, 2 * (0.25 + mueff - 2 + 1 / mueff) / ((n + 2) ** 2 + 2 * mueff / 2))
    if separable:
        c1 = min(0.5, c1 * (n + 1.5) / 3)
        cmu = min(1 - c1, cmu * (n + 1.5) / 3)
    alpha = min(1 + c1 / cmu, 1 + 2 * mueff_minus / (mueff + 2), (1 - c1 - cmu) / (n * cmu))
    w = [x / sum(raw[:mu]) if x >= 0 else alpha * x / sum(abs(y) for y in raw if y < 0) for x in raw]
    cc = (4 + mueff / n) / (n + 4 + 2 * mueff / n)
    cs = (mueff + 2) / (n + mueff + 5)
    cs = min(cs, 0.5)
    ds = 1 + 2 * max(0, max(1, 3 * (1 - 0.5 ** (n / 9))) * math.sqrt((mueff - 1) / (n + 1)) - 1) + cs
    chi = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))
    gap = 1 / (c1 + cmu) / n / 5

    m, C = np.array(x0, float), np.eye(n)
    root, inverse_root, last = np.eye(n), np.eye(n), 0
    B, D = np.eye(n), np.ones(n)
    ps, pc = np.zeros(n), np.zeros(n)
    for g in range(1, generations + 1):
        if g - 1 >= last + gap:
            values, B = np.linalg.eigh((C + C.T) / 2)
            if separable:
                values, B = np.diag(C).copy(), np.eye(n)
            D = np.sqrt(values)
            last = g - 1
        root, inverse_root = B @ np.diag(D), B @ np.diag(1 / D) @ B.T
        z = rng.standard_normal((lam, n))
        y = [root @ z[k] for k in range(lam)]
        x = [m + sigma * y[k] for k in range(lam)]
        yield np.array(x)
        order = sorted(range(lam), key=lambda k: f(x[k]))
        y = [y[k] for k in order]
        yw = sum(w[i] * y[i] for i in range(mu))
        m = m + sigma * yw
        ps = (1 - cs) * ps + math.sqrt(cs * (2 - cs) * mueff) * inverse_root @ yw
        h = 1.0 if ps @ ps / (1 - (1 - cs) ** (2 * g)) / n < 2 + 4 / (n + 1) else 0.0
        pc = (1 - cc) * pc + h * math.sqrt(cc * (2 - cc) * mueff) * yw
        delta = (1 - h) * cc * (2 - cc)
        new = (1 + c1 * delta - c1 - cmu * sum(w)) * C + c1 * np.outer(pc, pc)
        for i in range(lam):
            wo = w[i] if w[i] >= 0 else w[i] * n / (np.linalg.norm(inverse_root @ y[i]) ** 2 + 1e-9)
            new = new + cmu * wo * np.outer(y[i], y[i])
        C = np.diag(np.maximum(np.diag(new), 1e-3 * D**2)) if separable else new
        sigma = sigma * math.exp(min(1, cs / ds * (np.linalg.norm(ps) / chi - 1)))


def differential_evolution(f, x0, sigma, generations, rng, population, strategy, F=0.5, CR=0.9, p=0.1):
    """Storn & Price 1997; JADE's current-to-pbest without archive.

    Draws: first population; then per generation: pbest, r1, r2, r3 (those the strategy has, each once for all),
    the geometric gaps between coordinates that are not crossed, the sure coordinate.
    """
    n = len(x0)
    X = np.vstack([x0, x0 + sigma * rng.standard_normal((population - 1, n))])
    yield X.copy()
    values = [f(x) for x in X]
    while generations := generations - 1:
        ranked = sorted(range(population), key=lambda i: values[i])
        top = ranked[: max(2, math.ceil(p * population))]
        pbest = rng.integers(len(top), size=population) if strategy == "current_to_pbest" else None
        partners = [[i] for i in range(population)]
        for k in range(3 if strategy == "rand1" else 2):
            drawn = rng.integers(population - 1 - k, size=population)
            for i in range(population):
                free = [j for j in range(population) if j not in partners[i]]
                partners[i].append(free[drawn[i]])
        size = population * n
        kept = set(np.cumsum(rng.geometric(1 - CR, int(size * (1 - CR) + 5 * math.sqrt(size * (1 - CR)) + 10))) - 1)
        sure = rng.integers(n, size=population)
        trial = X.copy()
        for i in range(population):
            _, a, b, *c = partners[i]
            for j in range(n):
                if i * n + j not in kept or j == sure[i]:
                    if strategy == "rand1":
                        trial[i, j] = X[a, j] + F * (X[b, j] - X[c[0], j])
                    elif strategy == "best1":
                        trial[i, j] = X[ranked[0], j] + F * (X[a, j] - X[b, j])
                    else:
                        to = X[top[pbest[i]], j]
                        trial[i, j] = X[i, j] + F * (to - X[i, j]) + F * (X[a, j] - X[b, j])
        yield trial.copy()
        for i in range(population):
            value = f(trial[i])
            if value <= values[i]:
                X[i], values[i] = trial[i], value


def l_shade(f, x0, sigma, generations, rng, population, budget):
    """Tanabe & Fukunaga 2014, Algorithms 1 and 2.

    Draws: first population; then per generation: memory slots, normals for CR, Cauchys for F (again for those at or
    below 0), pbest, r1, r2, uniforms for the crossover, the sure coordinate, and a permutation if the archive is full.
    """
    n, H = len(x0), 6
    X = [np.array(x) for x in np.vstack([x0, x0 + sigma * rng.standard_normal((population - 1, n))])]
    yield np.array(X)
    values, archive, used = [f(x) for x in X], [], population
    MF, MCR, k = [0.5] * H, [0.5] * H, 0
    while generations := generations - 1:
        N = len(X)
        r, normal, cauchy = rng.integers(H, size=N), rng.standard_normal(N), rng.standard_cauchy(N)
        CR = [0.0 if MCR[r[i]] is None else min(1, max(0, MCR[r[i]] + 0.1 * normal[i])) for i in range(N)]
        F = [MF[r[i]] + 0.1 * cauchy[i] for i in range(N)]
        while low := [i for i in range(N) if F[i] <= 0]:
            again = rng.standard_cauchy(len(low))
            for i, c in zip(low, again, strict=True):
                F[i] = MF[r[i]] + 0.1 * c
        F = [min(1, x) for x in F]
        ranked = sorted(range(N), key=lambda i: values[i])
        top = ranked[: max(2, math.ceil(0.11 * N))]
        pbest, r1 = rng.integers(len(top), size=N), rng.integers(N - 1, size=N)
        r2 = rng.integers(N + len(archive) - 2, size=N)
        u, sure = rng.random((N, n)), rng.integers(n, size=N)
        both, trials = X + archive, []
        for i in range(N):
            a = [j for j in range(N) if j != i][r1[i]]
            b = [j for j in range(len(both)) if j not in (i, a)][r2[i]]
            mutant = X[i] + F[i] * (X[top[pbest[i]]] - X[i]) + F[i] * (X[a] - both[b])
            trials.append(np.array([mutant[j] if u[i, j] < CR[i] or j == sure[i] else X[i][j] for j in range(n)]))
        yield np.array(trials)
        used += N
        SF, SCR, gains = [], [], []
        for i in range(N):
            value = f(trials[i])
            if value < values[i]:
                archive.append(X[i])
                SF.append(F[i])
                SCR.append(CR[i])
                gains.append(values[i] - value)
            if value <= values[i]:
                X[i], values[i] = trials[i], value
        if SF:
            share = [g / sum(gains) for g in gains]
            if MCR[k] is None or max(SCR) == 0:
                MCR[k] = None
            else:
                MCR[k] = sum(s * c**2 for s, c in zip(share, SCR, strict=True)) / sum(
                    s * c for s, c in zip(share, SCR, strict=True)
                )
            MF[k] = sum(s * c**2 for s, c in zip(share, SF, strict=True)) / sum(
                s * c for s, c in zip(share, SF, strict=True)
            )
            k = (k + 1) % H
        size = round((4 - population) / budget * min(used, budget) + population)
        while len(X) > size:
            worst = max(range(len(X)), key=lambda i: (values[i], i))
            del X[worst], values[worst]
        if len(archive) > round(2.6 * len(X)):
            stay = rng.permutation(len(archive))[: round(2.6 * len(X))]
            archive = [archive[i] for i in sorted(stay)]


def particle_swarm(f, x0, sigma, generations, rng, population, form, topology):
    """Clerc & Kennedy 2002; Shi & Eberhart 1998. Draws: places, velocities; then r1 and r2 per generation."""
    n = len(x0)
    X = np.vstack([x0, x0 + sigma * rng.standard_normal((population - 1, n))])
    V = (np.vstack([x0, x0 + sigma * rng.standard_normal((population - 1, n))]) - X) / 2
    P, values = X.copy(), []
    for g in range(generations):
        yield X.copy()
        for i in range(population):
            value = f(X[i])
            if g == 0:
                values.append(value)
            elif value < values[i]:
                P[i], values[i] = X[i], value
        r1, r2 = rng.random((population, n)), rng.random((population, n))
        leaders = []
        for i in range(population):
            near = range(population) if topology == "global" else [i - 1, i, (i + 1) % population]
            leaders.append(min(near, key=lambda j: values[j]))
        for i in range(population):
            for j in range(n):
                pull1, pull2 = r1[i, j] * (P[i, j] - X[i, j]), r2[i, j] * (P[leaders[i], j] - X[i, j])
                if form == "constriction":
                    phi = 4.1
                    chi = 2 / abs(2 - phi - math.sqrt(phi * phi - 4 * phi))
                    V[i, j] = chi * (V[i, j] + 2.05 * pull1 + 2.05 * pull2)
                else:
                    V[i, j] = 0.7298 * V[i, j] + 1.49618 * pull1 + 1.49618 * pull2
        X = X + V


def genetic(f, x0, sigma, generations, rng, population):
    """Deb & Agrawal 1995, Deb & Goyal 1996.

    Draws: first population; then entries of the tournaments, uniforms for coordinates that are crossed and for pairs
    that are, SBX's u, the geometric gaps between coordinates that mutate, the mutations' u.
    """
    n = len(x0)
    X = np.vstack([x0, x0 + sigma * rng.standard_normal((population - 1, n))])
    yield X.copy()
    values = [f(x) for x in X]
    while generations := generations - 1:
        entries = rng.integers(population, size=(2, population))
        parents = [X[min(entries[:, k], key=lambda i: values[i])] for k in range(population)]
        half = population // 2
        which, crossed = rng.random((half, n)), rng.random((half, 1))
        chosen = (crossed < 0.9) & (which < 0.5)
        us = iter(rng.random(int(chosen.sum())))
        first, second = [], []
        for k in range(half):
            a, b = parents[2 * k].copy(), parents[2 * k + 1].copy()
            for j in range(n):
                if chosen[k, j]:
                    u = next(us)
                    beta = (2 * u) ** (1 / 16) if u <= 0.5 else (1 / (2 * (1 - u))) ** (1 / 16)
                    a[j], b[j] = (
                        0.5 * ((1 + beta) * parents[2 * k][j] + (1 - beta) * parents[2 * k + 1][j]),
                        0.5 * ((1 - beta) * parents[2 * k][j] + (1 + beta) * parents[2 * k + 1][j]),
                    )
            first.append(a)
            second.append(b)
        children = np.array(first + second)
        mutates, place = np.zeros((population, n), bool), -1
        for gap in rng.geometric(1 / n, int(population + 5 * math.sqrt(population) + 10)):
            place += gap
            if place < population * n:
                mutates[place // n, place % n] = True
        r = iter(rng.random(int(mutates.sum())))
        for k in range(population):
            for j in range(n):
                if mutates[k, j]:
                    v = next(r)
                    delta = (2 * v) ** (1 / 21) - 1 if v < 0.5 else 1 - (2 * (1 - v)) ** (1 / 21)
                    children[k, j] += delta * 4 * sigma
        yield children.copy()
        scores = [f(c) for c in children]
        keep = min(range(population), key=lambda i: values[i])
        best = sorted(range(population), key=lambda i: scores[i])[: population - 1]
        X = np.array([X[keep]] + [children[i] for i in best])
        values = [values[keep]] + [scores[i] for i in best]


def natural(f, x0, sigma, generations, rng, separable):
    """Wierstra et al. 2014, Algorithms 5 and 6. Draws: λ × n normals."""
    n = len(x0)
    lam = 4 + int(3 * math.log(n))
    raw = [max(0, math.log(lam / 2 + 1) - math.log(k)) for k in range(1, lam + 1)]
    u = [x / sum(raw) - 1 / lam for x in raw]
    mean, B, sigmas = np.array(x0, float), np.eye(n), np.full(n, float(sigma))
    for _ in range(generations):
        s = rng.standard_normal((lam, n))
        x = [mean + (sigmas * s[k] if separable else sigma * B @ s[k]) for k in range(lam)]
        yield np.array(x)
        order = sorted(range(lam), key=lambda k: f(x[k]))
        s = s[order]
        delta = sum(u[k] * s[k] for k in range(lam))
        if separable:
            mean = mean + sigmas * delta
            rate = (3 + math.log(n)) / (5 * math.sqrt(n))
            sigmas = sigmas * np.exp(rate / 2 * sum(u[k] * (s[k] ** 2 - 1) for k in range(lam)))
        else:
            M = sum(u[k] * (np.outer(s[k], s[k]) - np.eye(n)) for k in range(lam))
            rate = 3 * (3 + math.log(n)) / (5 * n * math.sqrt(n))
            mean = mean + sigma * B @ delta
            sigma = sigma * math.exp(rate / 2 * np.trace(M) / n)
            B = B @ expm(rate / 2 * (M - np.trace(M) / n * np.eye(n)))


def smoothing(f, x0, sigma, generations, rng, population, kind):
    """Sehnke et al. 2010 (pgpe) with ranks for rewards; Salimans et al. 2017 (es), Adam. Draws: half the normals."""
    n, half = len(x0), population // 2
    mean, sigmas = np.array(x0, float), np.full(n, float(sigma))
    m, v = np.zeros(n), np.zeros(n)
    for t in range(1, generations + 1):
        eps = sigmas * rng.standard_normal((half, n))
        x = [mean + e for e in eps] + [mean - e for e in eps]
        yield np.array(x)
        order = sorted(range(population), key=lambda k: f(x[k]))
        reward = [0.0] * population
        for rank, k in enumerate(order):
            reward[k] = 0.5 - rank / (population - 1)
        if kind == "pgpe":
            step, spread = np.zeros(n), np.zeros(n)
            for k in range(half):
                step += eps[k] * (reward[k] - reward[half + k]) / 2 / half
                spread += (eps[k] ** 2 - sigmas**2) / sigmas * (reward[k] + reward[half + k]) / 2 / half
            mean, sigmas = mean + 2.0 * step, sigmas + np.clip(0.5 * spread, -0.5 * sigmas, 0.5 * sigmas)
        else:
            g = sum((reward[k] - reward[half + k]) * eps[k] / sigmas for k in range(half)) / population
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            mean = mean + 0.1 * sigmas * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


def annealing(f, x0, sigma, generations, rng, chains, temperature, cooling):
    """Kirkpatrick et al. 1983. Draws: coordinates that move, the sure one, normals, uniforms for acceptance."""
    n = len(x0)
    X, values = [np.array(x0, float) for _ in range(chains)], [f(x0)] * chains
    yield np.array([x0])
    while generations := generations - 1:
        moves, sure = rng.random((chains, n)) < 1 / n, rng.integers(n, size=chains)
        steps = rng.standard_normal((chains, n))
        new = [
            np.array([X[c][j] + sigma * steps[c, j] if moves[c, j] or j == sure[c] else X[c][j] for j in range(n)])
            for c in range(chains)
        ]
        yield np.array(new)
        luck, accepted = rng.random(chains), 0
        for c in range(chains):
            value = f(new[c])
            if value <= values[c] or luck[c] < math.exp((values[c] - value) / temperature):
                X[c], values[c], accepted = new[c], value, accepted + 1
        temperature *= cooling
        sigma *= math.exp(0.1 * (accepted / chains - 0.44))
