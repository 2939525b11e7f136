"""Closures that raise, forget, or return the wrong thing; autocast, copies, frozen parameters, compiled models."""

import copy
import io
import pickle
import warnings

import pytest
import torch
from torch import nn

import descend.torch as ours

LEAVING = ["NonlinearCG", "BFGS", "SSBroyden", "NewtonCG", "TrustNCG", "TrustKrylov", "TrustExact", "Newton",
           "SaddleFree", "HessianFree", "GaussNewton"]  # fmt: skip
ALL = ["LBFGS", *LEAVING]


class Task:
    """A small regression, and a closure for any of the classes that can be told to raise at a call."""

    def __init__(self, name, dtype=torch.float64, **options):
        torch.manual_seed(0)
        self.name = name
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).to(dtype)
        self.x, self.y = torch.randn(20, 3, dtype=dtype), torch.randn(20, 1, dtype=dtype)
        self.calls, self.raises = 0, None
        if name == "LBFGS":
            options.setdefault("line_search_fn", "strong_wolfe")
        if name == "HessianFree":
            options.setdefault("exponent", 0.75)  # whose averages are state, too
        self.opt = getattr(ours, name)(self.model.parameters(), max_iter=4, **options)

    def loss(self, opt=None, model=None):
        self.calls += 1
        if self.calls == self.raises:
            raise ArithmeticError("this batch is broken")
        opt, model = opt or self.opt, model or self.model
        out = model(self.x)
        if self.name == "GaussNewton":
            return out - self.y
        loss = (out - self.y).square().mean()
        if self.name == "LBFGS":
            opt.zero_grad()
            loss.backward()
        return (loss, out) if self.name == "HessianFree" else loss

    def params(self, model=None):
        return [p.detach().clone() for p in (model or self.model).parameters()]


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("before", [0, 2])
def test_a_step_that_fails_changes_nothing(name, before):
    task, twin = Task(name), Task(name)
    for _ in range(before):
        task.opt.step(task.loss)
        twin.opt.step(twin.loss)
    held, state = task.params(), copy.deepcopy(task.opt.state_dict())
    for call in (1, 2, 4):
        task.calls, task.raises = 0, call
        with pytest.raises(ArithmeticError, match="broken"):
            task.opt.step(task.loss)
        assert all(map(torch.equal, task.params(), held))
        assert same(task.opt.state_dict(), state)
    task.raises = None
    for _ in range(2):
        a, b = task.opt.step(task.loss), twin.opt.step(twin.loss)
        assert torch.equal(a, b)
    assert all(map(torch.equal, task.params(), twin.params()))


@pytest.mark.parametrize("name", ALL)
def test_copies_and_pickles_go_on_to_the_bit(name):
    task = Task(name)
    for _ in range(2):
        task.opt.step(task.loss)
    copies = copy.deepcopy((task.model, task.opt)), pickle.loads(pickle.dumps((task.model, task.opt)))
    for _ in range(2):
        task.opt.step(task.loss)
        for model, opt in copies:
            opt.step(lambda model=model, opt=opt: task.loss(opt, model))
    for model, _ in copies:
        assert all(map(torch.equal, task.params(), task.params(model)))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_file_goes_on_to_the_bit(name, dtype):
    task, other = Task(name, dtype), Task(name, dtype)
    for _ in range(2):
        task.opt.step(task.loss)
    file = io.BytesIO()
    torch.save((task.model.state_dict(), task.opt.state_dict()), file)
    file.seek(0)
    model, opt = torch.load(file, weights_only=True)
    other.model.load_state_dict(model)
    other.opt.load_state_dict(opt)
    for _ in range(2):
        assert torch.equal(task.opt.step(task.loss), other.opt.step(other.loss))
    assert all(map(torch.equal, task.params(), other.params()))
    assert same(task.opt.state_dict(), other.opt.state_dict())


@pytest.mark.parametrize("name", ALL)
def test_bfloat16_parameters_fall_and_stay_bfloat16(name):
    task = Task(name, torch.bfloat16)
    first = float(task.opt.step(task.loss).detach())
    for _ in range(3):
        task.opt.step(task.loss)
    last = float(task.opt.step(task.loss).detach())
    assert last < 0.9 * first
    assert all(p.dtype == torch.bfloat16 and torch.isfinite(p).all() for p in task.params())
    file = io.BytesIO()
    torch.save(task.opt.state_dict(), file)
    file.seek(0)
    task.opt.load_state_dict(torch.load(file, weights_only=True))
    task.opt.step(task.loss)


@pytest.mark.parametrize("name", ALL)
def test_under_autocast_every_trial_is_computed_with_its_own_parameters(name):
    # Autocast keeps copies of parameters, and around the step it would keep those of the first trial.
    inside, outside = Task(name, torch.float32), Task(name, torch.float32)

    def within():
        with torch.autocast("cpu", torch.bfloat16):
            return inside.loss()

    for _ in range(3):
        inside.opt.step(within)
        with torch.autocast("cpu", torch.bfloat16):
            outside.opt.step(outside.loss)
    assert all(map(torch.equal, inside.params(), outside.params()))


