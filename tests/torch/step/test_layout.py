"""Memory layouts, aliases and tensors replaced behind the optimizer's back: the numbers stay torch's."""

import pytest
import torch
from torch.nn import Parameter
from twins import (
    CLASSES,
    ENGINES,
    HALVES,
    REFUSED,
    STATEFUL,
    assert_close,
    bits,
    feed,
    parameters,
    refusal,
    theirs,
)

import descend.torch as ours

F64 = torch.float64


def rand(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=F64)


def channels_last(x):
    return x.to(memory_format=torch.channels_last)


def odd_strides(x):
    """Size-1 dimensions with strides that mean nothing."""
    return torch.empty_strided((3, 1, 4), (4, 100, 1), dtype=F64).copy_(x)


# name: (parameter, layout of its gradient)
LAYOUTS = {
    "channels_last parameter, contiguous gradient": (lambda: channels_last(rand(2, 3, 4, 5)), lambda g: g),
    "contiguous parameter, channels_last gradient": (lambda: rand(2, 3, 4, 5), channels_last),
    "both channels_last": (lambda: channels_last(rand(2, 3, 4, 5)), channels_last),
    "strided parameter": (lambda: rand(10, 5, 2)[..., 0], lambda g: g),
    "strided both": (lambda: rand(10, 5, 2)[..., 1], lambda g: torch.stack([g, g], -1)[..., 0]),
    "transposed parameter": (lambda: rand(5, 10).t(), lambda g: g),
    "transposed gradient": (lambda: rand(5, 10), lambda g: g.t().contiguous().t()),
    "reversed dimensions": (lambda: rand(3, 4, 5).permute(2, 0, 1), lambda g: g),
    "expanded gradient": (lambda: rand(6, 5), lambda g: g[:1].expand(6, 5)),
    "scalar gradient expanded": (lambda: rand(6, 5), lambda g: g[0, 0].expand(6, 5)),
    "negative-bit gradient": (lambda: rand(6, 5), lambda g: torch._neg_view(g)),
    "gradient at an odd offset of a bucket": (
        lambda: rand(7, 5),
        lambda g: torch.cat([g.new_zeros(1), g.reshape(-1), g.new_zeros(3)])[1:36].view(7, 5),
    ),
    "parameter at an odd offset": (lambda: rand(40)[3:38].view(7, 5), lambda g: g),
    "odd strides of size-1 dimensions": (lambda: odd_strides(rand(3, 1, 4)), lambda g: g),
    "odd strides in the gradient": (lambda: rand(3, 1, 4), odd_strides),
    "step of a slice": (lambda: rand(20)[::3], lambda g: g),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_as_torch(layout, engine):
    make, lay_out = LAYOUTS[layout]
    built = []
    for build in (lambda ps: ours.AdamW(ps, lr=0.01, engine=engine), lambda ps: theirs("AdamW", ps, lr=0.01)):
        params = [Parameter(rand(4)), Parameter(make()), Parameter(rand(3))]
        built.append((build(params), params))
    strides = built[0][1][1].stride()
    for t in range(5):
        for opt, params in built:
            feed(params, t)
            params[1].grad = lay_out(params[1].grad)
            before = [bits(p.grad) for p in params]
            opt.step()
            assert [bits(p.grad) for p in params] == before, "step changed a gradient"
        assert_close(*built, 1e-14, f"step {t}:")
    assert built[0][1][1].stride() == strides


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CLASSES)
def test_gaps_between_strided_elements_keep_their_bits(name, engine):
    base, flat = rand(10, 5, 2), rand(60)
    p = [Parameter(base[..., 0]), Parameter(flat[3:38].view(7, 5)), Parameter(flat[40:53])]
    opt = getattr(ours, name)(p, engine=engine, lr=0.1, **STATEFUL.get(name, {}))
    gaps = bits(base[..., 1]), bits(flat[:3]), bits(flat[38:40]), bits(flat[53:])
    moved = bits(base[..., 0]), bits(flat[3:38]), bits(flat[40:53])
    for t in range(3):
        feed(p, t)
        opt.step()
    assert (bits(base[..., 1]), bits(flat[:3]), bits(flat[38:40]), bits(flat[53:])) == gaps
    assert all(a != b for a, b in zip((bits(base[..., 0]), bits(flat[3:38]), bits(flat[40:53])), moved, strict=True))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("position", range(4))
