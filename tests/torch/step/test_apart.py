"""Tensors of one optimizer that stand at different steps, or have different settings, step as each would alone."""

import pytest
import torch

import descend.torch
from descend import chain, full, rule, rules, total
from descend.engines import load

pytestmark = pytest.mark.usefixtures("one_thread")
TUNED = [name for name, rule in rules.all().items() if any(slot.init.shape == "all" for slot in rule.slots)]
ALONE = {name: rule for name, rule in rules.all().items() if name not in TUNED}
CHAINS = {
    "averages": chain(rules.asgd, rules.ema, rules.swa),
    "lookahead": chain(rules.nadam, rules.lookahead),
    "everything": chain(rules.clip_tensor, rules.decay_l2, rules.novograd, rules.cautious, rules.ema),
    "decay": chain(rules.schedule_free_adamw, rules.cautious_weight_decay),
}
SHAPES = [(6, 5), (4, 7), (5, 6), (7,), (3, 4)]
STEPS = 24
GROUPS = [[0, 1], [2, 3], [4]]  # the last is added on the way
ADDED = 6
MISSING = {(7, 1), (8, 1), (3, 2), (4, 2), (0, 3), (1, 0), (13, 0), (15, 4)}


def rate(group: int, t: int) -> float:
    return (0.01, 0.03, 0.02)[group] / (1 + 0.1 * t)


def decayed(rule: object, group: int) -> dict[str, float]:
    return {"weight_decay": (0.01, 0.1, 0.05)[group]} if "weight_decay" in rule.settings else {}


def run(rule, tensors: list[int], engine: str, reload: bool, in_backward: bool = False) -> dict[int, torch.Tensor]:
    """The tensors of these numbers, stepped together."""
    draw = torch.Generator().manual_seed(1)
    first = [torch.randn(s, dtype=torch.float64, generator=draw) for s in SHAPES]
    grads = [[torch.randn(s, dtype=torch.float64, generator=draw) for s in SHAPES] for _ in range(STEPS)]
    params = {i: torch.nn.Parameter(first[i].clone()) for i in tensors}
    groups = [[i for i in group if i in tensors] for group in GROUPS]

    def group_of(g: int) -> dict:
        return {"params": [params[i] for i in groups[g]], "lr": rate(g, 0), **decayed(rule, g)}

    def made(count: int):
        given = [group_of(g) for g in range(count) if groups[g]]
        if in_backward:
            return descend.torch.step_in_backward(given, rule, engine=engine)
        return descend.torch.optimizer(rule)(given, engine=engine)

    opt = made(2) if groups[0] + groups[1] else None
    for t in range(STEPS):
        if t == ADDED and groups[2]:
            if opt is None:
                opt = made(3)
            else:
                opt.add_param_group(group_of(2))
        if opt is None:
            continue
        for group in opt.param_groups:
            g = next(g for g, members in enumerate(groups) if any(group["params"][0] is params[i] for i in members))
            group["lr"] = rate(g, t)
        having = [i for i in tensors if (t, i) not in MISSING and (i not in GROUPS[2] or t >= ADDED)]
        if in_backward:
            if having:
                sum((params[i] * grads[t][i]).sum() for i in having).backward()
            continue
        for i, p in params.items():
            p.grad = grads[t][i].clone() if i in having else None
        opt.step()
        if reload and t == 12:
            saved, opt = opt.state_dict(), made(3)
            opt.load_state_dict(saved)
    return {i: p.detach() for i, p in params.items()}


def check(rule, engine: str, reload: bool = False, **how) -> None:
    together = run(rule, list(range(len(SHAPES))), engine, reload, **how)
    for i in range(len(SHAPES)):
        alone = run(rule, [i], engine, reload)[i]
        worst = ((alone - together[i]).abs().max() / alone.abs().max()).item()
        assert worst <= 1e-13, f"tensor {i}"