@pytest.mark.parametrize("name", LEAVING)
def test_backward_in_the_closure_is_refused_and_clearing_gradients_is_not(name):
    task = Task(name)

    def backward():
        loss = task.loss()
        first = loss[0] if name == "HessianFree" else loss.square().sum() if name == "GaussNewton" else loss
        first.backward()
        return loss

    with pytest.raises(ValueError, match="leave backward to the optimizer"):
        task.opt.step(backward)
    held = task.params()
    with pytest.raises(ValueError, match="leave backward to the optimizer"):
        task.opt.step(backward)  # adds in place now
    assert all(map(torch.equal, task.params(), held))

    def clearing():
        task.opt.zero_grad()
        return task.loss()

    assert float(task.opt.step(clearing)) > float(task.opt.step(clearing))
    assert all(p.grad is None for p in task.model.parameters())


@pytest.mark.parametrize("name", LEAVING)
def test_a_graph_that_was_cut_is_refused(name):
    task = Task(name)

    def cut():
        with torch.no_grad():
            return task.loss()

    with pytest.raises(ValueError, match=r"do(es)? not depend on the parameters"):
        task.opt.step(cut)


@pytest.mark.parametrize("name", LEAVING)
def test_parameters_frozen_later_or_added_later_are_refused(name):
    task = Task(name)
    with pytest.raises(TypeError, match="give it all when it is made"):
        task.opt.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    task.model[0].bias.requires_grad_(False)
    with pytest.raises(ValueError, match="was frozen after"):
        task.opt.step(task.loss)


@pytest.mark.parametrize("name", [*LEAVING, "NaturalGradient"])
def test_a_scheduler_of_the_rate_is_refused_in_words(name):
    opt = Task(name).opt if name != "NaturalGradient" else ours.NaturalGradient(nn.Linear(1, 1))
    with pytest.raises(KeyError, match=f"{name} has no lr"):
        torch.optim.lr_scheduler.StepLR(opt, 1)


@pytest.mark.parametrize("name", ["NewtonCG", "HessianFree", "BFGS"])
def test_a_compiled_model(name):
    task = Task(name)
    compiled = torch.compile(task.model, backend="aot_eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dynamo's own, of several kinds
        if name == "BFGS":  # which differentiates once
            first = float(task.opt.step(lambda: task.loss(model=compiled)))
            assert float(task.opt.step(lambda: task.loss(model=compiled))) < first
            return
        with pytest.raises(ValueError, match="call the model that was compiled in the closure"):
            task.opt.step(lambda: task.loss(model=compiled))


def test_shared_parameters_are_one():
    layer = nn.Linear(3, 3).double()
    model = nn.Sequential(layer, nn.Tanh(), layer)
    x = torch.randn(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for name in ("LBFGS", "NewtonCG", "GaussNewton"):
        opt = getattr(ours, name)(model.parameters())

        def closure(opt=opt, name=name):
            r = model(x) - x
            if name == "GaussNewton":
                return r
            loss = r.square().sum()
            if name == "LBFGS":
                opt.zero_grad()
                loss.backward()
            return loss

        first = float(opt.step(closure).detach())
        assert float(opt.step(closure).detach()) < first


# ------------------------------------------------------------ LBFGS, whose closure calls backward


def test_lbfgs_says_what_a_closure_forgets():
    x = nn.Parameter(torch.tensor([3.0, -2.0]))
    opt = ours.LBFGS([x], lr=0.1)
    with pytest.raises(ValueError, match="must call backward on the loss"):
        opt.step(lambda: (x**2).sum())

    def forgetful():
        loss = (x**2).sum()
        loss.backward()
        return loss

    with pytest.warns(UserWarning, match="call optimizer.zero_grad"):
        opt.step(forgetful)
    x.grad = None

    for set_to_none in (True, False):

        def clears(set_to_none=set_to_none):
            opt.zero_grad(set_to_none=set_to_none)
            return forgetful()

        opt.step(clears)  # and does not warn

    def returns(what):
        clears()
        return what

    assert opt.step(lambda: returns(0.5)) == 0.5
    held = x.detach().clone()
    for what, says in ((None, "got None"), ("low", "got str"), (x * 2, r"got shape \(2,\)")):
        with pytest.raises(TypeError, match=f"must return the loss, one real number; {says}"):
            opt.step(lambda what=what: returns(what))
        assert torch.equal(x, held)


def test_lbfgs_refuses_the_state_of_another_optimizer():
    task = Task("LBFGS")
    state = torch.optim.Adam(task.model.parameters()).state_dict()
    with pytest.raises(ValueError, match="no state of LBFGS: it has no history_size"):
        task.opt.load_state_dict(state)
    task.opt.step(task.loss)


def test_lbfgs_follows_a_scheduler_and_begins_anew_when_parameters_are_frozen():
    task = Task("LBFGS", line_search_fn=None, lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(task.opt, 1, 0.1)
    task.opt.step(task.loss)
    scheduler.step()
    assert task.opt.param_groups[0]["lr"] == pytest.approx(0.05)
    task.opt.step(task.loss)
    assert next(iter(task.opt.state.values()))["t"] == pytest.approx(0.05)
    task.model[0].bias.requires_grad_(False)
    task.opt.step(task.loss)
    assert len(next(iter(task.opt.state.values()))["d"]) == 12 + 4 + 1
    with pytest.raises(TypeError, match="give it all when it is made"):
        task.opt.add_param_group({"params": [nn.Parameter(torch.ones(1, dtype=torch.float64))]})
