"""What each rule is measured against: the same rule of torch.optim, optax and pytorch_optimizer, in every form."""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import torch

from .workloads import Tensors

Call = Callable[[], Any]

# rule -> torch's class for it and the arguments that ask for it; descend.torch has the same classes
PEERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gradient_descent": ("SGD", {}),
    "momentum_accumulation": ("SGD", {"momentum": 0.9}),
    "momentum_dampened": ("SGD", {"momentum": 0.9, "dampening": 0.1}),
    "nesterov_accumulation": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop_centered": ("RMSprop", {"centered": True}),
    "rmsprop_momentum": ("RMSprop", {"momentum": 0.9}),
    "rmsprop_centered_momentum": ("RMSprop", {"centered": True, "momentum": 0.9}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
    "amsgrad": ("Adam", {"amsgrad": True}),
    "amsgradw": ("AdamW", {"amsgrad": True}),
    "adadelta": ("Adadelta", {}),
    "adamax": ("Adamax", {}),
    "nadam": ("NAdam", {}),
    "nadamw": ("NAdam", {"decoupled_weight_decay": True, "weight_decay": 1e-2}),
    "radam": ("RAdam", {}),
    "radamw": ("RAdam", {"decoupled_weight_decay": True, "weight_decay": 1e-2}),
    "rprop": ("Rprop", {}),
    "asgd": ("ASGD", {}),
    "adafactor": ("Adafactor", {}),
}
FORMS: dict[str, dict[str, Any]] = {
    "loop": {"foreach": False, "fused": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}
FUSED = ("momentum_accumulation", "adagrad", "adam", "adamw")
"""The four rules of which torch has a fused CPU kernel."""
UNFUSED = ("rmsprop", "adadelta", "adamax", "nadam", "radam", "rprop", "asgd")
"""The seven classes of torch.optim without one."""
WARM = {name: 6 for name in ("radam", "radamw")}
"""Steps before the first that is timed: torch's RAdam does less work in its first five."""
MANY = 1000  # tensors above which torch.compile unrolls for too long to be waited for

# rule -> optax's transformation at the rule's own settings (float32: the mathematics, not the dialect)
OPTAX: dict[str, Callable[[Any], Any]] = {
    "gradient_descent": lambda o: o.sgd(1e-3),
    "momentum_accumulation": lambda o: o.sgd(1e-3, momentum=0.9),
    "nesterov_accumulation": lambda o: o.sgd(1e-3, momentum=0.9, nesterov=True),
    "adagrad": lambda o: o.adagrad(1e-2, initial_accumulator_value=0.0, eps=1e-10),
    "rmsprop": lambda o: o.rmsprop(1e-2, decay=0.99),
    "adadelta": lambda o: o.adadelta(1.0, rho=0.9, eps=1e-6),
    "adam": lambda o: o.adam(1e-3),
    "adamw": lambda o: o.adamw(1e-3, weight_decay=1e-2),
    "amsgrad": lambda o: o.amsgrad(1e-3),
    "adamax": lambda o: o.adamax(2e-3),
    "nadam": lambda o: o.nadam(2e-3),
    "radam": lambda o: o.radam(1e-3),
    "lion": lambda o: o.lion(1e-4, weight_decay=0.0),
    "rprop": lambda o: o.rprop(1e-2),
    "adabelief": lambda o: o.adabelief(1e-3),
    "yogi": lambda o: o.yogi(1e-2),
    "adan": lambda o: o.adan(1e-3),
    "lamb": lambda o: o.lamb(1e-3),
    "lars": lambda o: o.lars(1.0, weight_decay=1e-4),
    "novograd": lambda o: o.novograd(1e-3),
    "sign_sgd": lambda o: o.sign_sgd(1e-4),
}
# rule -> pytorch_optimizer's class, where torch has none of its own
PYTORCH_OPTIMIZER: dict[str, tuple[str, dict[str, Any]]] = {
    "lion": ("Lion", {}),
    "tiger": ("Tiger", {}),
    "adabelief": ("AdaBelief", {}),
    "adan": ("Adan", {}),
    "ademamix": ("AdEMAMix", {}),
    "adopt": ("ADOPT", {}),
    "grams": ("Grams", {}),
    "laprop": ("LaProp", {}),
    "mars": ("MARS", {}),
    "yogi": ("Yogi", {}),
    "lamb": ("Lamb", {}),
    "lars": ("LARS", {}),
    "novograd": ("NovoGrad", {}),
    "prodigy": ("Prodigy", {}),
    "dadapt_adam": ("DAdaptAdam", {}),
    "dadapt_sgd": ("DAdaptSGD", {}),
    "came": ("CAME", {}),
    "sign_sgd": ("SignSGD", {"momentum": 0.0}),
    "signum": ("SignSGD", {"momentum": 0.9}),
}


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def torch_forms(name: str, tensors: Tensors, compiled: bool = False) -> Iterator[tuple[str, Call]]:
    """torch's forms of a rule that run here: ``torch loop``, ``torch foreach``, ``torch fused``, ``torch compile``."""
    if name not in PEERS:
        return
    peer, arguments = PEERS[name]
    made = getattr(torch.optim, peer)
    for form, hint in FORMS.items():
        try:
            yield f"torch {form}", made(tensors.copies(), **arguments, **hint).step
        except TypeError:  # the class has no fused form; the others say so by foreach alone
            if form == "loop":
                yield "torch loop", made(tensors.copies(), **arguments, foreach=False).step
    if compiled and len(tensors.pairs) <= MANY:
        torch._dynamo.reset()
        step = torch.compile(made(tensors.copies(), **arguments, foreach=True).step)
        yield "torch compile", step


def renewed(step: Call) -> Call:
    """An optimizer's step with other gradient tensors than last time, as ``zero_grad(set_to_none=True)`` leads to.

    Two sets take turns. The assignment is part of the time, on all sides alike.
    """
    owner: Any = step
    params = [p for group in owner.__self__.param_groups for p in group["params"]]
    sets = [[p.grad for p in params], [p.grad.clone() for p in params]]

    def call() -> None:
        sets.reverse()
        for p, g in zip(params, sets[0], strict=True):
            p.grad = g
        step()

    return call


def others(name: str, tensors: Tensors) -> Iterator[tuple[str, Call]]:
    """optax under jit with donated buffers, and pytorch_optimizer, where they have the rule and are installed."""
    if name in OPTAX and installed("optax") and installed("jax"):
        yield "optax", optax_step(OPTAX[name], tensors)
    if name in PYTORCH_OPTIMIZER and installed("pytorch_optimizer"):
        try:
            import pytorch_optimizer
        except ImportError:  # of something that it wants besides
            return
        peer, arguments = PYTORCH_OPTIMIZER[name]
        yield "pytorch_optimizer", getattr(pytorch_optimizer, peer)(tensors.copies(), **arguments).step


def optax_step(call: Callable[[Any], Any], tensors: Tensors) -> Call:
    """One jitted step of an optax transformation on the tensors."""
    import jax
    import optax

    params, grads = ([jax.numpy.array(x.numpy()) for x in of] for of in zip(*tensors.pairs, strict=True))
    return transformed(call(optax), params, grads)


def transformed(transformation: Any, params: Any, grads: Any) -> Call:
    """One jitted step by a gradient transformation; parameters and state are donated, so it may work in place."""
    import jax
    import optax

    def step(params: Any, state: Any, grads: Any) -> tuple[Any, Any]:
        updates, state = transformation.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    compiled = jax.jit(step, donate_argnums=(0, 1))
    carried: list[Any] = [params, transformation.init(params)]

    def run() -> None:
        carried[:] = jax.block_until_ready(compiled(*carried, grads))

    return run
