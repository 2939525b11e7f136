"""KFAC among others: what it hears, checkpoints, copies, schedulers, scaled losses, refusals."""

import copy
import gc
import io
import pickle
import weakref

import pytest
import torch
from test_kfac import Everything, batch, normal, train, two_layers
from torch import nn

from descend import schedules
from descend.stepping import NonFiniteGradient
from descend.torch import KFAC


def loss_of(model, seed=0, n=9):
    return nn.functional.mse_loss(model(normal(n, 3, seed=seed)), normal(n, 2, seed=seed + 50))


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def steps(opt, model, seeds):
    for seed in seeds:
        opt.zero_grad()
        loss_of(model, seed).backward()
        opt.step()


def saved(opt):
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_a_resumed_run_has_the_bits_of_one_that_went_on():
    torch.manual_seed(0)
    settings = {"averaged_over": 2, "factor_update_steps": 2, "inv_update_steps": 3}
    model = Everything()
    opt = KFAC(model, **settings)
    train(opt, model, 4)
    twin = copy.deepcopy(model)
    assert hooks(twin) == hooks(model)  # deaf ones
    other = KFAC(twin, **settings)
    other.load_state_dict(saved(opt))
    for o, m in ((opt, model), (other, twin)):
        train(o, m, 3)
    for (name, p), q in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q), name


def test_copies_and_pickles_of_the_model_are_not_heard():
    model = two_layers()
    opt = KFAC(model)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        loss_of(twin).backward()
        assert not opt._recorder.moments
    loss_of(model).backward()
    assert len(opt._recorder.moments) == 2
    with pytest.raises(TypeError, match="save state_dict"):
        copy.deepcopy(opt)


def test_evaluation_is_not_heard():
    model = two_layers()
    opt = KFAC(model)
    with torch.no_grad():
        loss_of(model)
    loss_of(model)  # no backward pass follows
    model.eval()
    loss_of(model).backward()
    assert not opt._recorder.moments
    model.train()
    loss_of(model).backward()
    assert len(opt._recorder.moments) == 2


def test_closing_and_forgetting_take_the_hooks_away():
    model = Everything()
    opt = KFAC(model)
    assert hooks(model)
    opt.close()
    opt.close()
    assert not hooks(model)
    model = Everything()
    opt = KFAC(model)
    gone = weakref.ref(opt)
    train(opt, model, 2)
    del opt
    gc.collect()
    assert gone() is None
    assert not hooks(model)


def test_a_forward_pass_that_fails_leaves_no_mode_behind():
    attention = nn.MultiheadAttention(4, 2)
    KFAC(attention)
    opt = KFAC(attention)
    x = torch.randn(3, 2, 4)
    with pytest.raises(AssertionError):
        attention(x, x, torch.randn(9, 2, 4))
    assert torch._C._len_torch_function_stack() == 0
    attention(x, x, x)[0].sum().backward()
    opt.step()
    assert len(opt.factors) == 4


def test_attention_gives_the_same_bits_with_hooks_and_without():
    attention = nn.MultiheadAttention(8, 2)
    x = torch.randn(5, 3, 8)
    plain = attention(x, x, x)[0]
    opt = KFAC(attention)
    assert torch.equal(attention(x, x, x)[0], plain)
    opt.close()


