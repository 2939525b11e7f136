"""One Work on the device: its tables, its kernels, and the order they are launched in."""

from typing import Any

import numpy as np
import torch

from ...core.program import Program
from ...core.trace import Extent
from ..base import Work
from ..formats import working
from . import source as source
from .tables import Numbers, Table, chunks

CHUNK = 1024  # elements of one program of the grid: 4 for each of 256 threads, 16 bytes at a time
WARPS = 8
JOINED = 4096  # partial sums that one program adds at a time
LINES = 128  # sets of numbers that one program computes
JOIN_WARPS = 16
# no fusion: a product and a sum round twice, except where the program says to round once (core.emit)
# maxnreg: left alone, ptxas spills 8 bytes of radam to save one of its 56 registers; three blocks fit at 80
OPTIONS: dict[str, Any] = {"num_stages": 1, "enable_fp_fusion": False, "maxnreg": 128}


class Shared:
    """What the Works of a step have in common: the sums over all parameters, one part per Work."""

    def __init__(self, programs: list[Program], device: torch.device) -> None:
        self.programs, self.device, self.works = programs, device, len(programs)
        keys: dict[tuple[int, int], int] = {}
        self.lines: list[dict[int, int]] = []  # for each Work: reduction -> line of ``parts``
        for of in programs:
            mine = {}
            for level, kernel in enumerate(of.kernels):
                for order, index in enumerate(kernel.sums):
                    if of.tape.nodes[index].extent is Extent.ALL:
                        key = (-1, -1) if index == of.tape.guard else (level, order)
                        mine[index] = keys.setdefault(key, len(keys))
            self.lines.append(mine)
        self.guard = keys.get((-1, -1))
        even = self.works + self.works % 2  # so that every line lies on 16 bytes
        self.parts = torch.zeros((len(keys) + 1, even), dtype=torch.float64, device=device)
        self.blocked = torch.zeros(1, dtype=torch.float64, device=device)

    def bad(self) -> float:
        """How many elements of the gradients are not finite; waits for the device."""
        return 0.0 if self.guard is None else float(self.parts[self.guard].sum())

    def block(self, guard: bool, found_inf: torch.Tensor | None) -> None:
        """Decide on the device whether the rest of the step may write."""
        if guard and self.guard is not None:
            torch.sum(self.parts[self.guard], dim=0, keepdim=True, out=self.blocked)
        else:
            self.blocked.zero_()
        if found_inf is not None:
            self.blocked.add_(found_inf.reshape(1))


