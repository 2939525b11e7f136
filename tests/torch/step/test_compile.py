"""A step inside ``torch.compile`` is the plain step: same bits, same counts, one graph break, and nothing traced."""

import copy
import logging
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import descend.torch as ours
from descend import rules, schedules
from descend.core import untraced
from descend.optimizer import Optimizer

dynamo = pytest.importorskip("torch._dynamo")
BATCHES = torch.randn(6, 5, 3, generator=torch.Generator().manual_seed(1))
TRACED = pytest.mark.filterwarnings("ignore")  # Dynamo's own, which come and go with torch's versions


@pytest.fixture(autouse=True)
def _fresh():
    dynamo.reset()
    dynamo.utils.counters.clear()
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
    dynamo.reset()


def made():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def train(model, opt, x):
    opt.zero_grad()
    loss = model(x).square().sum()
    loss.backward()
    opt.step()
    return loss


def closing(model, opt, x):
    def closure():
        opt.zero_grad()
        loss = model(x).square().sum()
        loss.backward()
        return loss

    return opt.step(closure)


def shipping(model, opt, x):
    train(model, opt, x)
    with opt.shipped():
        return model(x).square().sum()


def elsewhere(model, opt, x):
    opt.zero_grad()
    with opt.gradient_point():
        loss = model(x).square().sum()
        loss.backward()
    opt.step()
    return loss


def saving(model, opt, x):
    loss = train(model, opt, x)
    opt.load_state_dict(opt.state_dict())
    return loss


def writing(model, opt, x):
    loss = train(model, opt, x)
    opt.state[model[0].weight]["exp_avg"].mul_(0.5)
    opt.state[model[0].bias]["exp_avg"] = torch.zeros_like(model[0].bias)
    return loss + opt.state[model[2].bias]["exp_avg"].sum()


def spoiled(model, opt, x):
    opt.zero_grad()
    loss = model(x).square().sum()
    loss.backward()
    if opt.steps == 2 and not opt.skipped:
        model[0].weight.grad[0, 0] = float("nan")
    try:
        opt.step()
    except FloatingPointError:
        opt.skipped += 1
    return loss


def watching(model, opt, x):
    loss = train(model, opt, x)
    return loss if opt.telemetry.total.gradient_norm > 0 else -loss


def growing(model, opt, x):
    loss = train(model, opt, x)
    if opt.steps == 3:
        opt.add_param_group({"params": [nn.Parameter(torch.ones(2))], "lr": 0.5})
    return loss


def adam(model, **settings):
    return ours.Adam(model.parameters(), lr=0.1, weight_decay=0.1, **settings)


def adam_of(model, **settings):
    return ours.Adam(model.parameters(), **settings)


def hooked(model):
    opt = adam(model)

    def before(opt, args, kwargs):
        for p in opt.param_groups[0]["params"]:
            p.grad.mul_(2)

    opt.register_step_pre_hook(before)
    opt.register_step_post_hook(lambda opt, *_: setattr(opt, "skipped", opt.skipped + 1))  # a count that is compared
    return opt


def halved(model):
    """A class of the user's own, which Dynamo does trace."""

    class Halved(ours.Adam):
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                p.grad.mul_(0.5)
            return super().step(closure)

    return Halved(model.parameters(), lr=0.1)


