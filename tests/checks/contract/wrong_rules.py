"""Rules that each break one promise, for the checks to find. They stand in a file of their own, as a stranger's do."""

import numpy as np

from descend import mean, rule, sqrt, zeros
from descend.checks import per_tensor
from descend.core.trace import Symbol

MEMORY = {}
DRAWN = np.random.default_rng(0)
t = 3


def each(x, change):
    """``change`` of each array behind a rule's value: what no rule should do, as the tracer does not see it."""
    if hasattr(x, "items"):
        return type(x)([change(item) for item in x.items], x.gather)
    return change(x)


def is_array(x):
    return not isinstance(x, Symbol)


@rule
def sound(p, g, m=zeros, *, lr=0.01, beta=0.9):
    """Sound: an average of gradients."""
    m = beta * m + (1 - beta) * g
    p = p - lr * m
    return p, m


@rule
def rows_only(p, g, *, lr=0.01):
    return p - lr * mean(g, over="row")


@rule
def forgets_state(p, g, m=zeros, *, lr=0.01):
    m = m + g
    return p - lr * m


@rule
def sums_its_state(p, g, m=zeros, *, lr=0.01):
    m = mean(m + g)
    return p - lr * m, m


@rule
def keeps_a_condition(p, g, m=zeros, *, lr=0.01):
    return p - lr * (g + m), g > 0


@rule
def branches_on_the_step(p, g, *, t, lr=0.01):
    if t > 3:
        lr = lr / 2
    return p - lr * g


@rule
def branches_on_data(p, g, *, lr=0.01):
    return p - lr * max(g, 0.0)


@rule
def writes(p, g, m=zeros, *, lr=0.01):
    m += g
    return p - lr * m, m


@rule
def random(p, g, *, lr=0.01):
    return p - lr * (1 + 0.1 * float(DRAWN.normal())) * g


@rule
def steps_by_a_global(p, g, *, lr=0.01):
    return p - lr / t * g


@rule
def idle_setting(p, g, m=zeros, *, lr=0.01, beta=0.9, lambd=0.1):
    m = beta * m + g
    return p - lr * m, m


@rule
def idle_state(p, g, m=zeros, spare=zeros, *, lr=0.01):
    m = m + g
    spare = spare + m
    return p - lr * m, m, spare


@rule
def remembers(p, g, *, t, lr=0.01):
    last = 0.0
    if is_array(t):
        step = t.items[0] if hasattr(t, "items") else t  # a value itself has no truth
        last = MEMORY["g"] if step > 1 else 0.0
        MEMORY["g"] = g
    return p - lr / t * (g + last)


@rule
def root_of_a_gradient(p, g, *, lr=0.01):
    return p - lr * sqrt(g + 100.0)


@rule
def no_eps(p, g, v=zeros, *, lr=0.01):
    v = v + g * g
    return p - lr * g / sqrt(v), v


@rule
def adds_everything(p, g, *, lr=0.01):
    return p - lr * (each(g, lambda x: x + 0 * x.sum()) if is_array(g) else g)


@rule
def knows_its_place(p, g, *, lr=0.01):
    def change(x):
        weight = 1.0 + np.arange(x.shape[0]) / 100 if x.ndim else np.ones(())
        shaped = weight.reshape(-1, *(1,) * (x.ndim - 1)) if x.ndim else weight
        return x * (shaped if isinstance(x, np.ndarray | np.generic) else x.new_tensor(shaped))

    return p - lr * (each(g, change) if is_array(g) else g)


@rule
def eighth_powers(p, g, *, lr=0.01):
    return p - lr * g / (sqrt(sqrt(sqrt((g * g) ** 4))) + 1e-60)


@rule
def another_when_fused(p, g, *, lr=0.01):
    return p - (lr if is_array(g) else (1 + 1e-10) * lr) * g


@rule
def another_in_torch(p, g, *, lr=0.01):
    return p - lr * each(g, lambda x: x if isinstance(x, np.ndarray | np.generic | Symbol) else x * (1 + 1e-9))


@rule
def ends_in_a_branch(p, g, *, lr=0.01):
    if True:
        return p - lr * g


@rule
def climbs(p, g, *, lr=0.01):
    return p + lr * g


@rule
def another_than_its_paper(p, g, m=zeros, *, lr=0.01, beta=0.9):
    m = beta * m + g
    p = p - lr * m
    return p, m


@per_tensor
def another_than_its_paper_reference(x, gradients, *, lr, beta):
    m = np.zeros_like(x)
    for g in gradients:
        m = beta * m + (1 - beta) * g
        x = x - lr * m
        yield x, {"m": m}


@rule
def with_an_empty_word(p, g, *, lr=0.01):
    p = p - lr * g + 0 * p
    return p


@per_tensor
def with_an_empty_word_reference(x, gradients, *, lr):
    for g in gradients:
        x = x - lr * g
        yield x, {}
