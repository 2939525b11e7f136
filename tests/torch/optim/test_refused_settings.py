"""Settings that torch's constructors refuse are refused wherever they come from."""

import pytest
import torch

import descend.torch as ours
from descend import schedules

REFUSED = [
    ("Adafactor", "d", 0.5, "Clipping threshold d should be >= 1"),
    ("Adafactor", "d", 0.0, "Clipping threshold d should be >= 1"),
    ("Adafactor", "beta2_decay", 0.8, "beta2_decay should be <= 0"),
    ("Rprop", "etas", (0.0, 1.2), "Invalid eta values"),
    ("Rprop", "etas", (0.5, 1.0), "Invalid eta values"),
]


@pytest.mark.parametrize(("name", "setting", "value", "words"), REFUSED)
def test_at_construction_later_and_from_a_checkpoint(name, setting, value, words):
    p = torch.nn.Parameter(torch.ones(2, 2))
    p.grad = torch.ones(2, 2)
    cls = getattr(ours, name)
    with pytest.raises(ValueError, match=words):
        cls([p], **{setting: value})
    with pytest.raises(ValueError, match=words):
        getattr(torch.optim, name)([p], **{setting: value})
    with pytest.raises(ValueError, match=words):
        cls([{"params": [p], setting: value}])
    opt = cls([p])
    saved = opt.state_dict()
    saved["param_groups"][0][setting] = value
    with pytest.raises(ValueError, match=words):
        opt.load_state_dict(saved)
    opt.step()
    before, taken = p.detach().clone(), float(opt.state[p]["step"])
    opt.param_groups[0][setting] = value
    with pytest.raises(ValueError, match=words):
        opt.step()
    assert torch.equal(p, before)
    assert float(opt.state[p]["step"]) == taken


def test_scheduled_also_by_a_function_that_cannot_be_looked_ahead():
    p = torch.nn.Parameter(torch.ones(2, 2))
    with pytest.raises(ValueError, match="d must not be"):
        ours.Adafactor([p], d=2.0 * schedules.linear_warmup(4))
    opt = ours.Adafactor([p], d=lambda step: 2.0 - step)
    for t in range(3):
        p.grad, before = torch.ones(2, 2), p.detach().clone()
        if t < 2:
            opt.step()
            continue
        with pytest.raises(ValueError, match=r"Clipping threshold d should be >= 1 but is: 0.0, at step 2"):
            opt.step()
        assert torch.equal(p, before)
