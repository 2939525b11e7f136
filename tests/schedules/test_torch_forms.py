"""Equal to torch's schedulers: at step 0, at each joint, at the end and at 10⁹, to 1e-12 of the value.

Where torch multiplies step by step, which drifts, its closed form is what counts; torch computes it in
``_get_closed_form_lr``. Where a form has none, torch's scheduler is stepped.
"""

import math
import warnings
from fractions import Fraction

import pytest

torch = pytest.importorskip("torch")
lr_scheduler = torch.optim.lr_scheduler

from descend import schedules  # noqa: E402
from descend.schedules import (  # noqa: E402
    constant,
    cosine,
    cosine_restarts,
    cyclic,
    exponential,
    linear,
    multi_step,
    one_cycle,
    one_cycle_momentum,
    plateau,
    polynomial,
    step_decay,
)

BASE = 0.3
FAR = 10**9


def dummy():
    return torch.optim.SGD([torch.zeros(1)], lr=BASE, momentum=0.9)


def closed(make, step: int) -> float:
    """The learning rate that torch's closed form has at ``step``."""
    scheduler = make(dummy())
    scheduler.last_epoch = step
    return scheduler._get_closed_form_lr()[0]


CLOSED = {
    "StepLR": (lambda o: lr_scheduler.StepLR(o, 30, 0.1), step_decay(30, 0.1), [0, 29, 30, 31, 60, 90, 300]),
    "MultiStepLR": (
        lambda o: lr_scheduler.MultiStepLR(o, [30, 80, 80], 0.3), multi_step([30, 80, 80], 0.3), [0, 29, 30, 79, 80],
    ),
    "ConstantLR": (
        lambda o: lr_scheduler.ConstantLR(o, 0.25, 7), constant(0.25).until(7) >> constant(), [0, 6, 7, 8],
    ),
    "LinearLR": (lambda o: lr_scheduler.LinearLR(o, 1 / 3, 0.9, 70), linear(70, 1 / 3, 0.9), [0, 1, 35, 69, 70, 71]),
    "ExponentialLR": (lambda o: lr_scheduler.ExponentialLR(o, 0.97), exponential(gamma=0.97), [0, 1, 77, 1000]),
    "PolynomialLR": (
        lambda o: lr_scheduler.PolynomialLR(o, 70, 1.7), polynomial(70, power=1.7), [0, 1, 35, 69, 70, 71],
    ),
    "PolynomialLR_2": (lambda o: lr_scheduler.PolynomialLR(o, 70, 2), polynomial(70, power=2), [0, 1, 69, 70]),
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSED)
def test_equal_to_torchs_closed_form(name):
    make, s, steps = CLOSED[name]
    for step in [*steps, FAR]:
        assert BASE * s(step) == pytest.approx(closed(make, step), rel=1e-12, abs=1e-300), step


