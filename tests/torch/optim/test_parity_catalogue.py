"""The other classes of torch.optim: 100 steps, state included; half-way each loads the other's checkpoint."""

import copy

import pytest
import torch

import descend.torch as ours

CASES = [
    ("Adadelta", {"weight_decay": 0.1}),
    ("Adamax", {"maximize": True}),
    ("NAdam", {"weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"weight_decay": 0.1, "betas": (0.9, 0.99)}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "betas": (0.9, 0.9)}),
    ("Rprop", {}),
    ("Rprop", {"etas": (0.4, 1.3), "step_sizes": (1e-3, 0.1)}),
    ("ASGD", {"t0": 5.0, "lambd": 0.01, "weight_decay": 0.1}),
    ("Adafactor", {"weight_decay": 0.1}),
    ("Adafactor", {"eps": (1e-4, 1e-2), "d": 2.0, "beta2_decay": -0.6}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"amsgrad": True}),
]
# torch keeps these numbers in float32 once they have been through a checkpoint, so only the unbroken run is compared
IN_FLOAT32 = {"NAdam", "ASGD"}
BARS = {torch.float64: 1e-13, torch.float32: 1e-6}


@pytest.mark.parametrize("dtype", BARS, ids=str)
@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_equals_torch(name, arguments, dtype):
    made = torch.Generator().manual_seed(0)
    theirs = [torch.nn.Parameter(torch.randn(s, generator=made, dtype=dtype)) for s in [(7, 5), (33,), (2, 3, 4, 4)]]
    mine = [torch.nn.Parameter(x.detach().clone()) for x in theirs]
    a, b = getattr(torch.optim, name)(theirs, **arguments), getattr(ours, name)(mine, **arguments)
    for step in range(100):
        for x, y in zip(theirs, mine, strict=True):
            size = 10 ** (6 * torch.rand(x.shape, generator=made, dtype=dtype) - 4)
            x.grad = torch.randn(x.shape, generator=made, dtype=dtype) * size
            y.grad = x.grad.clone()
        a.step()
        b.step()
        if step == 50 and name not in IN_FLOAT32:
            one, other = copy.deepcopy(a.state_dict()), copy.deepcopy(b.state_dict())
            a.load_state_dict(other)
            b.load_state_dict(one)
    bar = 1e-6 if name in IN_FLOAT32 else BARS[dtype]
    for x, y in zip(theirs, mine, strict=True):
        assert (x - y).abs().max() <= bar * x.abs().max()
        for key, value in a.state[x].items():
            value = torch.as_tensor(value)
            assert (value - b.state[y][key]).abs().max() <= bar * value.abs().max(), key


def test_every_rule_has_a_class_by_its_name():
    from descend.torch import AdEMAMix, ScheduleFreeAdamW

    assert AdEMAMix.spec.arguments["alpha"] == 5.0
    assert issubclass(ScheduleFreeAdamW, torch.optim.Optimizer)
    with pytest.raises(AttributeError, match="'AdEMAMix'"):
        ours.AdEMAMixx  # noqa: B018
