"""``KFAC``: gradients divided by a Kronecker-factored Fisher matrix, then stepped by the rules of the catalogue."""

import math
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...core.settings import check_count, check_setting
from ...core.untraced import untraced
from ...stepping import NonFiniteGradient
from ..optim.base import RuleOptimizer
from ..optim.classes import SGD, optimizer
from .draws import VECTORS, drawn_vectors
from .factors import Factors
from .layers import Block, check_model, find
from .processes import averaged, mean_of
from .quadratic import Curvature, best, forms, summed
from .recording import Recorder

_NUMBERS = ("damping", "kl_clip", "factor_decay", "factor_update_steps", "inv_update_steps", "steps", "skipped")


@untraced
class KFAC(torch.optim.Optimizer):
    """K-FAC: gradients divided by a Fisher matrix of Kronecker factors (Martens & Grosse 2015, Grosse & Martens 2016).

    A weight W (out, in) of a layer, its bias as a last column, has the block A ⊗ G: A is the second moment of what
    enters the layer, G of the gradient by what leaves it. The step is W ← W - lr·ν·(G + √λ/π I)⁻¹ ∇W (A + π√λ I)⁻¹
    with momentum, where ν keeps the step's length in the Fisher metric: lr²·ν²·⟨step, ∇W⟩ ≤ kl_clip.

    Linear, Conv2d (groups=1), Embedding and MultiheadAttention have factors, also where layers share a weight; all
    other parameters are stepped by a rule of the catalogue. ``print(opt)`` lists which has what, and why::

        opt = KFAC(model, lr=0.1)
        for x, y in loader:
            out = model(x)
            opt.draw(out, "cross_entropy")  # the model's own Fisher; without this line, the empirical one
            opt.zero_grad()
            torch.nn.functional.cross_entropy(out, y).backward()
            opt.step()

    What is heard are forward passes in training mode, with gradients on, that a backward pass follows. Under
    DistributedDataParallel give the wrapped model: factors are the means over its processes, and so the same in each.

    Dialect: G is of the loss's own gradients (the empirical Fisher) unless ``draw`` is called. Momentum and decay come
    after the division. ν is that of Ba et al. 2017; ``quadratic=True`` takes length and momentum from the quadratic
    model of sections 6.4 and 7 instead. λ is as given, and not adapted (section 6.5).

    Args:
        model: the module; its trainable parameters are stepped.
        lr (0.1, quadratic: 1), momentum (0.9), weight_decay (0.0): of the parameters with factors; numbers or
            schedules. The decay is added to the divided gradient.
        damping (0.001): λ, split over both factors by π (section 6.3); a number, or a function of the step from 0.
        kl_clip (0.001): bound of lr²·⟨step, gradient⟩, or None for none; a number, or a function of the step from 0.
        quadratic (False): the step is lr·(αΔ + μδ), with Δ the divided gradient, δ the step before, and α, μ those of
            the smallest value of ∇·s + ½ sᵀ(F + λI)s, F the Fisher matrix of the batch. It needs ``draw`` in each step,
            costs about two gradients more, and takes neither momentum nor kl_clip.
        factor_decay (0.95): the most that the past weighs in the averages of A and G (section 5).
        factor_update_steps (1), inv_update_steps (10): every how many steps the factors, and their inverses, are new.
        reduction ("mean"): of the loss over its terms; "sum" for their sum.
        averaged_over (1): how many leading dimensions of what enters the layers count the terms of the loss: 1 for a
            loss per sample, 2 for one per token of (batch, token, feature).
        fallback ("adamw"): rule, name or class for all other parameters.
        fallback_settings (None): its settings, such as {"lr": 3e-4}.
        skip_layers (()): regular expressions; layers with a match in their name go to the fallback.
        max_size (8192): a weight with a factor of more rows goes to the fallback.
        nonfinite ("raise"): what NaN or infinity in a gradient or moment does: "raise" NonFiniteGradient, or "skip" the
            step; both change nothing.

    Attributes:
        damping, kl_clip: may be assigned between steps. factors: name -> ``Factors`` after the first step.
        steps, skipped: counts.

    Raises:
        TypeError, ValueError: an argument that cannot be meant, by name; a model without trainable parameters, or one
            wrapped for several processes or compiled.
    """

    _step_supports_amp_scaling = True  # a GradScaler leaves the division to the step: moments of its gradients need it

    def __init__(
        self,
        model: nn.Module,
        lr: Any = None,
        *,
        momentum: Any = None,
        weight_decay: Any = 0.0,
        damping: Any = 1e-3,
        kl_clip: Any = 1e-3,
        quadratic: bool = False,
        factor_decay: float = 0.95,
        factor_update_steps: int = 1,
        inv_update_steps: int = 10,
        reduction: str = "mean",
        averaged_over: int = 1,
        fallback: Any = "adamw",
        fallback_settings: Mapping[str, Any] | None = None,
        skip_layers: Sequence[str] = (),
        max_size: int = 8192,
        nonfinite: str = "raise",
    ) -> None:
        check_model(model)
        if quadratic and momentum is not None:
            raise ValueError("KFAC: the momentum of quadratic=True is that of the model: leave momentum out")
        lr = (1.0 if quadratic else 0.1) if lr is None else lr
        momentum = (0.0 if quadratic else 0.9) if momentum is None else momentum
        self._processes: Any = None
        if isinstance(model, nn.parallel.DistributedDataParallel):
            self._processes, model = model.process_group, model.module
        for name, value in (
            ("factor_update_steps", factor_update_steps),
            ("inv_update_steps", inv_update_steps),
            ("averaged_over", averaged_over),
            ("max_size", max_size),
        ):
            check_count(f"KFAC: {name}", value)
        for name, value, words in (
            ("reduction", reduction, ("mean", "sum")),
            ("nonfinite", nonfinite, ("raise", "skip")),
        ):
            if value not in words:
                raise ValueError(f"KFAC: {name} must be {' or '.join(map(repr, words))}, got {value!r}")
        if isinstance(skip_layers, str):
            raise TypeError(f"KFAC: skip_layers must be a list of regular expressions: [{skip_layers!r}]")
        if not 0 <= factor_decay < 1:
            raise ValueError(f"KFAC: factor_decay must be in [0, 1), got {factor_decay!r}")
        self.damping, self.kl_clip, self.factor_decay = damping, kl_clip, factor_decay
        self.factor_update_steps, self.inv_update_steps = factor_update_steps, inv_update_steps
        self.reduction, self.nonfinite, self.quadratic = reduction, nonfinite, quadratic
        self.steps = self.skipped = 0
        for name in ("damping", "kl_clip"):
            self._now(name)
        cls = fallback if isinstance(fallback, type) else optimizer(fallback)
        if not issubclass(cls, RuleOptimizer):
            raise TypeError(f"KFAC: fallback must be a rule, its name or a class of descend.torch, got {fallback!r}")
        self._found = find(model, skip_layers, max_size)
        factored = [p for p in self._found.names if p not in self._found.without]
        self._parts: dict[str, RuleOptimizer] = {}
        if factored:
            self._parts["factored"] = SGD(self._named(factored), lr, momentum, 0.0, weight_decay)
        if self._found.without:
            self._parts["fallback"] = cls(self._named(self._found.without), **(fallback_settings or {}))
        super().__init__([{"params": part.param_groups[0]["params"]} for part in self._parts.values()], {})
        self._join()
        self._factors: dict[Block, Factors] = {}
        self._curvature: list[Curvature] = []  # of the batches that were drawn from since the last step
        self._last: dict[Any, Tensor] = {}  # the step before, for the quadratic model
        self._recorder = Recorder(self._found, averaged_over)
        self._end = weakref.finalize(self, self._recorder.close)

    def _named(self, params: Iterable[nn.Parameter]) -> list[tuple[str, nn.Parameter]]:
        return [(self._found.names[p], p) for p in params]

    def _join(self) -> None:
        """The groups of both parts are the groups of this optimizer: schedulers write into the very dictionaries."""
        self.param_groups = [group for part in self._parts.values() for group in part.param_groups]

    def _now(self, name: str) -> float | None:
        """Damping or clip of the coming step."""
        value: Any = getattr(self, name)
        if callable(value):
            value = value(self.steps)
        if value is None and name == "kl_clip":
            return None
        if isinstance(value, bool | str) or not hasattr(value, "__float__"):
            raise TypeError(f"KFAC: {name} must be a number or a function of the step, got {value!r}")
        number = float(value)  # type: ignore[arg-type]
        if not 0 < number < math.inf:
            raise ValueError(f"KFAC: {name} must be above 0, got {value!r}")
        return number

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refused after construction: factors belong to layers, and the model says which there are."""
        if hasattr(self, "_recorder"):
            raise TypeError("KFAC takes all parameters from its model: make a new one for a model that has grown")
        super().add_param_group(param_group)

    # ---------------------------------------------------------------- curvature

    def draw(self, outputs: Tensor, loss: str, generator: torch.Generator | None = None) -> None:
        """Take G from targets that the model itself draws (section 5), instead of from the loss of the coming step.

        In expectation A ⊗ G then comes from the Fisher matrix, which is the Gauss–Newton matrix of the loss. Costs a
        backward pass; ``p.grad`` is left alone and the graph kept. Call it before the loss's backward pass; it returns
        at once in steps that do not renew the factors.

        Args:
            outputs: (..., classes) logits for "cross_entropy"; (batch, ...) for "mse" and "bce" (of logits), whose
                loss is torch's mean over all elements. generator: of their device; torch's global one without.

        Raises:
            ValueError: an unknown loss, outputs without graph or without rows.
        """
        if loss not in VECTORS:
            raise ValueError(f"draw: loss must be {', '.join(map(repr, VECTORS))}; got {loss!r}")
        if not outputs.requires_grad:
            raise ValueError("draw: outputs have no graph; compute them in training mode, outside torch.no_grad()")
        if outputs.dim() < 1 or outputs.numel() == 0:
            raise ValueError(f"draw: outputs must be (batch, ...), got shape {tuple(outputs.shape)}")
        recorder = self._recorder
        if not recorder.wanted and not self.quadratic:
            return
        if not recorder.drawn:
            recorder.forget()
            self._curvature.clear()
        vectors, terms = drawn_vectors(outputs.detach(), loss, generator)
        if self.quadratic:
            recorder.drawn = True  # what this backward pass computes is nobody's gradient
            factored = {p for block in self._found.blocks for p in block.members}
            params = [p for p in self._found.names if p in factored]
            self._curvature.append(Curvature(outputs, loss, params, terms, self.reduction == "mean"))
        if not recorder.wanted:
            return
        if self.reduction == "mean":
            vectors = vectors / terms
        recorder.drawn, recorder.drawing = True, terms
        try:
            params = [p for p in self._found.names if p.requires_grad]
            torch.autograd.grad(outputs, params, vectors, retain_graph=True, allow_unused=True)
        finally:
            recorder.drawing = 0

    @property
    def factors(self) -> dict[str, Factors]:
        """The factors of every block by its name, as of the last step."""
        return {block.name: one for block, one in self._factors.items()}

    def _moments(self, scale: float) -> dict[Block, tuple[Tensor, Tensor]]:
        """A and G of what was heard: A = Σ a aᵀ / rows, G = terms · Σ g gᵀ for a mean loss, Σ g gᵀ for a sum.

        A ⊗ G is then the block for gradients summed over positions that are taken as independent: Grosse & Martens
        2016, theorem 1, where positions are those of a convolution.
        """
        recorder, found = self._recorder, {}
        for block, seen in recorder.moments.items():
            assert seen.inward is not None
            assert seen.outward is not None
            times = sum(seen.terms.values()) if self.reduction == "mean" else 1
            unscaled = 1.0 if recorder.drawn else scale
            found[block] = seen.inward / max(1, seen.rows), seen.outward * (times / unscaled**2)
        return found

    # ---------------------------------------------------------------- the step

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None, *, loss_scale: float | None = None) -> Any:
        """One update. ``closure`` re-evaluates the model, once, before the gradients are used.

        ``p.grad`` must hold the gradient of a mean over all that was heard since the last step: with accumulation,
        divide each loss by the number of batches.

        Args:
            loss_scale: what the loss was multiplied by, where gradients were divided by it before this step:
                ``scaler.step(opt, loss_scale=scaler.get_scale())`` after ``scaler.unscale_(opt)``.

        Returns:
            What the closure returned, or None.

        Raises:
            NonFiniteGradient: with ``nonfinite="raise"``. ValueError: damping too small for a factor. RuntimeError:
                gradients that a GradScaler has unscaled, without loss_scale. Nothing has been changed.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        scale = self._unscale(loss_scale)
        with torch.autocast(next(iter(self._found.names)).device.type, enabled=False):  # would round the products
            updated = scale is not None and self._update(scale)
        if not updated:
            self.skipped += 1
            self._forget()
        return loss

    def _unscale(self, given: float | None) -> float | None:
        """What the loss was multiplied by; None where a GradScaler has found infinity. Gradients are divided by it."""
        infinite: Any = self.__dict__.get("found_inf")
        scaled: Any = self.__dict__.get("grad_scale")
        if infinite is not None and float(infinite):
            return None
        if scaled is not None:
            scale = float(scaled)
            for p in self._found.names:
                if p.grad is not None:
                    p.grad.mul_(1 / scale)
            return scale
        if infinite is not None and given is None:
            raise RuntimeError(
                "KFAC: the gradients were unscaled before the step, and the moments were not: "
                "scaler.step(opt, loss_scale=scaler.get_scale())"
            )
        return 1.0 if given is None else check_setting("loss_scale", given, "KFAC")

    def _update(self, scale: float) -> bool:
        gradients = {p: p.grad for p in self._found.names if p.grad is not None}
        if not gradients:
            return True
        if self.quadratic and not self._curvature:
            raise RuntimeError(
                "KFAC: quadratic=True needs opt.draw(outputs, loss) before the backward pass of each step"
            )
        moments = self._moments(scale)
        if self._processes is not None and self._recorder.wanted:
            moments = averaged(moments, self._found.blocks, self._processes)
        if not self._finite(gradients, moments):
            if self.nonfinite == "raise":
                self._forget()
                raise NonFiniteGradient("KFAC: a gradient or a moment holds NaN or infinity; nothing was changed")
            return False
        factors = self._renewed(moments)
        directions = self._directions(factors, gradients)
        last = self._last
        if self.quadratic and directions:
            step = {p: -d for p, d in directions.items()}
            last = self._modelled(step, gradients)
            directions = {p: -d for p, d in last.items()}
        for part in self._parts.values():
            self._step_part(part, gradients, directions)
        self._factors, self._last = factors, last
        self.steps += 1
        self._forget()
        self._recorder.wanted = self.steps % self.factor_update_steps == 0
        return True

    @staticmethod
    def _finite(gradients: dict[Any, Tensor], moments: dict[Block, tuple[Tensor, Tensor]]) -> bool:
        """Gram matrices are finite where their diagonals are."""
        norms = [torch.linalg.vector_norm(g.coalesce().values() if g.is_sparse else g) for g in gradients.values()]
        traces = [one.trace() if one.dim() == 2 else one.sum() for pair in moments.values() for one in pair]
        return bool(torch.isfinite(torch.stack([one.to("cpu", torch.float64) for one in [*norms, *traces]])).all())

    def _renewed(self, moments: dict[Block, tuple[Tensor, Tensor]]) -> dict[Block, Factors]:
        factors, damping = dict(self._factors), self._now("damping")
        assert damping is not None
        for block, (A, G) in moments.items():
            old = factors.get(block)
            factors[block] = Factors(A, G) if old is None else old.averaged(A, G, self.factor_decay)
        for block, one in factors.items():
            if one.A_inverse is None or self.steps % self.inv_update_steps == 0:
                factors[block] = one.inverted(damping)
        return factors

    def _directions(self, factors: dict[Block, Factors], gradients: dict[Any, Tensor]) -> dict[Any, Tensor]:
        """Parameter -> what takes the place of its gradient."""
        found: dict[Any, Tensor] = {}
        for block in self._found.blocks:
            if not all(p in gradients for p in block.members):
                continue
            for p in block.members:
                # a weight nobody has heard (its layer is never called) keeps its gradient
                found.setdefault(p, gradients[p].clone())
            if block in factors:
                matrix = block.matrix(gradients)
                factor = factors[block]
                block.write(factor.divided(matrix.to(factor.A)).to(matrix), found)
        clip = None if self.quadratic else self._now("kl_clip")
        if clip is not None and found:
            lr = float(self._parts["factored"].current("lr"))
            length = lr**2 * float(sum((d * gradients[p]).sum(dtype=torch.float64) for p, d in found.items()))
            if length > clip:
                for direction in found.values():
                    direction.mul_(math.sqrt(clip / length))
        return found

    def _modelled(self, step: dict[Any, Tensor], gradients: dict[Any, Tensor]) -> dict[Any, Tensor]:
        """αΔ + μδ for the divided gradient, of which Δ is the negative."""
        last = {p: one for p, one in self._last.items() if p in step}
        curved, damping = forms(self._curvature, step, last), self._now("damping")
        assert damping is not None
        if self._processes is not None:
            curved = mean_of(curved, step, self._processes)
        alpha, mu = best(curved, damping, step, last, gradients)
        return summed(alpha, step, mu, last)

    @staticmethod
    def _step_part(part: RuleOptimizer, gradients: dict[Any, Tensor], directions: dict[Any, Tensor]) -> None:
        params = [p for group in part.param_groups for p in group["params"] if p in gradients]
        try:
            for p in params:
                p.grad = directions.get(p, gradients[p])
            part.step()
        finally:
            for p in params:
                p.grad = gradients[p]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As torch's; besides, what was heard of the dropped gradients is forgotten, and what was drawn is not."""
        super().zero_grad(set_to_none)
        if not self._recorder.drawn:
            self._forget()

    def _forget(self) -> None:
        self._recorder.forget()
        self._curvature.clear()

    # ---------------------------------------------------------------- its end, and checkpoints

    def close(self) -> None:
        """Take the hooks out of the model; so does the end of this object. Steps go on with the factors there are."""
        self._end()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("KFAC has hooks in its model, which cannot be copied or pickled: save state_dict()")

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on to the bit, between two steps: numbers, strings and tensors.

        ``parts``: the state_dict() of the rule of the factored parameters and of the fallback. ``factors``: block ->
        A, G, A_inverse, G_inverse, updates. ``settings``: those that are no functions of the step. ``last``: the step
        before, with quadratic=True.
        """
        settings = {name: value for name in _NUMBERS if not callable(value := getattr(self, name))}
        return {
            "parts": {name: part.state_dict() for name, part in self._parts.items()},
            "factors": {block.name: dict(vars(one)) for block, one in self._factors.items()},
            "settings": settings,
            "last": {self._found.names[p]: one.clone() for p, one in self._last.items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the KFAC that ``state_dict`` is of stood.

        Raises:
            ValueError: no state_dict() of a KFAC, or of another model or other layers. Nothing is changed then.
        """
        if not isinstance(state_dict, dict) or not {"parts", "factors", "settings"} <= set(state_dict):
            raise ValueError("KFAC: this is not a state_dict() of a KFAC")
        if set(state_dict["parts"]) != set(self._parts):
            theirs, ours = (", ".join(one) or "none" for one in (state_dict["parts"], self._parts))
            raise ValueError(f"KFAC: the checkpoint has the parts {theirs}, this model {ours}")
        blocks = {block.name: block for block in self._found.blocks}
        factors = {}
        for name, saved in state_dict["factors"].items():
            if name not in blocks:
                raise ValueError(f"KFAC: the checkpoint has factors of {name!r}, this model has none there")
            block = blocks[name]
            for which, size in (("A", block.inward), ("G", block.outward)):
                if len(saved[which]) != size:
                    raise ValueError(f"KFAC: {which} of {name!r} has {len(saved[which])} rows, this model's {size}")
            on = {key: v.to(block.weight.device, copy=True) for key, v in saved.items() if isinstance(v, Tensor)}
            factors[block] = Factors(**{**saved, **on})
        params = {name: p for p, name in self._found.names.items()}
        last = {}
        for name, one in state_dict.get("last", {}).items():
            if name not in params or params[name].shape != one.shape:
                raise ValueError(f"KFAC: the checkpoint has a step of {name!r} {tuple(one.shape)}, this model has not")
            last[params[name]] = one.to(params[name].device, copy=True)
        before = {name: part.state_dict() for name, part in self._parts.items()}
        try:
            for name, part in self._parts.items():
                part.load_state_dict(state_dict["parts"][name])
        except Exception:
            for name, part in self._parts.items():
                part.load_state_dict(before[name])
            raise
        for name, value in state_dict["settings"].items():
            if name in _NUMBERS and not callable(getattr(self, name)):
                setattr(self, name, value)
        self._factors, self._last = factors, last
        self._forget()
        self._recorder.wanted = self.steps % self.factor_update_steps == 0
        self._join()

    # ---------------------------------------------------------------- shown

    def __repr__(self) -> str:
        blocks = self._found.blocks
        width = max(map(len, [*(b.name for b in blocks), *self._found.names.values()]))
        size = sum(b.outward**2 + (b.inward if b.embedding else b.inward**2) for b in blocks)
        lines = [
            f"KFAC (damping={self.damping!r}, kl_clip={self.kl_clip!r}; factors and inverses: {2 * size:,} numbers)"
        ]
        for block in blocks:
            A = f"diagonal {block.inward}" if block.embedding else f"{block.inward}×{block.inward}"
            heard = "" if not self._factors or block in self._factors else "; not heard yet, so it keeps its gradient"
            bias = " and bias" if block.bias is not None else ""
            lines.append(
                f"  {block.name:{width}}  A {A}, G {block.outward}×{block.outward}  ({block.kind}{bias}{heard})"
            )
        for name, part in self._parts.items():
            for i, line in enumerate(repr(part).splitlines()):
                lines.append(f"  {name}: {line}" if i == 0 else f"  {line}")
        lines += [f"  {self._found.names[p]:{width}}  fallback  ({why})" for p, why in self._found.without.items()]
        return "\n".join(lines)
