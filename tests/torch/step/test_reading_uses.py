"""Plans kept between steps, in whole trainings: copies, threads, forks, lazy clones, and what they may keep alive."""

import copy
import functools
import gc
import operator
import os
import pickle
import threading
import weakref

import numpy
import pytest
import torch
from meddlings import bits
from sides import ZOO, Side, agree, calm, near, one_after_the_other
from torch import nn
from torch.nn import Parameter
from twins import theirs

import descend.torch as ours

F64, CF, CL = torch.float64, torch.contiguous_format, torch.channels_last


def freeze(model, opt, t):
    model[0].requires_grad_(t % 10 < 8)
    opt.zero_grad()


def cast(model, opt, t, swapping=False):
    opt.zero_grad()
    torch.__future__.set_swap_module_params_on_conversion(swapping)
    if t % 9 == 8:
        model.float().double()
    torch.__future__.set_swap_module_params_on_conversion(False)


def hook(model, opt, t):
    opt.zero_grad()
    if t == 9:
        opt.register_step_pre_hook(lambda *_: model[2].weight.grad.mul_(2) is None or None)


ROUTINES = {
    "gradients set to None": lambda model, opt, t: opt.zero_grad(),
    "gradients zeroed in place": lambda model, opt, t: opt.zero_grad(set_to_none=False),
    "gradients accumulated over three steps": lambda model, opt, t: opt.zero_grad() if t % 3 == 0 else None,
    "gradients zeroed now, freed then": lambda model, opt, t: opt.zero_grad(set_to_none=t % 7 == 0),
    "layers frozen with their gradients left": lambda model, opt, t: model[0].requires_grad_(t % 10 < 8),
    "layers frozen and unfrozen": freeze,
    "a model cast there and back": cast,
    "a model cast there and back by swapping": functools.partial(cast, swapping=True),
    "a model that becomes channels_last": lambda model, opt, t: model.to(memory_format=[CF, CL][t > 9]).zero_grad(),
    "a hook registered on the way": hook,
    "weights loaded on the way": lambda model, opt, t: model.load_state_dict(copy.deepcopy(model.state_dict())),
}


def trained(kind, routine, branch=lambda t: True):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, 1)).double()
    idle = nn.Linear(4, 1).double()
    params, told = [*model.parameters(), *idle.parameters()], []
    opt = theirs("AdamW", params, lr=0.01) if kind == "torch" else ours.AdamW(params, lr=0.01)
    for t in range(30):
        routine(model, opt, t)
        out = model[:3](torch.randn(5, 2, 4, 4, dtype=F64))
        (model[3](out).square().mean() + (idle(out).mean() if branch(t) else 0)).backward()
        if kind == "forgetful":
            opt._plan = None
        opt.step()
        told.append((None, [bits(p) for p in params]))
    return told, params


@pytest.mark.parametrize("branch", ["always", "late", "now and then"])
@pytest.mark.parametrize("name", ROUTINES)
def test_a_model_trained(name, branch):
    used = {"always": lambda t: True, "late": lambda t: t >= 9, "now and then": lambda t: t % 8 < 6}[branch]
    runs = [trained(kind, ROUTINES[name], used) for kind in ("quick", "forgetful", "torch")]
    agree(runs[0][0], runs[1][0])
    near(runs[0][1], runs[2][1])


def test_a_lazy_clone_keeps_its_values_and_may_be_written_itself():
    mine, _ = calm(Side("quick"), Side("forgetful"))
    p = mine.params[0]
    value, slope = bits(p), bits(p.grad)
    clone, other, slopes = torch._lazy_clone(p.detach()), torch._lazy_clone(p.detach()), torch._lazy_clone(p.grad)
    mine.step()
    stepped = bits(p)
    assert stepped != value
    other.zero_()
    assert (bits(clone), bits(slopes), bits(p), bits(p.grad)) == (value, slope, stepped, slope)


