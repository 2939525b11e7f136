"""The contract of torch.optim.Optimizer: signature, closures, hooks, hints; engines; classes out of rules."""

import inspect
import logging
import math

import pytest
import torch
from torch.nn import Parameter
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from twins import (
    CLASSES,
    ENGINES,
    REFUSED,
    TORCH_CLASSES,
    assert_close,
    copies,
    feed,
    parameters,
    refusal,
    theirs,
    train,
    twin,
)

import descend.torch as ours
from descend import chain, rule, rules
from descend.core.init import zeros


@pytest.mark.parametrize("name", TORCH_CLASSES)
def test_same_signature_as_torch(name):
    here = inspect.signature(getattr(ours, name)).parameters
    there = inspect.signature(getattr(torch.optim, name)).parameters
    assert {k: (v.kind, v.default) for k, v in here.items() if k in there} == {
        k: (v.kind, v.default) for k, v in there.items() if k != "decoupled_weight_decay" or k in here
    }
    positional = [k for k, v in there.items() if v.kind is v.POSITIONAL_OR_KEYWORD]
    assert list(here)[: len(positional)] == positional
    for extra in ("engine", "clip_norm", "nonfinite"):
        assert here[extra].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize("name", CLASSES)
def test_is_an_optimizer_that_prints_its_groups(name):
    opt = getattr(ours, name)(parameters(), lr=0.125)
    assert isinstance(opt, torch.optim.Optimizer)
    assert type(opt).__name__ == name
    assert opt.param_groups[0]["lr"] == opt.defaults["lr"] == 0.125
    assert name in repr(opt)
    assert "0.125" in repr(opt)
    begun = {p: dict(entries) for p, entries in opt.state.items()}
    assert len(begun) == (len(opt.param_groups[0]["params"]) if name == "Adagrad" else 0)  # it alone, as torch's
    opt.step()
    made = {p: dict(entries) for p, entries in opt.state.items() if entries}
    assert made == begun, "a step without gradients made state"
    assert not any(entries["step"] for entries in made.values())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_closure_runs_once_first_with_grad_enabled(engine):
    p = parameters()
    opt = ours.AdamW(p, engine=engine)
    seen = []

    def closure():
        seen.append((torch.is_grad_enabled(), p[0].detach().clone()))
        opt.zero_grad()
        loss = sum((x**2).sum() for x in p)
        loss.backward()
        return loss

    start = p[0].detach().clone()
    for call in (opt.step, lambda c: opt.step(closure=c), torch.no_grad()(opt.step)):
        loss = call(closure)
        assert loss.requires_grad
    assert len(seen) == 3
    assert all(enabled for enabled, _ in seen)
    assert torch.equal(seen[0][1], start)
    assert not torch.equal(p[0], seen[2][1])
    assert opt.step() is None
    assert opt.step(None) is None


@pytest.mark.parametrize("engine", ENGINES)
def test_what_closure_and_pre_hooks_change_counts_in_this_step(engine):
    mine, reference = twin("Adam", engine=engine)
    late = Parameter(torch.ones(3).double())
    for opt, params in (mine, reference):

        def pre(o, args, kwargs):
            o.param_groups[0]["lr"] *= 0.5
            for x in o.param_groups[0]["params"]:
                x.grad.mul_(2)

        def closure(opt=opt, params=params):
            feed(params, 7)
            opt.param_groups[0]["betas"] = (0.5, 0.6)
            return 1.5

        feed(params, 6)
        handle = opt.register_step_pre_hook(pre)
        opt.step()
        assert opt.step(closure) == 1.5
        handle.remove()
        extra = Parameter(late.detach().clone())
        opt.add_param_group({"params": [extra], "lr": 0.3})
        params.append(extra)
    train(range(8, 11), mine, reference)
    assert_close(mine, reference, 1e-14)
    assert mine[0].param_groups[0]["lr"] == 1e-3 / 4


def test_hooks_fire_once_in_torchs_order():
    opt = ours.AdamW(p := parameters())
    order = []
    handles = [
        opt.register_step_post_hook(lambda *_: order.append("post")),
        opt.register_step_pre_hook(lambda *_: order.append("pre")),
        register_optimizer_step_pre_hook(lambda *_: order.append("global pre")),
        register_optimizer_step_post_hook(lambda *_: order.append("global post")),
    ]
    try:
        train(range(2), (opt, p))
        assert order == ["global pre", "pre", "post", "global post"] * 2
    finally:
        for handle in handles:
            handle.remove()
    train(range(2), (opt, p))
    assert len(order) == 8


def test_state_dict_hooks_fire_and_may_replace_the_dict():
    opt = ours.Adam(p := parameters())
    train(range(1), (opt, p))
    order = []
    opt.register_state_dict_pre_hook(lambda o: order.append("save"))
    opt.register_state_dict_post_hook(lambda o, d: {**d, "note": 1})
    opt.register_load_state_dict_pre_hook(lambda o, d: {k: v for k, v in d.items() if k != "note"})
    opt.register_load_state_dict_pre_hook(lambda o, d: order.append("first"), prepend=True)
    opt.register_load_state_dict_post_hook(lambda o: order.append(f"loaded {len(o.state)}"))
    saved = opt.state_dict()
    assert saved["note"] == 1
    opt.load_state_dict(saved)
    assert order == ["save", "first", "loaded 5"]


