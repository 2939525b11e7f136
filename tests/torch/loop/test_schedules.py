"""Schedules as settings: which step they see, and what a checkpoint keeps of them."""

import io

import pytest
import torch
from twins import ENGINES

import descend.torch as ours
from descend import schedules

WARM = 1e-2 * (schedules.linear_warmup(5) >> schedules.cosine(10))


def made(cls=ours.AdamW, **settings):
    p = torch.nn.Parameter(torch.linspace(1, 2, 3, dtype=torch.float64))
    return p, cls([p], **settings)


def run(p, opt, steps):
    for t in steps:
        p.grad = torch.sin(torch.arange(3, dtype=torch.float64) + t)
        opt.step()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_schedule_is_asked_with_the_number_of_steps_taken(engine):
    p, opt = made(ours.SGD, lr=WARM, engine=engine)
    for t in range(17):
        before, (p.grad,) = p.detach().clone(), (torch.ones(3, dtype=torch.float64),)
        opt.step()
        assert torch.allclose(
            before - p.detach(), torch.full((3,), WARM(t), dtype=torch.float64), rtol=1e-12, atol=1e-15
        )


def test_any_setting_takes_one():
    given = {
        "lr": WARM,
        "betas": (schedules.linear(10, 0.8, 0.95), 0.99),
        "weight_decay": schedules.linear(10, 0.1, 0.0),
    }
    p, opt = made(**given)
    q, _ = made()
    run(p, opt, range(12))
    for t in range(12):
        settings = {"lr": WARM(t), "betas": (given["betas"][0](t), 0.99), "weight_decay": given["weight_decay"](t)}
        if not t:
            ref = ours.AdamW([q], **settings)
        ref.param_groups[0].update(settings)
        run(q, ref, [t])
    assert torch.equal(p, q)


def test_steps_that_were_skipped_do_not_count():
    p, opt = made(lr=WARM, nonfinite="skip")
    q, ref = made(lr=WARM)
    for t in range(10):
        if t % 3 == 0:
            p.grad = torch.full((3,), float("nan"), dtype=torch.float64)
            opt.step()
        run(p, opt, [t])
        run(q, ref, [t])
    assert torch.equal(p, q)
    assert (opt.steps, opt.skipped) == (10, 4)


def test_a_resumed_run_needs_the_checkpoint_alone_and_may_be_longer():
    p, opt = made(lr=WARM)
    run(p, opt, range(6))
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    longer = 1e-2 * (schedules.linear_warmup(5) >> schedules.cosine(100))
    for schedule in (WARM, longer):
        file.seek(0)
        q, other = made(lr=schedule)
        q.data.copy_(p)
        other.load_state_dict(torch.load(file, weights_only=True))
        assert other.steps == 6
        before = q.detach().clone()
        run(q, other, [6])
        r, plain = made(lr=schedule(6))
        r.data.copy_(before)
        file.seek(0)
        plain.load_state_dict(torch.load(file, weights_only=True))
        plain.param_groups[0]["lr"] = schedule(6)
        run(r, plain, [6])
        assert torch.equal(q, r)


def test_torch_s_class_loads_what_a_schedule_said_last():
    p, opt = made(lr=WARM)
    run(p, opt, range(6))
    q = torch.nn.Parameter(p.detach().clone())
    theirs = torch.optim.AdamW([q])
    theirs.load_state_dict(opt.state_dict())
    assert theirs.param_groups[0]["lr"] == WARM(6)


def test_values_that_a_setting_refuses_are_found_before_the_run():
    with pytest.raises(ValueError, match=r"lr must not be negative, got -0\.0.* at step 6"):
        made(lr=schedules.linear(10, 0.1, -0.1))
    with pytest.raises(ValueError, match=r"beta1 must be in \[0, 1\).* at step"):
        made(betas=(schedules.linear(10, 0.9, 1.0), 0.999))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_factor_of_rprop_takes_one(engine):
    etas = schedules.linear(5, 0.5, 0.4), schedules.linear(5, 1.2, 1.3)
    p, opt = made(ours.Rprop, etas=etas, engine=engine)
    q, theirs = made(torch.optim.Rprop)
    for t in range(8):
        theirs.param_groups[0]["etas"] = tuple(eta(t) for eta in etas)
        run(p, opt, [2 * t])
        run(q, theirs, [2 * t])
    torch.testing.assert_close(p, q, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("etas", "says"), [
    ((schedules.linear(5, 0.5, 1.4), 1.2), "eta_minus must not be 1.04, its value at step 3"),
    ((0.5, schedules.linear(5, 1.2, 1.0)), "eta_plus must not be 1.0, its value at step 5"),
    ((schedules.linear(5, 0.5, 0.4), 0.9), "Invalid eta values"),
    ((schedules.linear(5, 0.5, -0.5), 1.2), "eta_minus must not be negative"),
])  # fmt: skip
def test_factors_of_rprop_on_the_wrong_side_of_1_are_found_before_the_run(etas, says):
    with pytest.raises(ValueError, match=says):
        made(ours.Rprop, etas=etas)