def test_a_scaled_loss_changes_nothing():
    runs = []
    for scale in (None, 2.0**10):
        model = two_layers()
        opt = KFAC(model)
        for seed in range(4):
            opt.zero_grad()
            (loss_of(model, seed) * (scale or 1)).backward()
            if scale:
                opt.grad_scale, opt.found_inf = torch.tensor(scale), torch.tensor(0.0)  # as a GradScaler sets them
            opt.step()
        runs.append([p.detach() for p in model.parameters()])
    for a, b in zip(*runs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_a_grad_scaler_steps_it():
    model = two_layers().float()
    opt = KFAC(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8, growth_interval=1)
    twin = two_layers().float()
    plain = KFAC(twin)
    x, y = normal(9, 3).float(), normal(9, 2, seed=1).float()
    for unscaled in (False, True, False):
        opt.zero_grad(), plain.zero_grad()
        scaler.scale(nn.functional.mse_loss(model(x), y)).backward()
        nn.functional.mse_loss(twin(x), y).backward()
        if unscaled:
            scaler.unscale_(opt)
            with pytest.raises(RuntimeError, match=r"loss_scale=scaler\.get_scale"):
                scaler.step(opt)
            scaler.step(opt, loss_scale=scaler.get_scale())
        else:
            scaler.step(opt)
        plain.step()
        scaler.update()
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)
    before = [p.detach().clone() for p in model.parameters()]
    opt.zero_grad()
    scaler.scale(nn.functional.mse_loss(model(x), y * torch.inf)).backward()
    scaler.step(opt)
    assert opt.skipped == 1
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_a_gradient_that_is_not_finite_changes_nothing(nonfinite):
    model = two_layers()
    opt = KFAC(model, nonfinite=nonfinite)
    steps(opt, model, range(2))
    before = [p.detach().clone() for p in model.parameters()]
    factors = opt.factors
    opt.zero_grad()
    (loss_of(model) * torch.inf).backward()
    if nonfinite == "raise":
        with pytest.raises(NonFiniteGradient):
            opt.step()
    else:
        opt.step()
        assert opt.skipped == 1
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert opt.factors == factors
    steps(opt, model, [3])
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_schedules_and_schedulers_set_the_rate():
    model = two_layers()
    opt = KFAC(model, lr=schedules.linear_warmup(4) * 0.1)
    assert opt.param_groups[0]["lr"] == pytest.approx(0.0)
    steps(opt, model, range(2))
    assert opt.param_groups[0]["lr"] == pytest.approx(0.05)
    model = Everything()
    opt = KFAC(model, lr=0.1, fallback_settings={"lr": 0.01})
    scheduler = torch.optim.lr_scheduler.StepLR(opt, 1, 0.5)
    train(opt, model, 1)
    scheduler.step()
    assert [group["lr"] for group in opt.param_groups] == [0.05, 0.005]
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for group in opt.param_groups:
        group["lr"] = 0.0
    train(opt, model, 2)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_a_closure_is_called_once():
    model, twin = two_layers(), two_layers()
    opt, other = KFAC(model), KFAC(twin)
    steps(other, twin, range(3))
    for seed in range(3):

        def closure(seed=seed):
            opt.zero_grad()
            loss = loss_of(model, seed)
            loss.backward()
            return loss

        assert float(opt.step(closure).detach()) > 0
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True))


def test_what_was_dropped_is_forgotten_and_what_was_drawn_is_not():
    model = two_layers()
    opt = KFAC(model)
    loss_of(model).backward()
    opt.zero_grad()
    assert not opt._recorder.moments
    out = model(normal(9, 3))
    opt.draw(out, "mse", torch.Generator().manual_seed(0))
    assert all(p.grad is None for p in model.parameters())
    drawn = {b: seen.outward.clone() for b, seen in opt._recorder.moments.items()}
    opt.zero_grad()
    nn.functional.mse_loss(out, normal(9, 2)).backward()
    assert len(drawn) == 2
    assert all(torch.equal(seen.outward, drawn[b]) for b, seen in opt._recorder.moments.items())


def test_gradient_checkpointing_is_heard_once():
    from torch.utils.checkpoint import checkpoint

    runs = []
    for reentrant in (None, True, False):
        model = two_layers()
        opt = KFAC(model)
        x = normal(9, 3).requires_grad_()
        out = model(x) if reentrant is None else checkpoint(model, x, use_reentrant=reentrant)
        nn.functional.mse_loss(out, normal(9, 2)).backward()
        opt.step()
        runs.append(opt.factors)
    for other in runs[1:]:
        for name, one in runs[0].items():
            torch.testing.assert_close(other[name].A, one.A)
            torch.testing.assert_close(other[name].G, one.G)


def test_a_model_that_is_made_double_takes_its_factors_along():
    model = two_layers().float()
    opt = KFAC(model, momentum=0.0, inv_update_steps=9)
    for dtype in (torch.float32, torch.float64):
        model.to(dtype)
        for seed in range(2):
            opt.zero_grad()
            nn.functional.mse_loss(model(normal(9, 3, seed=seed).to(dtype)), normal(9, 2).to(dtype)).backward()
            opt.step()
    assert {one.dtype for factors in opt.factors.values() for one in (factors.A, factors.G_inverse)} == {torch.float64}
    assert {factors.updates for factors in opt.factors.values()} == {4}


def test_a_closure_that_raises_leaves_nothing_behind():
    model, twin = two_layers(), two_layers()
    opt, other = KFAC(model), KFAC(twin)

    def broken():
        loss_of(model, 3).backward()
        raise ArithmeticError("broken")

    with pytest.raises(ArithmeticError, match="broken"):
        opt.step(broken)
    assert opt.steps == 0
    steps(opt, model, range(2))
    steps(other, twin, range(2))
    assert all(map(torch.equal, model.parameters(), twin.parameters()))


