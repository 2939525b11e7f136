"""The pictures of the course that no command draws by itself: `python docs/course/pictures.py NAME FILE.svg`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from descend import minimize, rules, schedules
from descend.draw import axes, palette
from descend.draw.chart import Area, Axis, Chart, Line, Mark, Walk
from descend.lab.surface import SURFACES, run
from descend.lab.surface import picture as maps
from descend.optimizer import Optimizer


def rates() -> Chart:
    """Gradient descent in the valley at three rates."""
    valley = SURFACES["valley"]
    paths = [run(valley, ["gradient_descent"], lr=lr, steps=60)[0] for lr in (0.1, 0.9, 1.02)]
    named = [replace(path, rule=f"lr {path.lr:g}", lr=None) for path in paths]
    return maps.chart(valley, named, "Gradient descent at three rates, 60 steps")


def correction() -> Chart:
    """How many times longer Adam's steps are without bias correction, where the gradient is noise."""
    noise = np.random.default_rng(0).normal(size=(3000, 400))
    lengths = []
    for rule in (rules.adam_uncorrected, rules.adam):
        p, points = [np.zeros(400)], [np.zeros(400)]
        stepper = Optimizer(rule, p, engine="numpy")
        for g in noise:
            stepper.step([g])
            points.append(p[0].copy())
        lengths.append(np.abs(np.diff(points, axis=0)).mean(axis=1))
    at = np.unique(np.geomspace(1, 3000, 90).astype(int))
    said = "Adam's steps without bias correction over those with it, by step"
    drawn = Chart(Axis(1, 3000, log=True, label="step"), Axis(1, 10, log=True), said, head=said)
    drawn.add(Line(at, (lengths[0] / lengths[1])[at - 1]))
    return drawn


def falling() -> Chart:
    """The schedules of the lecture that fall."""
    shown = {
        "step_decay(250)": schedules.step_decay(250),
        "exponential(rate=0.003)": schedules.exponential(rate=0.003),
        "inverse_time(0.01)": schedules.inverse_time(0.01),
        "polynomial(1000, power=2)": schedules.polynomial(1000, power=2),
        "cosine(1000)": schedules.cosine(1000),
    }
    return _schedules(shown, "Schedules that fall")


def rising() -> Chart:
    """Those that rise first."""
    shown = {
        "linear_warmup(100) >> cosine(900)": schedules.linear_warmup(100) >> schedules.cosine(900),
        "one_cycle(1000)": schedules.one_cycle(1000),
        "cosine_restarts(250)": schedules.cosine_restarts(250),
        "linear_warmup(100) >> constant(1).until(700) >> linear(200)": schedules.linear_warmup(100)
        >> schedules.constant(1).until(700)
        >> schedules.linear(200),
    }
    return _schedules(shown, "Schedules that rise first")


def _schedules(shown: dict[str, schedules.Schedule], head: str) -> Chart:
    drawn = Chart(Axis(0, 1000, label="step"), Axis(0, 1.05), f"{head}, by step", head=head, names="below")
    at = np.arange(1000)
    for k, (name, schedule) in enumerate(shown.items()):
        drawn.add(Line(at[::4], schedule(at)[::4], palette.series(k), palette.dash_of(k), name=name))
    return drawn


def watching() -> Chart:
    """Update over weight by step, of a small network at three rates."""
    import torch
    from torch.nn.functional import cross_entropy

    from descend.torch import AdamW

    drawn = Chart(
        Axis(0, 200, label="step"),
        Axis(1e-6, 1, log=True),
        "update over weight by step, at three learning rates",
        head="Norm of the update over norm of the weights",
        names="right",
    )
    drawn.add(Line((0, 200), (1e-3, 1e-3), "quiet", (2, 4), 1.2))
    for k, lr in enumerate((1e-5, 1e-3, 1e-1)):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.Tanh(), torch.nn.Linear(32, 10))
        x, y = torch.randn(512, 64), torch.randint(0, 10, (512,))
        opt = AdamW(model.parameters(), lr=lr, weight_decay=0.0, telemetry=True)
        ratios = []
        for t in range(200):
            batch = slice(64 * (t % 8), 64 * (t % 8) + 64)
            opt.zero_grad()
            cross_entropy(model(x[batch]), y[batch]).backward()
            opt.step()
            ratios.append(opt.telemetry.total.ratio)
        drawn.add(Line(range(1, 201), ratios, palette.series(k), palette.dash_of(k), name=f"lr {lr:g}"))
    return drawn


def newton() -> Chart:
    """Gradient descent, Newton and L-BFGS in Rosenbrock's valley."""
    surface = SURFACES["rosenbrock"]
    x, y = (Axis(*ends, label=label, grid=False) for ends, label in zip(surface.frame, ("x", ""), strict=True))
    drawn = Chart(x, y, "paths in Rosenbrock's valley", maps.ground(surface), "Rosenbrock's valley", names="below")
    drawn.tall = 1.5
    slow = run(surface, ["gradient_descent"])[0].points
    walked = {f"gradient_descent, {len(slow) - 1} steps, not there yet": slow}
    for method in ("newton", "l_bfgs"):
        points = [np.array(surface.start)]
        minimize(
            lambda p: surface.value(*p),
            points[0],
            method,
            jac=lambda p: np.array(surface.gradient(*p)),
            callback=lambda found, points=points: points.append(found.x.copy()),
        )
        walked[f"{method}, {len(points) - 1} steps"] = np.array(points)
    for k, (name, points) in enumerate(walked.items()):
        u, v = points[maps.thinned(len(points))].T
        drawn.add(Walk(u, v, palette.mark_of(k), palette.series(k), palette.dash_of(k), name=name))
    drawn.add(Mark(*surface.start, "circle", "ink", True, 1.3, "the start"))
    return drawn


def populations() -> Chart:
    """The generations of CMA-ES on Rastrigin's function."""
    from descend.search.names import build

    surface = SURFACES["rastrigin"]
    x, y = (Axis(*ends, label=label, grid=False) for ends, label in zip(surface.frame, ("x", ""), strict=True))
    ground = maps.ground(surface)
    few = [shape for k, shape in enumerate(ground) if k % 4 == 1 or not isinstance(shape, Area)]  # 81 dimples in each
    drawn = Chart(x, y, "generations of CMA-ES on Rastrigin", few, "CMA-ES on Rastrigin", names="below")
    drawn.tall = 1.5
    one = build("cma_es", np.array(surface.start), seed=1, sigma0=1.5, population=16, restarts="none")
    shown = (1, 6, 12, 24)
    for generation in range(1, shown[-1] + 1):
        points = one.ask()
        one.tell(points, surface.value(*points.T))
        if generation in shown:
            k = shown.index(generation)
            for n, (u, v) in enumerate(points[surface.holds(points)]):
                name = f"generation {generation}" if n == 0 else ""
                drawn.add(Mark(u, v, palette.mark_of(k), palette.series(k), k < 2, 0.9, name=name))
    drawn.add(Mark(*surface.start, "cross", "ink", size=1.3, title="the start"))
    return drawn


DRAWN: dict[str, Callable[[], Chart]] = {f.__name__: f for f in (
    rates, correction, falling, rising, watching, newton, populations,
)}  # fmt: skip

if __name__ == "__main__":
    axes.save(Path(sys.argv[2]), [DRAWN[sys.argv[1]]()])