CASES = {
    "adam": (adam, train),
    "schedule": (lambda m: adam_of(m, lr=0.1 * schedules.linear_warmup(4)), train),
    "tensor lr": (lambda m: adam_of(m, lr=torch.tensor(0.1)), train),
    "groups": (
        lambda m: ours.AdamW([{"params": [p], "lr": 0.1 / (i + 1)} for i, p in enumerate(m.parameters())]),
        train,
    ),
    "engine torch": (lambda m: adam(m, engine="torch"), train),
    "engine numpy": (lambda m: adam(m, engine="numpy"), train),
    "clip_norm": (lambda m: adam(m, clip_norm=0.1), train),
    "a total": (lambda m: ours.Prodigy(m.parameters()), train),
    "matrices": (lambda m: ours.Shampoo([p for p in m.parameters() if p.dim() == 2], lr=0.1), train),
    "skip": (lambda m: adam(m, nonfinite="skip"), spoiled),
    "raise": (lambda m: adam(m, nonfinite="raise"), spoiled),
    "hooks": (hooked, train),
    "subclass": (halved, train),
    "closure": (adam, closing),
    "shipped": (lambda m: ours.ScheduleFreeAdamW(m.parameters(), lr=0.1), shipping),
    "gradient_point": (lambda m: ours.ScheduleFreeAdamW(m.parameters(), lr=0.1), elsewhere),
    "state_dict": (adam, saving),
    "state": (adam, writing),
    "telemetry": (lambda m: adam(m, telemetry=True), watching),
    "new group": (adam, growing),
    "switch_at": (lambda m: ours.switch_at(adam(m), at={3: ("sgd", {"lr": 0.1})}), train),
    "swats": (lambda m: ours.swats(ours.Adam(m.parameters(), lr=0.1)), train),
}


def traced():
    """Functions of this library that Dynamo has looked into."""
    codes = [code() for code in dynamo.convert_frame.input_codes.seen]
    return [code.co_qualname for code in codes if code is not None and code.co_filename.startswith(untraced._OURS)]


def outcome(model, opt, losses):
    state = [dict(slots) for slots in copy.deepcopy(opt.state_dict()["state"]).values()]
    return [p.detach().clone() for p in model.parameters()], losses, state, opt.steps, opt.skipped


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def run(make, body, around):
    model = made()
    opt = make(model)
    step = around(lambda x: body(model, opt, x))
    return outcome(model, opt, [float(step(x)) for x in BATCHES])


@TRACED
@pytest.mark.parametrize("name", CASES)
def test_a_compiled_step_is_the_plain_one(name):
    make, body = CASES[name]
    plain = run(make, body, lambda f: f)
    compiled = run(make, body, torch.compile(backend="eager"))
    assert same(plain, compiled)
    assert traced() == []
    if body is train and name != "subclass":
        broken = dynamo.utils.counters["graph_break"]
        assert [n for why, n in broken.items() if untraced._WHY in why and ".step " in why] == [1]
        assert dynamo.utils.counters["stats"]["unique_graphs"] == 1, "one graph, whatever the step does to its numbers"


@TRACED
def test_schedulers_outside_change_no_graph():
    model = made()
    opt = adam(model)
    scheduler = torch.optim.lr_scheduler.StepLR(opt, 1, 0.5)
    step = torch.compile(lambda x: train(model, opt, x), backend="eager")
    for x in BATCHES:
        step(x)
        scheduler.step()
    assert dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert opt.steps == len(BATCHES)
    assert opt.param_groups[0]["lr"] == pytest.approx(0.1 / 64)


@TRACED
def test_a_scaler_inside():
    def scaled(around):
        model = made()
        opt, scaler = adam(model), torch.amp.GradScaler("cpu", init_scale=4.0)

        def body(x):
            opt.zero_grad()
            loss = model(x).square().sum()
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()
            return loss

        step = around(body)
        return outcome(model, opt, [float(step(x)) for x in BATCHES])

    assert same(scaled(lambda f: f), scaled(torch.compile(backend="eager")))
    assert traced() == []


@TRACED
@pytest.mark.parametrize("what", ["model", "step"])
def test_compiling_the_model_or_the_step_alone(what):
    def alone(around):
        model = made()
        opt = adam(model)
        forward, step = (around(model), opt.step) if what == "model" else (model, around(opt.step))
        losses = []
        for x in BATCHES:

            def closure(x=x):
                opt.zero_grad()
                loss = forward(x).square().sum()
                loss.backward()
                return loss

            losses.append(float(step(closure)))
        return outcome(model, opt, losses)

    assert same(alone(lambda f: f), alone(torch.compile(backend="eager")))
    assert traced() == []
    assert dynamo.utils.counters["stats"].get("unique_graphs", 0) == (what == "model"), (
        "a model in a closure is compiled"
    )