def engines_of(rule) -> list[str]:
    return ["torch", "numpy"] if load("llvm").refuses(rule, "float64") else ["llvm", "torch", "numpy"]


CASES = [(name, engine) for name, rule in {**ALONE, **CHAINS}.items() for engine in engines_of(rule)]


@pytest.mark.parametrize(("name", "engine"), CASES)
def test_each_tensor_steps_as_if_alone(name: str, engine: str) -> None:
    check({**ALONE, **CHAINS}[name], engine)


@pytest.mark.parametrize("engine", ["llvm", "torch"])
@pytest.mark.parametrize("name", ["asgd", "nadam", "novograd", "schedule_free_adamw", "averages"])
def test_also_from_a_checkpoint_and_in_the_backward(name: str, engine: str) -> None:
    check({**ALONE, **CHAINS}[name], engine, reload=True)
    check({**ALONE, **CHAINS}[name], engine, in_backward=True)


ONE_FOR_ALL = full(1.0, shape="all")


@rule
def counted_for_all(p, g, d=ONE_FOR_ALL, *, t, lr=1e-2, beta=0.9):
    """A number for all parameters that is made of the step and of settings, which differ."""
    d = beta * d + lr * total(g * g, over="all") / t
    p = p - lr * d * g
    return p, d


SHARED = {**{name: rules.all()[name] for name in TUNED}, "counted_for_all": counted_for_all}


def shared_run(rule, engine: str) -> list[torch.Tensor]:
    """Tensors that share numbers: in two groups, one added on the way, each without a gradient now and then."""
    draw = torch.Generator().manual_seed(2)
    params = [torch.nn.Parameter(torch.randn(s, dtype=torch.float64, generator=draw)) for s in SHAPES]
    betas = {"betas": (0.9, 0.99)} if "beta2" in rule.settings else {"beta": 0.8} if "beta" in rule.settings else {}
    groups = [{"params": params[:2], "lr": 0.5}, {"params": params[2:4], "lr": 1.0, **betas}]
    opt = descend.torch.optimizer(rule)(groups, engine=engine)
    shared = [slot.saved_as for slot in rule.slots if slot.init.shape == "all"]
    numbers: dict[str, list[float]] = {name: [] for name in shared}
    for t in range(STEPS):
        if t == ADDED:
            opt.add_param_group({"params": params[4:], "lr": 0.2})
        for i, p in enumerate(params):
            g = torch.randn(p.shape, dtype=torch.float64, generator=draw)
            p.grad = None if (t, i) in MISSING else g
        opt.step()
        for name in shared:
            found = {float(entries[name]) for entries in opt.state.values() if entries}
            assert len(found) == 1, f"{name} at step {t}: {found}"
            numbers[name] += found
    if "d" in numbers and rule is not counted_for_all:
        assert numbers["d"] == sorted(numbers["d"]), "the estimate fell back"
    return [p.detach() for p in params]


@pytest.mark.parametrize("name", SHARED)
def test_numbers_for_all_parameters_are_one(name: str) -> None:
    expected = shared_run(SHARED[name], "numpy")
    for engine in ("llvm", "torch"):
        for a, b in zip(shared_run(SHARED[name], engine), expected, strict=True):
            assert (a - b).abs().max() <= 1e-13 * b.abs().max(), engine


def test_a_parameter_of_another_type_joins_the_estimate_of_the_others() -> None:
    first, late = torch.nn.Parameter(torch.ones(4)), torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
    opt = descend.torch.optimizer(rules.dowg)([first])
    for _ in range(5):
        first.grad = torch.ones(4)
        opt.step()
    far = float(opt.state[first]["far"])
    opt.add_param_group({"params": [late]})
    first.grad, late.grad = None, torch.ones(4, dtype=torch.float64)
    opt.step()
    assert float(opt.state[late]["far"]) >= far > 1e-4
    assert float(opt.state[first]["far"]) == float(opt.state[late]["far"])