@pytest.mark.parametrize("hint", ["foreach", "fused", "capturable", "differentiable"])
@pytest.mark.parametrize("value", [True, False, None])
@pytest.mark.parametrize("name", TORCH_CLASSES)
def test_hints_are_honoured_or_refused_by_name(name, hint, value):
    there = inspect.signature(getattr(torch.optim, name)).parameters
    if hint not in there or (value is None and there[hint].default is not None):
        pytest.skip("no argument of torch's")
    mine, reference = twin(name)
    q = copies(mine[1])
    message = refusal(lambda: getattr(ours, name)(q, **{hint: value}))
    if value is not True:
        assert message is None, f"only True asks for anything: {message}"
    if message is not None:
        assert hint in message
        return
    opt = getattr(ours, name)(q, **{hint: value})
    train(range(3), (opt, q), reference)
    assert_close((opt, q), reference, 1e-14)
    if hint == "differentiable" and value:
        w = torch.ones(3, requires_grad=True)
        opt = getattr(ours, name)([Parameter(torch.ones(3))], differentiable=True)
        opt.param_groups[0]["params"][0] = moved = w * 2
        moved.grad = w * 3
        opt.step()
        (slope,) = torch.autograd.grad(moved.sum(), w)
        assert (slope != 2).all(), "differentiable=True was accepted and not honoured"


def test_foreach_and_fused_exclude_each_other_as_in_torch():
    with pytest.raises(REFUSED, match=r"foreach|fused"):
        ours.AdamW(parameters(), foreach=True, fused=True)


@pytest.mark.parametrize("engine", [*ENGINES, "numpy"])
def test_the_engine_is_visible_overridable_and_quiet(engine, caplog):
    caplog.set_level(logging.INFO, "descend")
    opt = ours.AdamW(p := parameters(torch.float32), engine=engine)
    train(range(1), (opt, p))
    assert opt.engine == engine
    assert ours.AdamW(parameters()).engine == "llvm"
    assert not [r for r in caplog.records if r.name.startswith("descend")], "nothing fell back"


@pytest.mark.parametrize("name", sorted(rules.all()))
def test_every_rule_makes_a_class_and_engines_agree(name):
    made = ours.optimizer(rules.all()[name])
    assert issubclass(made, torch.optim.Optimizer)
    built = [(made(p := parameters(), engine=engine), p) for engine in ("torch", "numpy")]
    if rules.all()[name].gradient_point is None:
        train(range(5), *built)
        if name != "soap":  # its first preconditioner of a matrix that is not square is singular: any basis is right
            assert_close(*built, 1e-12)
        assert not torch.equal(built[0][1][0], parameters()[0])
    with pytest.raises((ValueError, TypeError), match="wieght_decay"):
        made(parameters(), wieght_decay=1)


@rule
def mine_own(p, g, m=zeros("memory"), *, t, lr=0.5, beta=0.9, warm=4.0):
    """Mine: a moving average with its own bias correction and a first step divided by warm."""
    m = beta * m + (1 - beta) * g
    p = p - lr / (1 + warm / t) * m / (1 - beta**t)
    return p, m


@pytest.mark.parametrize("engine", [*ENGINES, "numpy"])
def test_a_rule_of_ones_own(engine):
    opt = ours.optimizer(mine_own)(p := parameters(), engine=engine, warm=2.0)
    x, m = p[0].detach().clone(), torch.zeros(7, 5).double()
    for t in range(1, 6):
        feed(p, t)
        opt.step()
        m = 0.9 * m + 0.1 * p[0].grad
        x = x - 0.5 / (1 + 2.0 / t) * m / (1 - 0.9**t)
        assert torch.allclose(p[0], x, rtol=1e-13, atol=1e-13)
    assert torch.allclose(opt.state[p[0]]["memory"], m, rtol=1e-13)
    with pytest.raises((ValueError, TypeError), match="warm"):
        ours.optimizer(mine_own)(parameters(), wram=1.0)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_chain_is_a_class_too(engine):
    made = ours.optimizer(chain(rules.clip_norm(0.5), rules.decay_l2(0.1), rules.momentum_accumulation))
    p, q = parameters(), parameters()
    opt, ref = made(p, lr=0.1, engine=engine), theirs("SGD", q, lr=0.1, momentum=0.9, weight_decay=0.1)
    for t in range(5):
        feed(p, t)
        feed(q, t)
        assert math.isfinite(torch.nn.utils.clip_grad_norm_(q, 0.5))
        opt.step()
        ref.step()
    assert_close((opt, p), (ref, q), 1e-13)