@TRACED
def test_made_inside():
    def inside(around):
        model, kept = made(), []

        def body(x):
            kept.append(adam(model))
            return train(model, kept[-1], x)

        step = around(body)
        losses = [float(step(x)) for x in BATCHES]
        return outcome(model, kept[-1], losses)

    assert same(inside(lambda f: f), inside(torch.compile(backend="eager")))


@TRACED
def test_steps_in_the_backward():
    def released(around):
        model = made()
        opt = ours.step_in_backward(model, ours.Adam, lr=0.1)

        def body(x):
            loss = model(x).square().sum()
            loss.backward()
            return loss.detach()

        step = around(body)
        losses = [float(step(x)) for x in BATCHES]
        with opt:
            return outcome(model, opt, losses)

    assert same(released(lambda f: f), released(torch.compile(backend="eager")))
    assert traced() == []


@TRACED
def test_compiled_autograd_steps_after_it_and_not_within():
    with dynamo.config.patch(compiled_autograd=True):
        compiled = run(adam, train, torch.compile(backend="eager"))
        assert same(run(adam, train, lambda f: f), compiled)

        model = made()
        with ours.step_in_backward(model, ours.Adam, lr=0.1) as opt:
            before = copy.deepcopy(model.state_dict())
            step = torch.compile(lambda x: model(x).square().sum().backward(), backend="eager")
            with pytest.raises(RuntimeError, match="compiled autograd does not say when a pass ends"):
                step(BATCHES[0])
            assert same(before, dict(model.state_dict()))
            assert opt.steps == 0


@TRACED
def test_fullgraph_is_refused_before_anything_is_done():
    model = made()
    opt = adam(model)
    train(model, opt, BATCHES[0])
    before = outcome(model, opt, [])

    def body():
        opt.step()
        return torch.ones(3) + 1

    with pytest.raises(dynamo.exc.Unsupported, match=untraced._WHY):
        torch.compile(body, backend="eager", fullgraph=True)()
    assert same(before, outcome(model, opt, []))


@TRACED
def test_what_watches_a_model_compiles_no_graph_per_step():
    model = made()
    opt = ours.ScheduleFreeAdamW(model.parameters(), lr=0.1)
    opt.watch(model)
    forward, said = torch.compile(model, backend="eager"), []
    for x in BATCHES:
        model.train()
        opt.zero_grad()
        forward(x).square().sum().backward()
        opt.step()
        model.eval()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            forward(x)
        said += [str(w.message) for w in seen if "ships another point" in str(w.message)]
    assert len(said) == 1
    assert dynamo.utils.counters["stats"]["unique_graphs"] <= 3


@TRACED
def test_numpy_arrays_too():
    def stepped(around):
        x = np.ones(5)
        opt = Optimizer(rules.adam, [x], lr=0.1)
        step = around(lambda scale: opt.step([np.sin(x) * scale]))
        for i in range(4):
            step(float(i + 1))
        return x.tolist(), opt.steps

    assert stepped(lambda f: f) == stepped(torch.compile(backend="eager"))
    assert traced() == []


@TRACED
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_other_backends(backend):
    """The forward and backward pass compiled alone, then a plain step: nothing but the step is compared."""
    if backend == "inductor" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        pytest.skip("no C++ compiler on this machine")

    def backward(model, x):
        loss = model(x).square().sum()
        loss.backward()
        return loss

    def outside(model, opt, x):
        opt.zero_grad()
        loss = passes(model, x)
        opt.step()
        return loss

    def inside(model, opt, x):
        opt.zero_grad()
        loss = backward(model, x)
        opt.step()
        return loss

    passes = torch.compile(backward, backend=backend)
    assert same(run(adam, outside, lambda f: f), run(adam, inside, torch.compile(backend=backend)))