def test_an_empty_tensor_at_any_position(position, engine):
    shapes = [(3,), (), (2, 2)]
    shapes.insert(position, (0,))
    built = []
    for build in (lambda ps: ours.Adam(ps, engine=engine), lambda ps: theirs("Adam", ps)):
        params = parameters(shapes=shapes)
        built.append((build(params), params))
    for t in range(3):
        for opt, params in built:
            feed(params, t)
            opt.step()
    assert_close(*built, 1e-14)


@pytest.mark.parametrize("engine", ENGINES)
def test_mixed_dtypes_in_one_group(engine):
    wide = [parameters(dtype, ((5, 3), ()))[i] for dtype in (F64, torch.float32) for i in (0, 1)]
    other = [p for dtype in HALVES for p in parameters(dtype, ((4,),))]
    integers = torch.arange(4)
    q = [Parameter(p.detach().clone()) for p in wide]
    opt, ref = ours.AdamW([*wide, *other, integers], engine=engine, lr=0.1), theirs("AdamW", q, lr=0.1)
    before = list(map(bits, other))
    for t in range(10):
        feed([*wide, *other], t)
        feed(q, t)
        opt.step()
        ref.step()
    assert_close((opt, wide[:2]), (ref, q[:2]), 1e-14)
    assert_close((opt, wide[2:]), (ref, q[2:]), 5e-7)
    assert all(bits(p) != then for p, then in zip(other, before, strict=True))
    assert torch.equal(integers, torch.arange(4))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [F64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", ["contiguous", "strided"])
def test_backward_after_step_raises_as_torch(layout, dtype, engine):
    w = Parameter(rand(5, 5).to(dtype) if layout == "contiguous" else rand(5, 5, 2).to(dtype)[..., 0])
    idle = Parameter(torch.ones(3, dtype=dtype))
    opt = ours.AdamW([w, idle], engine=engine)
    loss = (w.mul(w)).sum()
    loss.backward(retain_graph=True)
    version, still = w._version, idle._version
    opt.step()
    assert w._version > version
    assert idle._version == still, "a parameter without gradient was marked as changed"
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_meta_parameters_are_stepped_or_refused_by_name():
    p = Parameter(torch.empty(4, 3, device="meta"))
    opt = ours.AdamW([p], lr=0.1)
    p.grad = torch.empty(4, 3, device="meta")
    if message := refusal(opt.step):
        assert "meta" in message
        assert not opt.state.get(p)
    else:
        assert opt.state[p]["exp_avg"].device.type == "meta"


BASE = torch.arange(24.0, dtype=torch.float64)
OVERLAPS = {
    "shifted views": lambda: [Parameter(BASE[:10].clone()), Parameter(BASE[:8]), Parameter(BASE[4:12])],
    "same storage twice": lambda: [Parameter(BASE), Parameter(BASE.view(4, 6))],
    "a row of the other": lambda: [Parameter(BASE.view(4, 6)), Parameter(BASE[6:12])],
    "a transpose": lambda: [Parameter(BASE.view(4, 6)), Parameter(BASE.view(4, 6).t())],
    "expanded in itself": lambda: [Parameter(torch.ones(1, dtype=torch.float64).expand(5))],
    "sliding window": lambda: [Parameter(BASE.unfold(0, 4, 1))],
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("across_groups", [False, True])
@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_overlapping_parameters_are_refused(name, overlap, across_groups, engine):
    p = OVERLAPS[overlap]()
    before = [x.detach().clone() for x in p], BASE.clone()

    def build_and_step():
        groups = [{"params": [x]} for x in p] if across_groups else p
        opt = getattr(ours, name)(groups, engine=engine, **STATEFUL.get(name, {}))
        feed(p, 0)
        opt.step()

    with pytest.raises(REFUSED, match=r"overlap|share|storage|memory"):
        build_and_step()
    assert all(torch.equal(a, b) for a, b in zip(p, before[0], strict=True))
    assert torch.equal(BASE, before[1])


def test_interleaved_parameters_do_not_overlap():
    """Even and odd elements, and two columns, of one storage: no element is shared, so nothing is wrong."""
    base = BASE.clone()
    even, odd, table = Parameter(base[::2]), Parameter(base[1::2]), torch.zeros(5, 2, dtype=torch.float64)
    p = [even, odd, Parameter(table[:, 0]), Parameter(table[:, 1])]
    opt = ours.SGD(p, lr=1.0)
    for x in p:
        x.grad = torch.ones_like(x)
    opt.step()
    assert torch.equal(base, BASE - 1)
    assert (table == -1).all()
