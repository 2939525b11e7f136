"""``train()`` and ``eval()``, as the published Schedule-Free optimizers have them, and what is saved between them."""

import copy
import io
import pickle
import warnings

import pytest
import torch

import descend.torch as ours
from descend import chain, rules, schedules

SWA_AHEAD = chain(rules.nesterov_lookahead, rules.ema(0.7))
KINDS = {
    "Schedule-Free": lambda p: ours.ScheduleFreeAdamW(p, lr=0.05, warmup_steps=3),
    "Schedule-Free SGD": lambda p: ours.ScheduleFreeSGD(p, lr=0.1 * schedules.constant(1.0)),
    "Schedule-Free RAdam": lambda p: ours.ScheduleFreeRAdam(p, lr=0.05),
    "ASGD": lambda p: ours.ASGD(p, lr=0.1, t0=1.0),
    "EMA": lambda p: ours.optimizer(chain(rules.adam, rules.ema(0.8)))(p, lr=0.05),
    "SWA": lambda p: ours.optimizer(chain(rules.momentum_accumulation, rules.swa(begin=2.0)))(p, lr=0.05),
    "lookahead": lambda p: ours.optimizer(chain(rules.adamw, rules.lookahead(2.0), rules.ema(0.5)))(p, lr=0.05),
    "Muon with EMA": lambda p: ours.optimizer(chain(rules.muon, rules.ema(0.5)))(
        [x for x in p if x.dim() > 1], lr=0.05
    ),
    "matrices and vectors": lambda p: ours.optimizer(chain(rules.adafactor, rules.ema(0.5)))(p, lr=0.05),
    "torch engine": lambda p: ours.ScheduleFreeAdamW(p, lr=0.05, engine="torch"),
    "policy": lambda p: ours.switch_at(ours.ScheduleFreeAdamW(p, lr=0.05), {100: ("sgd", {"lr": 0.1})}),
    "look-ahead gradients": lambda p: ours.optimizer(SWA_AHEAD)(p, lr=0.05),
}
DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def model(dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 2)).to(dtype)


def fresh(kind, dtype=torch.float64):
    m = model(dtype)
    return m, KINDS[kind](list(m.parameters()))


def train(m, opt, steps):
    for t in steps:
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(t)).to(next(m.parameters()).dtype)
        opt.zero_grad()
        with opt.gradient_point():
            (m(x) - 1).square().mean().backward()
        opt.step()