@pytest.mark.parametrize("steps", [50, 1000])
def test_equal_to_cosine_annealing_up_to_its_end_where_ours_holds(steps):
    def make(optimizer):
        return lr_scheduler.CosineAnnealingLR(optimizer, steps, 0.003)

    s = cosine(steps, BASE, 0.003)
    for step in (0, 1, steps // 3, steps // 2, steps - 1, steps):
        assert s(step) == pytest.approx(closed(make, step), rel=1e-12)
    assert s(FAR) == 0.003  # torch's closed form would rise again


@pytest.mark.parametrize(("first", "times"), [(10, 1), (10, 2), (7, 3)])
def test_equal_to_warm_restarts(first, times):
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(dummy(), first, times, 0.003)
    s = cosine_restarts(first, times, start=BASE, end=0.003)
    joints = [first * (times**n - 1) // (times - 1) if times > 1 else first * n for n in range(5)]
    steps = sorted({k for joint in joints for k in (joint - 1, joint, joint + 1, joint + 3) if k >= 0})
    for step in steps:
        scheduler.step(step)
        assert s(step) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-12), step


def test_growing_restarts_far_away_fall_on_the_exact_joint():
    n = 26
    joint = 10 * (2**n - 1)  # 671 million
    s = cosine_restarts(10, 2, start=BASE, end=0.003)
    assert s(joint) == BASE
    assert s(joint - 1) == pytest.approx(0.003, rel=1e-9)
    start, length = 10 * (2**n - 1), 10 * 2**n
    assert start <= FAR < start + length
    exact = 0.003 + (BASE - 0.003) * (1 + math.cos(math.pi * (FAR - start) / length)) / 2
    assert s(FAR) == pytest.approx(exact, rel=1e-12)


def stepped(scheduler, steps: int) -> list[tuple[float, float]]:
    """Learning rate and momentum at the steps 0, 1, …"""
    found, group = [], scheduler.optimizer.param_groups[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the optimizer takes no steps here
        for _ in range(steps):
            found.append((group["lr"], group["momentum"]))
            scheduler.step()
    return found


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
@pytest.mark.parametrize(("up", "down"), [(8, 5), (4, 4)])
def test_equal_to_cyclic(mode, up, down):
    gamma = 0.97
    scheduler = lr_scheduler.CyclicLR(dummy(), 0.01, BASE, up, down, mode, gamma, cycle_momentum=False)
    s = cyclic(up, 0.01, BASE, down, mode, gamma)
    for step, (lr, _) in enumerate(stepped(scheduler, 5 * (up + down) + 2)):
        assert s(step) == pytest.approx(lr, rel=1e-12), step

    x = Fraction(FAR, up + down) % 1 * (up + down)  # torch's own sum has lost 8 digits by then
    rise = x / up if x <= up else (up + down - x) / down
    scale = {"triangular": 1.0, "triangular2": 0.5 ** (FAR // (up + down)), "exp_range": gamma**FAR}[mode]
    assert s(FAR) == pytest.approx(0.01 + (BASE - 0.01) * float(rise) * scale, rel=1e-12)


def test_momentum_cycles_the_other_way():
    scheduler = lr_scheduler.CyclicLR(dummy(), 0.01, BASE, 8, base_momentum=0.8, max_momentum=0.9)
    s = cyclic(8, 0.9, 0.8)
    for step, (_, momentum) in enumerate(stepped(scheduler, 40)):
        assert s(step) == pytest.approx(momentum, rel=1e-12)


@pytest.mark.parametrize("shape", ["cos", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize(("steps", "pct"), [(100, 0.3), (77, 0.25), (10, 0.4)])
def test_equal_to_one_cycle(shape, three_phase, steps, pct):
    scheduler = lr_scheduler.OneCycleLR(
        dummy(), BASE, steps, pct_start=pct, anneal_strategy=shape, div_factor=20, final_div_factor=1e3,
        three_phase=three_phase,
    )  # fmt: skip
    lr = BASE * one_cycle(steps, pct, 20, 1e3, shape, three_phase)
    momentum = one_cycle_momentum(steps, pct, shape=shape, three_phase=three_phase)
    found = stepped(scheduler, steps)
    for step, (theirs, their_momentum) in enumerate(found):
        assert lr(step) == pytest.approx(theirs, rel=1e-12), step
        assert momentum(step) == pytest.approx(their_momentum, rel=1e-12), step
    assert lr(FAR) == pytest.approx(found[-1][0], rel=1e-12)  # torch raises there
    assert lr.length == steps


def test_fastais_one_cycle_from_its_documentation():
    def of(fraction, *values):
        """combined_cos(pct, start, middle, end) with sched_cos(a, b, x) = a + (1 + cos(π(1 − x)))·(b − a)/2."""
        a, b, x = (*values[:2], fraction / 0.25) if fraction < 0.25 else (*values[1:], (fraction - 0.25) / 0.75)
        return a + (1 + math.cos(math.pi * (1 - x))) * (b - a) / 2

    lr, momentum = schedules.one_cycle_fastai(200), schedules.one_cycle_fastai_momentum(200)
    for step in (0, 1, 49, 50, 51, 120, 199, 200):
        assert lr(step) == pytest.approx(of(step / 200, 1 / 25, 1, 1e-5), rel=1e-12, abs=1e-16)
        assert momentum(step) == pytest.approx(of(step / 200, 0.95, 0.85, 0.95), rel=1e-12)
    assert lr(FAR) == 1e-5


@pytest.mark.parametrize("settings", [
    {"patience": 2}, {"patience": 0, "cooldown": 3, "factor": 0.5}, {"mode": "max", "patience": 1},
    {"threshold": 0.1, "threshold_mode": "abs", "patience": 1}, {"min_lr": 0.01, "patience": 0},
    {"mode": "max", "threshold": 0.05, "threshold_mode": "abs", "patience": 1, "eps": 1e-3},
])  # fmt: skip
def test_plateau_equals_torchs(settings):
    generator = torch.Generator().manual_seed(3)
    metrics = (torch.rand(200, generator=generator) - 0.2).cumsum(0).sin().tolist()
    optimizer = dummy()
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
    ours = plateau(start=BASE, **settings)
    values = set()
    for metric in [*metrics, math.nan, math.nan, 5.0, -5.0]:
        theirs.step(metric)
        assert ours.observe(metric) == optimizer.param_groups[0]["lr"]
        values.add(ours.value)
    assert len(values) > 2


def test_sequential_is_then():
    optimizer = dummy()
    theirs = lr_scheduler.SequentialLR(
        optimizer,
        [lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 5), lr_scheduler.CosineAnnealingLR(optimizer, 20)],
        milestones=[5],
    )
    ours = BASE * (linear(5, 0.1, 1.0) >> cosine(20))
    for step, (lr, _) in enumerate(stepped(theirs, 25)):
        assert ours(step) == pytest.approx(lr, rel=1e-12), step
