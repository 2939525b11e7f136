"""The same numbers as torch.optim, in parameters and state, for every combination of arguments."""

import itertools

import pytest
import torch
from torch.nn import Parameter
from twins import (
    CLASSES,
    ENGINES,
    STATEFUL,
    TOLERANCE,
    assert_close,
    distances,
    feed,
    parameters,
    theirs,
    train,
    twin,
    widen,
)

import descend.torch as ours


def cross(**choices):
    return [dict(zip(choices, values, strict=True)) | {"lr": 0.01} for values in itertools.product(*choices.values())]


DECAY = {"weight_decay": (0, 0.1), "maximize": (False, True)}
GRID = {
    "SGD": [
        s
        for s in cross(momentum=(0, 0.9), dampening=(0, 0.3), nesterov=(False, True), **DECAY)
        if not s["nesterov"] or (s["momentum"] and not s["dampening"])
    ],
    "Adagrad": cross(lr_decay=(0.1,), initial_accumulator_value=(0, 0.5), eps=(1e-3,), **DECAY),
    "RMSprop": cross(momentum=(0, 0.8), centered=(False, True), alpha=(0.9,), eps=(1e-3,), **DECAY),
    "Adam": cross(betas=((0.5, 0.7), (0.0, 0.9)), eps=(1e-4,), **DECAY),
    "AdamW": cross(betas=((0.8, 0.0),), eps=(1e-8,), **DECAY),
    "Lion": cross(betas=((0.5, 0.8),), **DECAY),
}
EVERY = [(name, settings) for name, grid in GRID.items() for settings in grid]
# One of each kernel that differs by more than a sign or the decay.
CHOSEN = [
    ("SGD", {"lr": 0.01}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
    ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    ("Adam", {"weight_decay": 0.1, "maximize": True}),
    ("AdamW", {}),
    ("Lion", {"weight_decay": 0.1}),
]


def follow(name, settings, dtype, engine):
    """300 steps, free-running.

    In float32 torch's own rounding walks up to 8e-6 away from the exact path (0.99999 rounds, 300 times),
    and its fused kernels up to 1e-6 from its loop. So the tolerance counts from torch's own distance to
    the float64 path, and descend may be no further from that path than torch is. Magnitude is the
    largest on the path so far: an average that fades keeps the error it got when it was large.
    """
    mine, reference = twin(name, dtype, engine, **settings)
    assert mine[0].engine == engine
    runs = [mine, reference]
    peaks = {}
    if dtype is torch.float32:
        wide = [Parameter(x.detach().double()) for x in mine[1]]
        exact = theirs(name, wide, **settings), wide
    done = 0
    for until in (1, 2, 3, 10, 300):
        for t in range(done, until):
            train(range(t, t + 1), *runs)
            if dtype is torch.float32:
                for x, w in zip(mine[1], wide, strict=True):
                    w.grad = x.grad.double()
                exact[0].step()
                widen(peaks, *exact)
        if dtype is torch.float32:
            own = distances(reference, exact, peaks)
            off = distances(mine, reference, peaks), distances(mine, exact, peaks)
            far = {k: [d[k] for d in off] for k in own if max(d[k] for d in off) > own[k] + TOLERANCE[dtype]}
            assert not far, f"{name} {settings} after {until} steps: {far}, torch itself: {own}"
        else:
            assert_close(mine, reference, TOLERANCE[dtype], f"{name} {settings} after {until} steps:")
        done = until


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("name", "settings"), CHOSEN, ids=str)
def test_300_steps_as_torch(name, settings, dtype, engine):
    follow(name, settings, dtype, engine)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "settings"), EVERY, ids=str)
def test_300_steps_as_torch_for_every_combination(name, settings, engine):
    follow(name, settings, torch.float64, engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "settings"), CHOSEN, ids=str)
def test_one_float32_step_from_torchs_own_state(name, settings, engine):
    """Nothing piles up here, and lr = 1 makes an error of a coefficient as large as the step itself."""
    mine, reference = twin(name, torch.float32, engine, **settings)
    peaks = {}
    for t in range(30):
        for opt, _ in (mine, reference):
            opt.param_groups[0]["lr"] = 1.0
        train(range(t, t + 1), mine, reference)
        widen(peaks, *reference)
        far = {k: d for k, d in distances(mine, reference, peaks).items() if not d <= TOLERANCE[torch.float32]}
        assert not far, f"step {t}: {far}"
        for p, q in zip(mine[1], reference[1], strict=True):
            p.data.copy_(q.detach())
            for key, value in reference[0].state[q].items():
                if key != "step" and value is not None and mine[0].state[p]:
                    mine[0].state[p][key].copy_(value)