def test_an_autocast_around_backward_and_step_rounds_no_factor():
    results = []
    for inside in (False, True):
        model = two_layers().float()
        opt = KFAC(model, inv_update_steps=1)
        for seed in range(2):
            x, y = normal(9, 3, seed=seed).float(), normal(9, 2, seed=seed + 50).float()
            with torch.autocast("cpu", torch.bfloat16):
                loss = nn.functional.mse_loss(model(x), y)
                if inside:
                    opt.zero_grad()
                    loss.backward()
                    opt.step()
            if not inside:
                opt.zero_grad()
                loss.backward()
                opt.step()
        results.append(([p.detach() for p in model.parameters()], opt.factors))
    for p, q in zip(results[0][0], results[1][0], strict=True):
        assert torch.equal(p, q)
    for name, one in results[0][1].items():
        assert torch.equal(one.A_inverse, results[1][1][name].A_inverse)


def test_half_precision_is_summed_in_float32():
    model = two_layers().float()
    opt = KFAC(model)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(normal(9, 3).float())
    nn.functional.mse_loss(out.float(), normal(9, 2).float()).backward()
    opt.step()
    assert all(one.A.dtype == one.G.dtype == torch.float32 for one in opt.factors.values())


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ({"damping": 0.0}, ValueError, "damping must be above 0"),
        ({"damping": "big"}, TypeError, "damping must be a number"),
        ({"kl_clip": -1}, ValueError, "kl_clip must be above 0"),
        ({"factor_decay": 1.0}, ValueError, "factor_decay must be in"),
        ({"factor_update_steps": 0}, ValueError, "factor_update_steps must be a whole number"),
        ({"inv_update_steps": 1.5}, ValueError, "inv_update_steps must be a whole number"),
        ({"reduction": "none"}, ValueError, "reduction must be 'mean' or 'sum'"),
        ({"nonfinite": "propagate"}, ValueError, "nonfinite must be"),
        ({"skip_layers": "head"}, TypeError, r"skip_layers must be a list"),
        ({"fallback": "adamv", "skip_layers": ["2"]}, ValueError, "adamw"),
        ({"fallback": torch.optim.AdamW, "skip_layers": ["2"]}, TypeError, "class of descend.torch"),
        ({"fallback_settings": {"lrr": 1}, "skip_layers": ["2"]}, TypeError, "lrr"),
        ({"lr": -1.0}, ValueError, "learning rate"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_by_name_and_leave_no_hooks(how, error, says):
    model = two_layers()
    with pytest.raises(error, match=says):
        KFAC(model, **how)
    assert not hooks(model)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ([nn.Parameter(torch.ones(2))], "takes a model"),
        (nn.Linear(2, 2).requires_grad_(False), "no parameter"),
        (nn.LazyLinear(2), "lazy"),
        (nn.DataParallel(nn.Linear(2, 2)), "DataParallel"),
    ],
    ids=["list", "frozen", "lazy", "parallel"],
)
def test_models_it_cannot_hear_are_refused(model, says):
    with pytest.raises((TypeError, ValueError), match=says):
        KFAC(model)


def test_layers_can_be_left_out_by_name_and_by_size():
    model = two_layers()
    assert [b.name for b in KFAC(model, skip_layers=["^2$"])._found.blocks] == ["0.weight"]
    opt = KFAC(model, max_size=4)
    assert [b.name for b in opt._found.blocks] == ["0.weight"]
    assert "a factor of 5×5 is above max_size=4" in repr(opt)
    assert not KFAC(model, max_size=1)._found.blocks


def test_draw_refuses_what_it_cannot_draw_from():
    model = two_layers()
    opt = KFAC(model)
    with pytest.raises(ValueError, match="loss must be"):
        opt.draw(model(normal(2, 3)), "hinge")
    with torch.no_grad(), pytest.raises(ValueError, match="no graph"):
        opt.draw(model(normal(2, 3)), "mse")


def test_a_checkpoint_that_does_not_fit_changes_nothing():
    model = two_layers()
    opt = KFAC(model)
    steps(opt, model, range(2))
    factors = opt.factors
    wider = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    other = KFAC(wider)
    steps(other, wider, range(1))
    for state, says in (
        ({}, "not a state_dict"),
        (other.state_dict(), "rows"),
        (KFAC(two_layers(), max_size=1).state_dict(), "parts"),
    ):
        with pytest.raises(ValueError, match=says):
            opt.load_state_dict(state)
        assert opt.factors == factors
        assert opt.steps == 2


def test_the_batch_of_other_tests_has_no_chance_in_it():
    assert all(torch.equal(a, b) for a, b in zip(batch(), batch(), strict=True))
