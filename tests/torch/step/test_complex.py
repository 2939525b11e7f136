"""Complex parameters: as torch where torch takes them, refused by name where it does not."""

import pytest
import torch

import descend.torch as ours

TAKEN = [
    ("Rprop", {}), ("Adagrad", {"initial_accumulator_value": 0.5}), ("Adam", {"amsgrad": True}), ("AdamW", {}),
    ("SGD", {"momentum": 0.9}), ("RMSprop", {"centered": True, "momentum": 0.9}), ("Adadelta", {}), ("Adamax", {}),
    ("NAdam", {}), ("RAdam", {}), ("ASGD", {}),
]  # fmt: skip
CLOSE = {torch.complex64: 1e-6, torch.complex128: 1e-9}  # torch keeps NAdam's and ASGD's numbers in float32


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize(("name", "arguments"), TAKEN)
def test_equals_torch_in_any_layout_and_with_lazy_gradients(name, arguments, dtype):
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(4, 3, dtype=dtype, generator=draw)
    params = {
        "theirs": torch.nn.Parameter(start.clone()),
        "plain": torch.nn.Parameter(start.clone()),
        "lazy gradient": torch.nn.Parameter(start.clone()),
        "columns first": torch.nn.Parameter(start.t().contiguous().t()),
        "a lazy conjugate": torch.nn.Parameter(start.conj().clone().conj()),
    }
    made = {
        key: getattr(torch.optim if key == "theirs" else ours, name)([p], lr=0.01, **arguments)
        for key, p in params.items()
    }
    for t in range(8):
        g = torch.randn(4, 3, dtype=dtype, generator=draw)
        for key, p in params.items():
            p.grad = g.conj().clone().conj() if key == "lazy gradient" else g.clone()
            made[key].step()
        if t == 3:
            made["plain"] = getattr(ours, name)([params["plain"]], lr=0.01, **arguments)
            made["plain"].load_state_dict(made["theirs"].state_dict())
    for key, p in params.items():
        assert (p - params["theirs"]).abs().max() <= CLOSE[dtype], key


@pytest.mark.parametrize("name", ["Muon", "Adafactor", "Lion"])
def test_refused_by_name_before_anything_changes(name):
    first = torch.nn.Parameter(torch.ones(3, 2))
    z = torch.nn.Parameter(torch.ones(3, 2, dtype=torch.complex64))
    opt = getattr(ours, name)([("first", first), ("spectrum", z)])
    for _ in range(2):
        first.grad, z.grad = torch.ones_like(first), torch.ones_like(z)
        with pytest.raises(RuntimeError, match=f"'spectrum'.*{name} does not support complex parameters"):
            opt.step()
        assert (first == 1).all()
        assert (z == 1).all()
        assert not opt.state


def test_muon_steps_the_complex_vectors_that_adamw_has_there():
    z, w = (torch.nn.Parameter(torch.ones(3, dtype=torch.complex64)) for _ in range(2))
    mixed, plain = ours.Muon([{"params": [z], "adamw": True, "lr": 0.1}]), ours.AdamW([w], lr=0.1, weight_decay=0.1)
    for _ in range(3):
        z.grad, w.grad = z.detach() * 2j, w.detach() * 2j
        mixed.step()
        plain.step()
    assert (z - w).abs().max() <= 1e-6