class Ready:
    """A Work with everything that does not change from step to step: tables and machine code."""

    def __init__(self, work: Work, place: int, shared: Shared, count_all: int, capturable: bool) -> None:
        self.work, self.shared, self.capturable = work, shared, capturable
        self.program = of = shared.programs[place]
        self.device = device = shared.device
        self.interpreted = device.type != "cuda"
        self.passes = range(len(of.kernels))
        self.elements = [self._made(source.element(of, k, work.dtype, capturable), "kernel") for k in self.passes]
        self.hosts = [self._made(source.host(of, k, work.dtype, capturable), "host") for k in self.passes]
        self.join = self._made(source.JOIN, "join")
        self.by_tensor = source.by_tensor(of)
        self.number = getattr(torch, working(work.dtype))

        sizes = np.asarray(work.sizes, np.int64)
        table, bounds = chunks(sizes, CHUNK)
        self.tensors, self.count = len(sizes), len(table)
        self.chunks, self.bounds = Table(table, device), Table(bounds, device)
        self.whole = Table(np.array([0, self.count]), device)
        self.counts = Table(np.array([count_all, *sizes], np.float64), device)
        per_tensor = source.sums_over(of, Extent.TENSOR)
        self.sums = torch.zeros(max(1, len(per_tensor) * self.tensors), dtype=torch.float64, device=device)
        width = max(len(kernel.sums) for kernel in of.kernels)
        self.partials = torch.zeros(max(1, self.count * width), dtype=torch.float64, device=device)
        lines = shared.lines[place]
        self.everywhere = [shared.parts[lines[i]] for i in source.sums_over(of, Extent.ALL)]
        self.joins = [self._joins(k, place, per_tensor) for k in self.passes]

        self.numbers = {name: Numbers(work.numbers[name], device) for name in of.tensor_slots}
        if capturable and any(numbers.mirror for numbers in self.numbers.values()):
            raise ValueError(f"a capturable step of {work.rule.name} needs its per-tensor state on {device}")
        self.steps = Table(self._steps(), device)
        self.settings = Table(self._settings(), device)
        self.row_of = Table(work.row_of, device)
        self.lines = Table(np.arange(self.tensors) if self.by_tensor else work.row_of, device)
        self.addresses = Table(self._addresses(), device)
        self.tables: list[torch.Tensor] = []
        self.send()

    def _made(self, text: str, name: str) -> Any:
        return source.functions(text, self.interpreted)[name]

    def _joins(self, k: int, place: int, per_tensor: list[int]) -> list[tuple[int, Table, Table, Table, torch.Tensor]]:
        """How the sums of pass ``k`` are joined: segments, their bounds, partial columns, where to, into what."""
        shared, found = self.shared, []
        sums = self.program.kernels[k].sums
        for extent in (Extent.TENSOR, Extent.ALL):
            here = [i for i in sums if self.program.tape.nodes[i].extent is extent]
            if not here:
                continue
            columns = Table(np.array([sums.index(i) for i in here]), self.device)
            if extent is Extent.TENSOR:
                places = Table(np.array([per_tensor.index(i) * self.tensors for i in here]), self.device)
                found.append((self.tensors, self.bounds, columns, places, self.sums))
            else:
                width = shared.parts.shape[1]
                places = Table(np.array([shared.lines[place][i] * width + place for i in here]), self.device)
                found.append((1, self.whole, columns, places, shared.parts))
        return found

    # ---------------------------------------------------------------- what the host knows

    def _steps(self) -> np.ndarray:
        return np.array([row.t for row in self.work.rows], np.float64)

    def _settings(self) -> np.ndarray:
        names = self.program.rule.settings
        return np.array([[row.settings[name] for name in names] or [0.0] for row in self.work.rows], np.float64)

    def _addresses(self) -> np.ndarray:
        if self.work.addresses is None:
            raise ValueError(f"the triton engine needs the addresses of the tensors of {self.program.rule.name}")
        return np.ascontiguousarray(self.work.addresses.T)

    def send(self) -> None:
        """Tell the device what changed on the host; a capturable step counts its steps itself."""
        work = self.work
        if not self.capturable or self.steps.known.shape != (len(work.rows),):
            self.steps.send(self._steps())
        self.settings.send(self._settings())
        self.row_of.send(work.row_of)
        if not self.by_tensor:
            self.lines.send(work.row_of)
        self.addresses.send(self._addresses())
        for name, numbers in self.numbers.items():
            if numbers.given is not work.numbers[name]:
                self.numbers[name] = Numbers(work.numbers[name], self.device)
            else:
                numbers.send()
        self.count_lines = self.tensors if self.by_tensor else len(work.rows)
        if not self.tables or len(self.tables[0]) < self.count_lines:
            self.tables = [
                torch.zeros((self.count_lines, max(1, len(kernel.scalars))), dtype=self.number, device=self.device)
                for kernel in self.program.kernels
            ]

    # ---------------------------------------------------------------- launches

    def _run(self, kernel: Any, grid: tuple[int, ...], *arguments: Any, warps: int = WARPS, **constants: int) -> None:
        if self.interpreted:
            with np.errstate(all="ignore"):  # inf and NaN are values here; the vocabulary says which
                kernel[grid](*arguments, **constants)
        elif self.compiling:
            kernel.warmup(*arguments, grid=grid, **constants, **OPTIONS, num_warps=warps)
        else:
            kernel[grid](*arguments, **constants, **OPTIONS, num_warps=warps)

    compiling = False

    def compile(self) -> None:
        """Make all machine code now, so that nothing can fail between the launches of a step."""
        if self.interpreted:
            return
        self.compiling = True
        try:
            for k in self.passes:
                self.numbers_of(k)
                self.pass_over(k)
        finally:
            self.compiling = False

    def numbers_of(self, k: int) -> None:
        """The numbers that pass ``k`` reads; before the last, also the new per-tensor state."""
        if self.count_lines and (self.program.kernels[k].scalars or (self.numbers and k == self.passes[-1])):
            self._run(
                self.hosts[k], (-(-self.count_lines // LINES),),
                self.steps.there, self.settings.there, self.row_of.there, self.counts.there, self.sums,
                *(numbers.there for numbers in self.numbers.values()), *self.everywhere,
                self.tables[k], self.shared.blocked, self.count_lines, self.shared.works, LINES=LINES,
            )  # fmt: skip

    def pass_over(self, k: int) -> None:
        """Pass ``k`` over all elements, and the joining of its sums."""
        if self.count:
            self._run(
                self.elements[k], (self.count,),
                self.addresses.there, self.chunks.there, self.lines.there, self.tables[k], self.partials,
                self.shared.blocked, BLOCK=CHUNK,
            )  # fmt: skip
        width = len(self.program.kernels[k].sums)
        for segments, bounds, columns, places, out in self.joins[k]:
            if segments:
                grid = (segments, len(columns.known))
                arguments = (self.partials, bounds.there, columns.there, places.there, out)
                self._run(self.join, grid, *arguments, warps=JOIN_WARPS, WIDTH=width, BLOCK=JOINED)

    def finish(self) -> None:
        """After the last pass: count the step where the device counts, hand state to a caller on the host."""
        if self.capturable:
            self.steps.there.add_(self.shared.blocked == 0)
        for numbers in self.numbers.values():
            numbers.fetch()
