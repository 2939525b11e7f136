"""What may be done between two steps to a parameter ``p`` of a ``Side`` ``s``, behind the optimizer's back."""

import copy
import functools

import numpy
import torch
from torch.nn import Parameter
from twins import bits as bits_of


def bits(x):
    return bits_of(
        x.detach().clone(memory_format=torch.contiguous_format)
    )  # of a copy: numpy would pin the storage and end a lazy clone


def laid_out(x, how):
    if how == "channels_last":
        return x.to(memory_format=torch.channels_last)
    return torch.stack([x, x], -1)[..., 0] if how == "strided" else x.clone()


def put(p, x):
    p.data = x.detach()


def give(p, g):
    p.grad = None if g is None else g.detach()


def at_offset(x):
    room = torch.cat([x.new_zeros(3), x.detach().reshape(-1), x.new_zeros(2)])
    return room[3 : 3 + x.numel()].view(x.shape)


def columns(x):
    """The same numbers, strides of a column-major array."""
    order = tuple(reversed(range(x.dim())))
    return x.detach().permute(order).contiguous().permute(order)


def other_strides(g):
    """The same memory, read in another order."""
    g = g.detach().contiguous()
    return g.as_strided(g.shape, [int(numpy.prod(g.shape[:k])) for k in range(g.dim())])


def moved(s, p):
    s.leave(p)
    p.data = p.data.clone()


def moved_there_and_back(s, p):
    there, back = p.data, p.data.clone()
    put(p, back)
    s.step()
    there.copy_(back)
    put(p, there)


def lazy(x):
    try:
        return torch._lazy_clone(x.detach())
    except RuntimeError:  # the memory is shared or not torch's
        return x.detach().clone()


def resizable(x):
    return x.untyped_storage().resizable() and not x.is_shared()  # torch crashes where it is shared


def grow(x):
    if resizable(x):
        x.untyped_storage().resize_(x.untyped_storage().nbytes() + 900)