def weights(m):
    return [p.detach().clone() for p in m.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def shipped(m, opt):
    with opt.shipped():
        return weights(m)


def through_file(saved):
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_eval_shows_the_shipped_point_and_train_puts_the_trained_one_back(kind, dtype):
    if kind == "Muon with EMA" and dtype is torch.bfloat16:
        dtype = torch.float32
    m, opt = fresh(kind, dtype)
    opt.train()
    train(m, opt, range(9))  # RAdam's rectification lets nothing move before the sixth
    before, expected = weights(m), shipped(m, opt)
    assert not same(before, expected)
    for _ in range(2):
        opt.eval()
        opt.eval()
        assert same(weights(m), expected)
        opt.train()
        opt.train()
        assert same(weights(m), before)
    n, plain = fresh(kind, dtype)
    train(n, plain, range(9))
    train(m, opt, range(9, 12))
    train(n, plain, range(9, 12))
    assert same(weights(m), weights(n))


def test_the_point_is_the_published_packages():
    schedulefree = pytest.importorskip("schedulefree")
    m, n = model(), model()
    opt = ours.ScheduleFreeAdamW(m.parameters(), lr=0.05)
    theirs = schedulefree.AdamWScheduleFree(n.parameters(), lr=0.05)
    for _ in range(3):
        for module, one in ((m, opt), (n, theirs)):
            one.train()
            for t in range(4):
                one.zero_grad()
                x = torch.randn(8, 4, generator=torch.Generator().manual_seed(t)).double()
                (module(x) - 1).square().mean().backward()
                one.step()
            one.eval()
        torch.testing.assert_close(weights(m), weights(n), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_in_eval_mode_is_refused_and_changes_nothing(kind):
    m, opt = fresh(kind)
    train(m, opt, range(3))
    opt.eval()
    there = weights(m)
    for p in m.parameters():
        p.grad = torch.ones_like(p)
    with pytest.raises(RuntimeError, match=r"step\(\) of .* in eval mode.* call its train\(\)"):
        opt.step()
    if kind != "policy":
        with pytest.raises(RuntimeError, match="in eval mode"):
            opt.step(lambda: pytest.fail("the closure was called"))
    assert same(weights(m), there)
    assert opt.steps == 3
    with pytest.raises(RuntimeError, match="in eval mode"), opt.gradient_point():
        pass
    opt.train()
    train(m, opt, range(3, 5))


@pytest.mark.parametrize("make", [
    lambda p: ours.AdamW(p), lambda p: ours.SGD(p), lambda p: ours.NesterovLookahead(p),
    lambda p: ours.optimizer(chain(rules.adam, rules.lookahead))(p), lambda p: ours.swats(ours.Adam(p)),
])  # fmt: skip
def test_rules_that_do_not_average_have_both_and_nothing_happens(make):
    m = model()
    opt = make(list(m.parameters()))
    train(m, opt, range(2))
    before = weights(m)
    assert callable(opt.train)
    assert opt.eval() is None
    assert same(weights(m), before)
    assert "point" not in opt.state_dict()["param_groups"][0]
    train(m, opt, range(2, 4))
    opt.train()
    assert opt.steps == 4


@pytest.mark.parametrize("order", ["model first", "optimizer first"])
@pytest.mark.parametrize("how", ["shipped", "eval", "gradient_point"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_at_another_point_resumes_with_the_same_bits(kind, how, order):
    m, opt = fresh(kind)
    train(m, opt, range(4))
    if how == "eval":
        opt.eval()
        saved = through_file((m.state_dict(), opt.state_dict()))
        opt.train()
    else:
        with getattr(opt, how)():
            saved = through_file((m.state_dict(), opt.state_dict()))
    n, again = fresh(kind)
    if order == "model first":
        n.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    if order == "optimizer first":
        n.load_state_dict(saved[0])
    if how == "eval":
        assert same(weights(n), shipped(m, opt))
        with pytest.raises(RuntimeError, match="eval mode"):
            again.step()
    if how == "eval" or order == "optimizer first":
        again.train()
    train(m, opt, range(4, 8))
    train(n, again, range(4, 8))
    assert same(weights(m), weights(n))
    assert "trained_point" not in next(iter(again.state.values()))


def test_a_model_loaded_after_the_optimizer_is_noticed_before_it_steps():
    m, opt = fresh("EMA")
    train(m, opt, range(4))
    with opt.shipped():
        saved = copy.deepcopy((m.state_dict(), opt.state_dict()))
    n, again = fresh("EMA")
    again.load_state_dict(saved[1])
    n.load_state_dict(saved[0])
    there = weights(n)
    for p in n.parameters():
        p.grad = torch.ones_like(p)
    with pytest.raises(RuntimeError, match=r"saved inside shipped\(\).* load the model first, or call the"):
        again.step()
    assert same(weights(n), there)
    resaved = copy.deepcopy((n.state_dict(), again.state_dict()))
    k, third = fresh("EMA")
    k.load_state_dict(resaved[0])
    third.load_state_dict(resaved[1])
    again.train()
    train(m, opt, range(4, 6))
    for one in ((n, again), (k, third)):
        train(*one, range(4, 6))
        assert same(weights(m), weights(one[0]))


def test_other_weights_than_were_saved_are_kept():
    m, opt = fresh("EMA")
    train(m, opt, range(4))
    with opt.shipped():
        saved = opt.state_dict()
    n, again = fresh("EMA")
    again.load_state_dict(saved)
    n.load_state_dict(other := model(seed=9).state_dict())
    again.train()
    assert same(weights(n), list(other.values()))
    train(n, again, range(2))


@pytest.mark.parametrize("route", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("how", ["shipped", "eval", "gradient_point"])
@pytest.mark.parametrize("kind", ["Schedule-Free", "EMA", "look-ahead gradients"])
def test_copies_made_at_another_point_ask_for_train_and_go_on_exactly(kind, how, route):
    m, opt = fresh(kind)
    train(m, opt, range(4))
    if how == "eval":
        opt.eval()
        n, again = route((m, opt))
        opt.train()
    else:
        with getattr(opt, how)():
            there = weights(m)
            n, again = route((m, opt))
            assert same(weights(m), there)
    moved = how != "gradient_point" or kind == "look-ahead gradients"
    if moved:
        with pytest.raises(RuntimeError, match="eval mode"):
            again.step()
    again.train()
    train(m, opt, range(4, 7))
    train(n, again, range(4, 7))
    assert same(weights(m), weights(n))


def test_blocks_and_modes_inside_each_other():
    m, opt = fresh("Schedule-Free")
    train(m, opt, range(4))
    before, expected = weights(m), shipped(m, opt)
    with opt.shipped():
        opt.eval()
        opt.train()  # the block decides
        assert same(weights(m), expected)
        with pytest.raises(RuntimeError, match="leave the block"):
            opt.step()
    assert same(weights(m), before)
    opt.eval()
    with opt.shipped():
        opt.train()
        assert same(weights(m), expected)
        inside = through_file(opt.state_dict())
    assert same(weights(m), expected)
    with pytest.raises(RuntimeError, match="eval mode"):
        opt.step()
    opt.train()
    assert same(weights(m), before)
    with opt.gradient_point(), pytest.raises(RuntimeError, match=r"eval\(\) inside gradient_point"):
        opt.eval()
    n, again = fresh("Schedule-Free")
    again.load_state_dict(inside)
    train(m, opt, range(4, 6))
    train(n, again, range(4, 6))
    assert same(weights(m), weights(n))


@pytest.mark.parametrize("kind", ["Schedule-Free", "policy"])
def test_loading_inside_a_block_is_refused_and_in_eval_mode_leaves_it(kind):
    m, opt = fresh(kind)
    train(m, opt, range(3))
    trained, saved = weights(m), copy.deepcopy(opt.state_dict())
    with opt.shipped(), pytest.raises(RuntimeError, match="leave the block"):
        opt.load_state_dict(saved)
    assert same(weights(m), trained)
    opt.eval()
    opt.load_state_dict(saved)
    assert same(weights(m), trained)
    opt.eval()
    other = model(seed=5)
    m.load_state_dict(other.state_dict())
    opt.load_state_dict(saved)  # of the model loaded before it
    assert same(weights(m), weights(other))
    train(m, opt, range(2))


def test_a_checkpoint_without_its_trained_point_is_refused():
    m, opt = fresh("EMA")
    train(m, opt, range(3))
    opt.eval()
    saved = copy.deepcopy(opt.state_dict())
    del saved["state"][1]["trained_point"]
    n, again = fresh("EMA")
    before = weights(n)
    with pytest.raises(ValueError, match=r"parameter 1 of group 0.* the trained one is missing: save after train"):
        again.load_state_dict(saved)
    assert same(weights(n), before)
    saved = copy.deepcopy(opt.state_dict())
    saved["param_groups"][0]["point"] = "elsewhere"
    with pytest.raises(ValueError, match="'point' is eval"):
        again.load_state_dict(saved)


def test_torch_that_went_on_from_the_shipped_point_is_followed():
    m, n = model(), model()
    opt, theirs = ours.ASGD(m.parameters(), lr=0.1, t0=1.0), torch.optim.ASGD(n.parameters(), lr=0.1, t0=1.0)
    train(m, opt, range(4))
    with opt.shipped():
        saved = copy.deepcopy((m.state_dict(), opt.state_dict()))
    n.load_state_dict(saved[0])
    theirs.load_state_dict(saved[1])
    for p in n.parameters():
        p.grad = torch.ones_like(p)
    theirs.step()
    k = model()
    k.load_state_dict(n.state_dict())
    again = ours.ASGD(k.parameters(), lr=0.1, t0=1.0)
    again.load_state_dict(through_file(theirs.state_dict()))
    assert same(weights(k), weights(n))
    assert again.steps == 5


def test_the_flat_form_of_torch_distributed_refuses_what_it_would_lose():
    dcp = pytest.importorskip("torch.distributed.checkpoint.state_dict")
    m, opt = fresh("EMA")
    train(m, opt, range(3))
    n, again = fresh("EMA")
    with opt.shipped():
        saved = copy.deepcopy((m.state_dict(), dcp.get_optimizer_state_dict(m, opt)))
        flat = dcp.StateDictOptions(flatten_optimizer_state_dict=True)
        with pytest.raises(NotImplementedError):
            dcp.get_optimizer_state_dict(m, opt, options=flat)
    n.load_state_dict(saved[0])
    dcp.set_optimizer_state_dict(n, again, saved[1])
    train(m, opt, range(3, 5))
    train(n, again, range(3, 5))
    assert same(weights(m), weights(n))


def test_an_exception_on_the_way_leaves_no_half():
    m, opt = fresh("Schedule-Free")
    train(m, opt, range(3))
    before = weights(m)
    last = list(m.parameters())[-1]
    z = opt.state[last]["z"]
    opt.state[last]["z"] = torch.ones(77)
    for enter in (opt.eval, lambda: opt.shipped().__enter__()):
        with pytest.raises(RuntimeError):
            enter()
        assert same(weights(m), before)
    opt.state[last]["z"] = z
    train(m, opt, range(3, 5))


def test_others_that_look_at_the_point():
    m, opt = fresh("Schedule-Free")
    handle = opt.watch(m)
    train(m, opt, range(3))
    x = torch.ones(1, 4).double()
    m.eval()
    opt.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        m(x)
    with pytest.raises(RuntimeError, match=r"switch\(\) of ScheduleFreeAdamW in eval mode"):
        ours.switch(opt, "adamw", lr=0.1)
    there = weights(m)
    found = ours.find_lr(m, opt, lambda model, batch: model(batch).square().mean(), [x, 2 * x], steps=20)
    assert found.lr
    ours.overfit_one_batch(m, opt, lambda model, batch: model(batch).square().mean(), x, steps=3)
    assert same(weights(m), there)
    with pytest.raises(RuntimeError, match="eval mode"):
        opt.step()
    opt.train()
    handle.remove()
    new = ours.switch(opt, "adamw", lr=0.01)
    assert opt.train() is None
    train(m, new, range(3, 5))


def test_accelerates_wrapper_passes_both_on():
    accelerate = pytest.importorskip("accelerate")
    m, opt = fresh("Schedule-Free")
    accelerate.state.AcceleratorState._reset_state(True)
    prepared_m, prepared = accelerate.Accelerator(cpu=True).prepare(m, opt)
    for t in range(3):
        _step(prepared_m, prepared, t)
    before, expected = weights(m), shipped(m, opt)
    prepared.eval()
    assert same(weights(m), expected)
    saved = copy.deepcopy((m.state_dict(), prepared.state_dict()))
    prepared.train()
    assert same(weights(m), before)
    n, again = fresh("Schedule-Free")
    n, again = accelerate.Accelerator(cpu=True).prepare(n, again)
    n.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    again.train()
    _step(prepared_m, prepared, 7)
    _step(n, again, 7)
    assert same(weights(m), weights(n))


def _step(m, opt, t):
    opt.zero_grad()
    m(torch.randn(8, 4, generator=torch.Generator().manual_seed(t)).double()).square().mean().backward()
    opt.step()


@pytest.mark.slow
def test_trainer_evaluates_what_ships_and_resumes_with_the_same_bits(tmp_path):
    transformers = pytest.importorskip("transformers")

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model(torch.float32)

        def forward(self, x, labels):
            return {"loss": (self.inner(x) - labels).square().mean()}

    draw = torch.Generator().manual_seed(3)
    data = [{"x": torch.randn(4, generator=draw), "labels": torch.ones(2)} for _ in range(16)]

    def trainer(steps):
        transformers.set_seed(0)
        m = Plain()
        opt = ours.ScheduleFreeAdamW(m.parameters(), lr=0.05)
        arguments = transformers.TrainingArguments(
            str(tmp_path), max_steps=steps, use_cpu=True, report_to="none", disable_tqdm=True, eval_strategy="steps",
            eval_steps=4, save_steps=4, logging_strategy="no", lr_scheduler_type="constant", seed=1,
        )  # fmt: skip
        return m, opt, transformers.Trainer(m, arguments, train_dataset=data, eval_dataset=data, optimizers=(opt, None))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Trainer's own
        m, opt, first = trainer(8)
        first.train()
        losses = [entry["eval_loss"] for entry in first.state.log_history if "eval_loss" in entry]
        with opt.shipped():
            assert losses[-1] == pytest.approx(first.evaluate()["eval_loss"], rel=1e-6)
        opt.train()
        n, again, second = trainer(8)
        second.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))  # saved in eval mode
        again.train()
    assert same(weights(m), weights(n))
    assert again.steps == opt.steps == 8
