"""The GPU engine: one fused pass over all tensors, compiled by Triton.

A step is a table of chunks of fixed length, cut from all tensors, and one launch per pass over memory
for all of them. The numbers of a step are computed on the device in float64 by a kernel of their own, so
a rule with norms or with state per tensor waits for nothing, and ``capturable`` steps may be recorded in
a CUDA graph. Sums are joined in a fixed order: the same bits on every run.

Bounds, in units in the last place of a tensor's largest number: float32 within 16 of the float64 oracle after
6 steps (rounding happens once per operation), or, for rules that subtract where p started, where the CPU
engine is too; bfloat16 and float16 parameters within one of theirs per step.
Tensors on the CPU are stepped by Triton's interpreter where ``TRITON_INTERPRET=1`` asks for it: so the
tests run every kernel without a GPU. docs/gpu.md says what a GPU has not confirmed yet.
"""

import torch
from triton import knobs
from triton.runtime.interpreter import InterpretedFunction

from ...core.program import program
from ...core.rule import Rule
from ..base import Engine, Step, Work, share, untraceable
from .source import PLUS
from .step import Ready, Shared

OLDEST = (8, 0)  # what Triton itself supports


def unable(device: torch.device) -> str | None:
    """Why the engine cannot step tensors on this device here, or None."""
    if device.type == "cpu":
        if knobs.runtime.interpret:
            return None
        return "the triton engine steps CUDA tensors; with TRITON_INTERPRET=1 it interprets on the CPU"
    if device.type != "cuda" or torch.version.hip:
        return f"the triton engine steps tensors on NVIDIA GPUs; got {torch.version.hip or device.type}"
    if torch.cuda.get_device_capability(device) < OLDEST:
        return f"the triton engine needs compute capability {OLDEST[0]}.{OLDEST[1]}"
    if isinstance(PLUS, InterpretedFunction):
        return "TRITON_INTERPRET=1 was set when Triton was imported: nothing can be compiled; unset it"
    return None


class TritonStep(Step):
    """All Works of one optimizer, compiled."""

    def __init__(self, works: list[Work], guard: bool, capturable: bool) -> None:
        devices = {work.arrays["p"][0].device for work in works if work.sizes}
        if len(devices) > 1:
            raise ValueError(
                f"the triton engine steps one device at a time; got {', '.join(sorted(map(str, devices)))}"
            )
        device = next(iter(devices), torch.device("cpu"))
        reason = unable(device) if devices else None
        if reason:
            raise ValueError(reason)
        self.guard, self.capturable, self.device = guard, capturable, device
        self.shared = Shared([program(work.rule, guard) for work in works], device)
        count_all = sum(sum(work.sizes) for work in works)
        self.ready = [Ready(work, i, self.shared, count_all, capturable) for i, work in enumerate(works)]
        self.shares = any(slot.init.shape == "all" for work in works for slot in work.rule.slots)
        self.depth = max((len(r.program.kernels) for r in self.ready), default=1) - 1
        for r in self.ready:
            r.compile()

    def counters(self) -> list[torch.Tensor]:
        """In a capturable step these are what counts; a replayed graph advances them."""
        return [r.steps.there for r in self.ready]

    def refresh(self) -> None:
        """Send settings and addresses that changed; before the replay of a graph, do it by hand."""
        for r in self.ready:
            r.send()

    def run(self, threads: int) -> bool:
        """As of every engine; a capturable step returns True without asking."""
        if self.device.type != "cuda":
            return self._run()
        with torch.cuda.device(self.device):
            return self._run()

    def _run(self) -> bool:
        self.refresh()
        for level in range(self.depth):
            for r in self.ready:
                if level < len(r.program.kernels) - 1:
                    r.numbers_of(level)
                    r.pass_over(level)
            if level == 0 and self.guard and not self.capturable and self.shared.bad() > 0:
                return False
        if self.capturable:
            self.shared.block(self.guard, self.found_inf)
        for r in self.ready:
            r.numbers_of(len(r.program.kernels) - 1)
        for r in self.ready:
            r.pass_over(len(r.program.kernels) - 1)
        if self.shares:
            works, numbers = zip(
                *((r.work, {n: x.there for n, x in r.numbers.items()}) for r in self.ready), strict=True
            )
            share(list(works), list(numbers))
        for r in self.ready:
            r.finish()
        return True


class TritonEngine(Engine):
    name = "triton"
    on_memory = True
    capturable = True

    def refuses(self, rule: Rule, dtype: str) -> str | None:
        return untraceable(rule, dtype, self.name)

    def out_of_reach(self, tensor: torch.Tensor) -> str | None:
        reason = unable(tensor.device)
        return f"a tensor on {tensor.device.type}: {reason}" if reason else None

    def prepare(self, works: list[Work], guard: bool = False, capturable: bool = False) -> Step:
        """As every engine's; the Works' arrays are torch tensors on one device, contiguous or laid out alike.

        After a CUDA graph has recorded a capturable step, only settings and tensors that keep their place may change.

        Raises:
            ValueError: tensors on several devices, or on one that ``unable`` refuses.
        """
        return TritonStep(works, guard, capturable)


ENGINE = TritonEngine()