def reallocated(s, p):
    """As sharded training frees and refills a parameter."""
    if resizable(p):
        storage = p.untyped_storage()
        old, size = storage.clone(), storage.nbytes()
        storage.resize_(0)
        s.spare.append(torch.ones(max(size // 8, 1)))
        storage.resize_(size)
        storage.copy_(old)


def swapped(s, p):
    fresh = Parameter(laid_out(p.detach(), "strided"))
    fresh.grad, p.grad = p.grad, None
    torch.utils.swap_tensors(p, fresh)


def flattened(s, p):
    alike = [q for q in s.params if q.dtype == p.dtype]
    flat, grads = (torch.zeros(sum(q.numel() for q in alike), dtype=p.dtype) for _ in range(2))
    at = 0
    for q in alike:
        part = slice(at, at := at + q.numel())
        put(q, flat[part].view(q.shape).copy_(q.detach()))
        give(q, grads[part].view(q.shape).copy_(q.grad))


def exchange(p, q):
    p.data, q.data = q.data, p.data


def exchange_gradients(p, q):
    p.grad, q.grad = q.grad, p.grad


def replaced(s, p, stateful=False):
    fresh, (group, i) = Parameter(p.detach().clone()), s.group(p)
    fresh.grad = p.grad
    group["params"][i] = fresh
    if stateful and p in s.opt.state:
        s.opt.state[fresh] = s.opt.state.pop(p)


def removed(s, p):
    group, i = s.group(p)
    s.spare.append(group["params"].pop(i))


def removed_for_a_step(s, p):
    group, i = s.group(p)
    del group["params"][i]
    s.step()
    group["params"].insert(i, p)


def added(s, p):
    s.opt.add_param_group({"params": [Parameter(p.detach().clone())], "lr": 0.05})


def with_state(change):
    return lambda s, p: [change(s.opt.state[p], k, v) for k, v in s.held(p)]


def tidied(s):
    """The optimizer, without the state of parameters it has no more, which torch cannot save."""
    kept = {id(p) for p in s.params}
    for p in [p for p in s.opt.state if id(p) not in kept]:
        del s.opt.state[p]
    return s.opt


def restate(s, p):
    s.opt.load_state_dict(copy.deepcopy(tidied(s).state_dict()))


MOVES = {
    "moved": moved,
    "moved, old memory freed": lambda s, p: put(p, p.clone()),
    "moved there and back": moved_there_and_back,
    "at an offset": lambda s, p: put(p, at_offset(p)),
    "other strides": lambda s, p: put(p, laid_out(p.detach(), "strided")),
    "column-major": lambda s, p: put(p, columns(p)),
    "same memory, strides exchanged": lambda s, p: put(p, other_strides(p)) if p.is_contiguous() else None,
    "negated view of its memory": lambda s, p: put(p, torch._neg_view(p.detach())),
    "set_": lambda s, p: p.set_(p.detach().clone()),
    "storage grown": lambda s, p: grow(p),
    "storage reallocated": reallocated,
    "swap_tensors": swapped,
    "flat buffer": flattened,
    "share_memory_": lambda s, p: p.data.share_memory_(),
    "exchanged memory": lambda s, p: exchange(p, s.like(p)),
    "lazily cloned": lambda s, p: s.stale.append((bits(p), lazy(p))),
    "itself a lazy clone": lambda s, p: s.leave(p) or put(p, lazy(p)),
}
GRADIENTS = {
    "fresh": lambda s, p: give(p, p.grad.clone()),
    "column-major gradient": lambda s, p: give(p, columns(p.grad)),
    "same memory, other strides": lambda s, p: give(p, other_strides(p.grad)),
    "gradient at an offset": lambda s, p: give(p, at_offset(p.grad)),
    "negated view of itself": lambda s, p: give(p, torch._neg_view(p.grad)),
    "expanded": lambda s, p: give(p, torch.full((), 0.5, dtype=p.dtype).expand(p.shape)),
    "data replaced": lambda s, p: put(p.grad, p.grad.clone()),
    "data of other strides": lambda s, p: put(p.grad, columns(p.grad)),
    "gradient set_": lambda s, p: p.grad.set_(p.grad.detach().clone()),
    "gradient storage grown": lambda s, p: grow(p.grad),
    "restrided in place": lambda s, p: p.grad.as_strided_(p.shape, other_strides(p.grad).stride()),
    "gradient shared": lambda s, p: p.grad.share_memory_(),
    "a Parameter": lambda s, p: setattr(p, "grad", Parameter(p.grad)),
    "gradients exchanged": lambda s, p: exchange_gradients(p, s.like(p)),
    "gradient of another": lambda s, p: give(p, s.like(p).grad),
    "the parameter itself": lambda s, p: give(p, p),
    "gradient lazily cloned": lambda s, p: s.stale.append((bits(p.grad), lazy(p.grad))),
    "a lazy clone": lambda s, p: s.leave(p.grad) or give(p, lazy(p.grad)),
    "None": lambda s, p: give(p, None),
    "kept or fresh from now on": lambda s, p: setattr(s, "keep", not s.keep),
}
GROUPS = {
    "lr": lambda s, p: s.group(p)[0].update(lr=0.04 if s.group(p)[0]["lr"] == 0.03 else 0.03),
    "weight_decay": lambda s, p: s.group(p)[0].update(weight_decay=0.1 - s.group(p)[0]["weight_decay"]),
    "maximize": lambda s, p: s.group(p)[0].update(maximize=not s.group(p)[0]["maximize"]),
    "betas": lambda s, p: s.group(p)[0].update({"betas": (0.5, 0.9)} if "betas" in s.opt.defaults else {"momentum": 0}),
    "a key nobody knows": lambda s, p: s.group(p)[0].update(note=object()),
    "an equal parameter": replaced,
    "an equal parameter with its state": functools.partial(replaced, stateful=True),
    "list replaced": lambda s, p: s.group(p)[0].update(params=s.group(p)[0]["params"][::-1]),
    "order swapped": lambda s, p: s.group(p)[0]["params"].reverse(),
    "groups reversed": lambda s, p: s.opt.param_groups.reverse(),
    "list of groups replaced": lambda s, p: setattr(s.opt, "param_groups", [dict(g) for g in s.opt.param_groups]),
    "removed": removed,
    "removed for a step": removed_for_a_step,
    "a new group": added,
    "appended to the list": lambda s, p: s.group(p)[0]["params"].append(Parameter(p.detach().clone())),
}
STATES = {
    "state replaced": with_state(lambda state, k, v: state.update({k: v.clone()})),
    "state moved": with_state(lambda state, k, v: put(v, v.clone())),
    "state strided": with_state(lambda state, k, v: put(v, laid_out(v, "strided"))),
    "state shared": with_state(lambda state, k, v: v.share_memory_()),
    "state negated": with_state(lambda state, k, v: state.update({k: torch._neg_view(v)})),
    "state edited": with_state(lambda state, k, v: v.mul_(2)),
    "step count edited": with_state(lambda state, k, v: "step" in state and state["step"].add_(5)),
    "step count replaced": with_state(lambda state, k, v: "step" in state and state.update(step=state["step"] + 5)),
    "state dropped": lambda s, p: s.opt.state.pop(p, None),
    "inner dict replaced": lambda s, p: s.opt.state.update({q: dict(v) for q, v in s.opt.state.items()}),
    "loaded": restate,
    "saved": lambda s, p: tidied(s).state_dict(),
    "state lazily cloned": lambda s, p: [s.stale.append((bits(v), lazy(v))) for _, v in s.held(p)],
}
BAD = {
    "sparse": lambda s, p: give(p, torch.sparse_coo_tensor(p.shape, dtype=p.dtype, check_invariants=True)),
    "too small": lambda s, p: put(p.grad, p.new_ones(2)),
    "broadcast": lambda s, p: put(p.grad, p.new_ones(p.shape[-1:])) if p.dim() > 1 else None,
    "too large": lambda s, p: put(p.grad, p.new_ones(9, 9)),
    "transposed in place": lambda s, p: p.grad.transpose_(0, -1) if p.dim() else None,
    "one dimension more": lambda s, p: p.grad.unsqueeze_(0) if p.dim() else None,
    "flat": lambda s, p: put(p.grad, p.grad.reshape(-1)) if p.dim() else None,
    "half precision": lambda s, p: put(p.grad, p.grad.half()),
    "integers": lambda s, p: put(p.grad, p.grad.int()),
    "complex": lambda s, p: put(p.grad, p.grad.to(torch.complex64)),
    "parameter shrunk": lambda s, p: put(p, p.detach().reshape(-1)[:1].clone()),
    "parameter cast": lambda s, p: put(p, p.detach().half()),
    "a negative lr": lambda s, p: s.group(p)[0].update(lr=-1.0),
    "words for weight_decay": lambda s, p: s.group(p)[0].update(weight_decay="much"),
    "same memory twice": lambda s, p: put(p, s.like(p).detach()),
}
ACTIONS = {"not finite": lambda s, p: p.grad.fill_(float("nan"))} | MOVES | GRADIENTS | GROUPS | STATES | BAD
HARMLESS = MOVES | GRADIENTS | GROUPS | STATES