def test_marks_wait_until_torch_is_there():
    """Rules on arrays may be there before torch is; in another process, for torch is loaded in this one."""
    text = """
import logging, warnings
import numpy as np
from descend import rules
from descend.optimizer import Optimizer
import torch, torch._dynamo
assert "descend.torch" not in __import__("sys").modules
warnings.simplefilter("ignore"); logging.disable(logging.WARNING)
x = np.ones(5)
opt = Optimizer(rules.adam, [x], lr=0.1)
torch.compile(lambda: opt.step([x]), backend="eager")()
print(opt.steps, x[0] < 1)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["1", "True"], done.stderr


@TRACED
def test_where_code_cannot_be_marked_functions_are_wrapped(monkeypatch):
    """As in torch before 2.7."""
    frames = sys.modules["torch._C._dynamo.eval_frame"]
    monkeypatch.setattr(untraced, "_skips", lambda frames: False)
    monkeypatch.setattr(untraced, "_waiting", [])
    assert hasattr(frames, "set_eval_frame")

    @untraced.untraced
    class Counter:
        count = 0

        def step(self, array):
            self.count += 1
            return self.inner(array)

        def inner(self, array):
            return array.ctypes.data

        @property
        def twice(self):
            return 2 * self.count

    counter, array = Counter(), np.ones(3)
    step = torch.compile(lambda: (counter.step(array), counter.twice), backend="eager")
    assert [step() for _ in range(3)] == [(array.ctypes.data, 2 * n) for n in (1, 2, 3)]


# ---------------------------------------------------------------- other ways of tracing


def within_fake(opt):
    with FakeTensorMode(allow_non_fake_inputs=True):
        opt.step()


def within_make_fx(opt):
    from torch.fx.experimental.proxy_tensor import make_fx

    make_fx(lambda x: (opt.step(), x + 1)[1])(torch.ones(3))


def within_export(opt):
    class Stepping(nn.Module):
        def forward(self, x):
            opt.step()
            return x + 1

    torch.export.export(Stepping(), (torch.ones(3),), strict=False)


def within_functional(opt):
    from torch._subclasses.functional_tensor import FunctionalTensorMode

    with FunctionalTensorMode():
        opt.step()


@TRACED
@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("within", [within_fake, within_make_fx, within_export, within_functional])
def test_where_operators_are_recorded_a_step_is_refused(within, steps):
    """It would be done for real, once, and be missing in what was recorded."""
    model = made()
    opt = adam(model)
    for _ in range(steps):
        train(model, opt, BATCHES[0])
    model(BATCHES[0]).square().sum().backward()
    before = outcome(model, opt, [])
    with pytest.raises(RuntimeError, match=r"Adam\.step\(\) inside \w+Mode, .* step outside"):
        within(opt)
    assert same(before, outcome(model, opt, []))
    opt.step()
    assert opt.steps == steps + 1


@TRACED
def test_a_backward_that_steps_is_refused_there_too():
    model = made()
    with ours.step_in_backward(model, ours.Adam, lr=0.1) as opt:
        loss = model(BATCHES[0]).square().sum()
        before = copy.deepcopy(dict(model.state_dict()))
        with FakeTensorMode(allow_non_fake_inputs=True), pytest.raises(RuntimeError, match="step outside"):
            loss.backward()
        assert opt.steps == 0
        assert same(before, dict(model.state_dict()))


def test_modes_that_record_nothing_are_no_hindrance():
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False):
        inside = run(adam, train, lambda f: f)
    assert same(inside, run(adam, train, lambda f: f))


@TRACED
@pytest.mark.parametrize("transform", ["vmap", "functionalize", "jvp"])
def test_tensors_of_a_transform_are_refused_as_such(transform):
    def body(x):
        p = x.clone()
        p.grad = x.clone()
        ours.SGD([p], lr=0.1).step()
        return p.sum()

    x = torch.ones(2, 3)
    with pytest.raises(ValueError, match=r"torch\.func has wrapped it"):
        torch.func.jvp(body, (x,), (x,)) if transform == "jvp" else getattr(torch.func, transform)(body)(x)
