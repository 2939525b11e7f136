"""Evolve a model: a population of its parameters is evaluated at once, without a gradient."""

import copy
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..search.minimizing import minimize
from ..search.result import OptimizeResult

Loss = Callable[[Callable[..., Any]], Tensor]
FULL = 300  # parameters up to which a full covariance is learned by default


def evolve(
    model: nn.Module,
    loss_fn: Loss,
    method: Any = None,
    *,
    budget: int | None = None,
    target: float | None = None,
    memory: int = 2**30,
    executor: Executor | None = None,
    callback: Callable[[OptimizeResult], Any] | None = None,
    seed: Any = None,
    **options: Any,
) -> OptimizeResult:
    """Minimise a loss over the parameters of a model by a population method, and leave the best ones in the model.

    Many models are evaluated in one call, by ``torch.func.functional_call`` under ``vmap``, as many at once as fit into
    ``memory``. A loss that cannot be vmapped (``.item()``, control flow that depends on data) is evaluated model by
    model, on ``executor`` if there is one. The message of the result says which. The model is written to at the end
    only: an error, or Ctrl-C, leaves it as it was.

    A loss that draws random numbers, as dropout does, is given the same ones for all models of a generation and others
    in the next, by ``seed``; torch's own generators are left alone. What is lowest was lucky then: better evolve in
    ``model.eval()``. BatchNorm in training mode takes the statistics of the batch, and its running ones stay; the
    message says either. Workers of an executor draw from their own generators.

    Args:
        model: its parameters with ``requires_grad`` are evolved; buffers and all others stay.
        loss_fn: takes ``net``, to be called as the model is called, and returns the loss, one number:
            ``lambda net: F.cross_entropy(net(x), y)``. For processes it must be a function of a module.
        method: a name (``descend.search.names``); None: "cma_es" up to 300 parameters, "snes" beyond.
        budget, target, seed, options: those of ``descend.minimize``.
        callback: called after each generation with the best so far, for progress; raise StopIteration to end.
        memory: bytes that the evaluations of one call may take: parameters and all that the forward pass computes.
        executor: any ``concurrent.futures.Executor``, for what cannot be vmapped.

    Returns:
        OptimizeResult; x are the best parameters as one vector, in the order of ``model.parameters()``.

    Raises:
        TypeError: no model, no function, no executor.
        ValueError: no parameter to evolve, complex ones, parameters on several devices, a memory below 1.
        Exception: what a worker of the executor dies of; what waits for one is cancelled.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"evolve takes a model, a torch.nn.Module; got {type(model).__name__}")
    if not callable(loss_fn):
        raise TypeError(f"loss_fn must be a function of the net, got {loss_fn!r}")
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must have submit(), as those of concurrent.futures do; got {executor!r}")
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not parameters:
        raise ValueError("model has no parameter with requires_grad: there is nothing to evolve")
    if len({p.device for p in parameters.values()}) > 1:
        raise ValueError("model has parameters on several devices; a population needs them on one")
    if complex_ones := [name for name, p in parameters.items() if p.is_complex()]:
        raise ValueError(f"evolve: {complex_ones[0]} is complex, and populations are of real numbers")
    if not isinstance(memory, int | float) or not memory >= 1:
        raise ValueError(f"memory must be a number of bytes, at least 1, got {memory!r}")
    double = any(p.dtype == torch.float64 for p in parameters.values())
    dtype = torch.float64 if double else torch.get_default_dtype()
    start = torch.cat([p.detach().reshape(-1).to(dtype) for p in parameters.values()])
    draws = int(seed) if isinstance(seed, int | np.integer) else int(np.random.SeedSequence().generate_state(1)[0])
    population = Population(model, loss_fn, list(parameters), memory, executor, draws)
    result = minimize(
        population.losses,
        start,
        method or ("cma_es" if len(start) <= FULL else "snes"),
        budget=budget,
        target=target,
        callback=callback,
        seed=seed,
        vectorized=True,
        **options,
    )
    with torch.no_grad():
        for name, value in population.named(result.x).items():
            parameters[name].copy_(value)
    result.message = f"{result.message}; {population.how}"
    return result


class Population:
    """Losses of many models that differ in their parameters.

    Attributes:
        how: in words, how they are evaluated.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: Loss,
        names: list[str],
        memory: int,
        executor: Executor | None,
        seed: int | None = None,
    ) -> None:
        self.model, self.loss_fn, self.names, self.executor = model, loss_fn, names, executor
        self.memory, self.seed = memory, seed
        self.calls = 0
        self.places = _places(model)
        self.writes = [
            m for m in model.modules() if isinstance(m, _NormBase) and m.training and m.running_mean is not None
        ]
        self.copies: list[Population] = []  # one for each worker of the executor, which itself cannot be pickled
        self.chunk = 0  # models at once; 0: not tried yet, −1: one by one
        self.how = ""

    def named(self, vector: Tensor) -> dict[str, Tensor]:
        """The parameters that lie in a vector, each with its own dtype."""
        own = dict(self.model.named_parameters())
        sizes = [own[name].numel() for name in self.names]
        parts = vector.split(sizes)
        return {
            name: part.view(own[name].shape).to(own[name].dtype) for name, part in zip(self.names, parts, strict=True)
        }

    def loss(self, vector: Tensor) -> Tensor:
        # Buffers are copied: what a layer such as BatchNorm writes into them while it is looked at must not stay. Under
        # vmap each model needs its own to write into, which the condition makes it.
        own = vector[0] == vector[0] if self.writes else None
        copies = {
            name: buffer.clone() if own is None else torch.where(own, buffer, buffer)
            for name, buffer in self.model.named_buffers()
        }
        values = {
            place: one for name, one in (self.named(vector) | copies).items() for place in self.places.get(name, [name])
        }
        # torch's own tie_weights puts a layer that occurs twice back wrongly: its weight stays what it was called with.
        return self.loss_fn(lambda *a, **kw: functional_call(self.model, values, a, kw, tie_weights=False))

    @torch.no_grad()
    def losses(self, vectors: Tensor) -> Tensor:
        """(n, D) -> (n,), NaN for a model whose loss raised."""
        if self.chunk == 0:
            self._try(vectors[0])
        self.calls += 1
        if self.chunk > 0:
            parts = []
            for some in vectors.split(self.chunk):
                with self.drawing():
                    parts.append(vmap(self.loss, randomness="same")(some))
            return torch.cat(parts)
        if self.executor is None:
            return torch.tensor(one_by_one(self, vectors), dtype=torch.float64)
        workers = getattr(self.executor, "_max_workers", None) or os.cpu_count() or 1
        parts = [part for part in vectors.tensor_split(workers) if len(part)]
        while len(self.copies) < len(parts):  # a model in which one thread has put its parameters is no other's
            own = copy.deepcopy(self.model)
            self.copies.append(Population(own, self.loss_fn, self.names, self.memory, None))
        each = zip(self.copies, parts, strict=False)
        running = [self.executor.submit(one_by_one, own, part) for own, part in each]
        try:
            return torch.tensor([loss for part in running for loss in part.result()], dtype=torch.float64)
        except BaseException:
            for part in running:
                part.cancel()
            raise

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Random numbers of this call, the same each time; torch's generators are as before at the end."""
        if self.seed is None:  # in a worker, where the generators are shared with other threads
            yield
            return
        device = next(self.model.parameters()).device
        kinds = [torch.default_generator]
        if device.type == "cuda":
            kinds.append(torch.cuda.default_generators[device.index or 0])
        before = [one.get_state() for one in kinds]
        for one in kinds:
            one.manual_seed((self.seed * 1_000_003 + self.calls) % 2**63)
        try:
            yield
        finally:
            for one, state in zip(kinds, before, strict=True):
                one.set_state(state)

    def _try(self, vector: Tensor) -> None:
        """Find out whether the loss can be vmapped, and how many models fit into the memory."""
        with self.drawing(), Computed() as computed:
            first = self.loss(vector)
        if not isinstance(first, Tensor) or first.numel() != 1:
            raise TypeError(f"loss_fn must return a tensor of one number, got {first!r}")
        at_once = max(1, int(self.memory) // (computed.bytes + vector.nbytes))
        self.calls += 1
        with self.drawing():
            again = self.loss(vector)
        try:
            with self.drawing():
                vmap(self.loss, randomness="same")(torch.stack((vector, vector)))
        except Exception as error:
            reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
            where = "one by one" if self.executor is None else f"on {type(self.executor).__name__}"
            self.chunk, self.how = -1, f"models were evaluated {where}, for vmap cannot: {reason}"
        else:
            self.chunk, self.how = at_once, f"up to {at_once} models were evaluated at once"
        if not torch.equal(first, again) and bool(torch.isfinite(first)):
            self.how += "; the loss draws random numbers, so that its lowest value was lucky"
        if self.writes:
            self.how += (
                "; BatchNorm took the statistics of each batch, and its running ones are still the old model's: run "
                "data through it in training mode before eval()"
            )


def one_by_one(population: Population, vectors: Tensor) -> list[float]:
    """Losses model by model; NaN where one raised. What is a mistake in the loss itself is raised."""
    found = []
    with torch.no_grad():
        for vector in vectors:
            try:
                with population.drawing():
                    found.append(float(population.loss(vector)))
            except (TypeError, NameError, AttributeError):
                raise
            except Exception:
                found.append(np.nan)
    return found


def _places(model: nn.Module) -> dict[str, list[str]]:
    """The name of each tensor that is in several places -> the names of all of them, one for each layer."""
    names: dict[int, list[str]] = {}
    seen: set[tuple[nn.Module, str]] = set()
    every = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    for name, tensor in every:
        path, _, last = name.rpartition(".")
        if (place := (model.get_submodule(path), last)) not in seen:
            seen.add(place)
            names.setdefault(id(tensor), []).append(name)
    return {places[0]: places for places in names.values()}


class Computed(TorchDispatchMode):
    """Counts the bytes of all that is computed within: no evaluation can need more at once."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.bytes += sum(leaf.nbytes for leaf in tree_leaves(result) if isinstance(leaf, Tensor))
        return result