@pytest.mark.parametrize("name", CLASSES)
def test_numpy_engine_takes_the_same_steps(name):
    mine, reference = twin(name, torch.float64, "numpy", lr=0.01, **STATEFUL.get(name, {}))
    assert mine[0].engine == "numpy"
    train(range(20), mine, reference)
    assert_close(mine, reference, 1e-14)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CLASSES)
def test_every_parameter_counts_its_own_steps(name, engine):
    """A parameter that first gets a gradient at step 4 is at its first step then, whatever the others did."""
    settings = {"momentum": 0.9, "dampening": 0.4} if name == "SGD" else STATEFUL.get(name, {})
    mine, reference = twin(name, torch.float64, engine, lr=0.01, **settings)
    for t in range(12):
        for opt, params in (mine, reference):
            feed(params, t)
            if t < 4:
                params[1].grad = None
            if t % 3 == 1:
                params[0].grad = None
            if t < 11:
                params[4].grad = None
            opt.step()
        assert_close(mine, reference, 1e-14, f"step {t}:")
    assert reference[0].state[reference[1][1]] or name == "SGD"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("SGD", [{"lr": 0.5}, {"momentum": 0.5}, {"weight_decay": 0.2}, {"maximize": True}, {"lr": 1e-4}]),
        (
            "SGD",
            [{"momentum": 0.9}, {"nesterov": True}, {"momentum": 0, "nesterov": False}, {"momentum": 0.5}],
        ),
        ("RMSprop", [{"alpha": 0.5}, {"eps": 1e-2}, {"momentum": 0.3}, {"weight_decay": 0.1}]),
        ("Adagrad", [{"lr_decay": 0.5}, {"eps": 1e-2}, {"weight_decay": 0.1, "maximize": True}]),
        ("Adam", [{"betas": (0.5, 0.9)}, {"eps": 0.1}, {"weight_decay": 0.1}, {"lr": 0.0}, {"lr": 1}]),
        ("AdamW", [{"weight_decay": 0}, {"maximize": True}, {"weight_decay": 0.3}]),
    ],
    ids=str,
)
def test_settings_changed_between_steps_count_at_once(name, changes, engine):
    mine, reference = twin(name, torch.float64, engine, lr=0.01, **(STATEFUL[name] if name == "RMSprop" else {}))
    done = 0
    for change in [{}, *changes]:
        for opt, _ in (mine, reference):
            opt.param_groups[0].update(change)
        train(range(done, done + 3), mine, reference)
        done += 3
        assert_close(mine, reference, 1e-14, f"after {change}:")


@pytest.mark.parametrize("engine", ENGINES)
def test_groups_with_different_settings_are_several_optimizers(engine):
    per_group = [
        {},
        {"lr": 0.5, "weight_decay": 0.3},
        {"maximize": True},
        {"momentum": 0.7, "nesterov": True},
        {"momentum": 0, "lr": 0.0},
    ]
    built = []
    for make, params in ((ours.SGD, parameters()), (theirs, parameters())):
        groups = [{"params": [p], **s} for p, s in zip(params, per_group, strict=True)]
        args = ("SGD", groups) if make is theirs else (groups,)
        built.append((make(*args, lr=0.1, momentum=0.9, **({} if make is theirs else {"engine": engine})), params))
    train(range(10), *built)
    assert_close(*built, 1e-14)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["SGD", "Adagrad", "Adam", "AdamW"])
def test_tensor_lr_changed_in_place(name, engine):
    mine, reference = twin(name, torch.float64, engine, lr=torch.tensor(0.01, dtype=torch.float64))
    for lr in (0.01, 0.3, 0.0):
        mine[0].param_groups[0]["lr"].fill_(lr)
        reference[0].param_groups[0]["lr"] = torch.tensor(lr, dtype=torch.float64)
        train(range(3), mine, reference)
        assert_close(mine, reference, 1e-14, f"lr {lr}:")