COPIES = {
    "pickled": lambda opt: pickle.loads(pickle.dumps(opt)),
    "deep-copied": copy.deepcopy,
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_in_use_steps_as_its_original_and_leaves_it_alone(name):
    mine, _ = calm(Side("quick", *ZOO), Side("forgetful", *ZOO))
    twin = Side("quick", *ZOO)
    twin.opt, twin.t = COPIES[name](mine.opt), mine.t
    before = mine.everything()
    script = one_after_the_other("moved", 12)
    told = twin.story(script)
    assert mine.everything() == before
    agree(mine.story(script), told)


def test_two_optimizers_taking_turns_on_the_same_parameters():
    told = []
    for kind in ("quick", "forgetful"):
        first, second = Side(kind), Side(kind)
        second.opt = ours.SGD(first.params, lr=0.01, momentum=0.9)
        told.append([scene for _ in range(10) for side in (first, second) for scene in side.quiet(1)])
    agree(*told)


def test_steps_from_other_threads():
    mine, forgetful = calm(Side("quick", *ZOO), Side("forgetful", *ZOO))
    for script in ([()] * 7, [("moved", 1), ("fresh", 2), *[()] * 5], [()] * 3):
        told = []
        thread = threading.Thread(target=lambda script, told: told.extend(mine.story(script)), args=(script, told))
        thread.start()
        thread.join()
        agree(told + mine.quiet(2), forgetful.story(script) + forgetful.quiet(2))


CHANGES = {"updated": lambda inner, new: inner.update(new), "merged": lambda inner, new: operator.ior(inner, new)}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("between", ["fresh", "kept or fresh from now on", "lr", "moved", "None", "a new group"])
def test_the_state_of_a_parameter_stays_the_same_dict_as_in_torch(between, change):
    mine, reference = Side("quick"), Side("torch")
    for side in (mine, reference):
        side.quiet()
        p = side.params[0]
        inner = side.opt.state[p]
        side.story([(), (), (), (), (between, 0), (), (), ()])
        CHANGES[change](inner, {"exp_avg": torch.ones_like(p)})
        side.quiet(1)
    near(mine.params, reference.params)


def child(task):
    """How a forked child ended that did ``task``: 0 where it returned True."""
    pid = os.fork()
    if pid == 0:
        code = 7
        try:
            code = 0 if task() else 8
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_steps_on_as_its_parent_does():
    mine, forgetful = calm(Side("quick", *ZOO), Side("forgetful", *ZOO))
    script = one_after_the_other("moved", 12)
    assert child(lambda: mine.story(script) == forgetful.story(script)) == 0
    agree(mine.story(script), forgetful.story(script))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("steps", [0, 7])
def test_a_gradient_of_zeros_without_memory_is_stepped_or_refused_but_is_no_crash(steps):
    side = Side("quick")
    side.quiet(steps)
    side.params[0].grad = torch._efficientzerotensor((6, 5), dtype=F64)
    assert child(lambda: [side.step()] != []) == 0


def backed(shape=(6, 5)):
    """A tensor, and a weak reference to its memory."""
    memory = numpy.ones(shape)
    return torch.from_numpy(memory), weakref.ref(memory)


@pytest.mark.parametrize("exposed", [True, False])
def test_nothing_outlives_the_model_the_optimizer_or_a_step(exposed):
    weight, memory = backed()
    p, other = Parameter(weight), Parameter(torch.ones(6, 5, dtype=F64))
    alive, opt = weakref.ref(p), ours.AdamW([p, other])
    del weight
    for _ in range(8):
        p.grad, gradient = backed()
        other.grad = torch.ones_like(other)
        opt.step()
        assert not exposed or opt.state[p]
        p.grad = None
        assert gradient() is None, "the memory of a gradient outlived it"
        p.grad, gradient = backed()
        slope = weakref.ref(p.grad)
        opt.step()
        opt.zero_grad()
        assert (gradient(), slope()) == (None, None), "a gradient outlived zero_grad()"
    assert opt._plan.reader is not None
    p.data, later = backed()
    p.grad = other.grad = torch.ones_like(other)
    opt.step()
    assert memory() is None, "the memory a parameter had outlived the next step"
    del p, opt
    gc.collect()
    assert (alive(), later()) == (None, None), "a parameter outlived its optimizer"


def test_a_parameter_taken_out_is_freed_after_the_next_step():
    mine, _ = calm(Side("quick", *ZOO), Side("forgetful", *ZOO))
    p = mine.params[0]
    alive = weakref.ref(p)
    mine.opt.param_groups[0]["params"].pop(0)
    mine.opt.state.pop(p)
    del p
    mine.quiet(1)
    gc.collect()
    assert alive() is None


def test_every_quick_step_marks_what_it_changes_and_nothing_else():
    mine, _ = calm(Side("quick", "AdamW", 2), Side("forgetful", "AdamW", 2))
    p, idle = mine.params
    idle.grad, p.grad = None, None
    for _ in range(8):
        loss = p.square().sum()
        loss.backward(retain_graph=True)
        before = p._version, idle._version, p.grad._version
        mine.step()
        assert p._version > before[0]
        assert (idle._version, p.grad._version) == before[1:]
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
