"""One cell of the benchmark: a rule on a workload, in turns with the streaming limit and with its peers."""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from math import isnan, prod
from typing import Any

import torch

from .. import rules
from .. import torch as ours
from ..core.program import Program, program
from ..core.rule import Rule
from .limit import Arrays, passes, stream
from .peers import PEERS, WARM, others, renewed, torch_forms
from .timing import CLOCK, Clock, interleaved, measured, median, ratios, spread
from .workloads import Shapes, Tensors, parameters, workloads

FLOAT32 = 4  # bytes
NEW = ", new gradients"
"""Behind the name of a rule that was given other gradient tensors in every step."""
STREAMED = 500_000  # parameters below which a step is the cost of the call, not of memory

__all__ = ["NEW", "PEERS", "Bench", "Cell", "Peer", "elementwise", "moved", "streaming", "traced"]


@dataclass
class Peer:
    """A contestant beside ours. ``speedup``: how many times faster ours is, the median over the rounds;
    ``speedup_spread``: half the interquartile range of that ratio, in its unit.

    ``rounds`` is 1 for a form that was too slow to matter and left after the warm-up.
    """

    name: str
    ns_per_param: float
    spread: float
    speedup: float
    rounds: int
    speedup_spread: float = 0.0


@dataclass
class Cell:
    """One rule on one workload. Times are medians over interleaved rounds, spreads half the interquartile range.

    ``bytes_per_param``: what a step must move, from the traced program; None where the tracer takes no such rule.
    ``share``: bytes per second, as a share of those of streaming as many arrays (``limit_ns``), in the same rounds.
    """

    workload: str
    rule: str
    tensors: int
    parameters: int
    engine: str
    rounds: int
    ns_per_param: float
    spread: float
    bytes_per_param: float | None = None
    gb_per_s: float | None = None
    limit_ns: float | None = None
    share: float | None = None
    share_spread: float | None = None
    passes: int | None = None
    peers: list[Peer] = field(default_factory=list)

    def peer(self, name: str) -> Peer | None:
        return next((peer for peer in self.peers if peer.name == name), None)

    @property
    def best(self) -> Peer | None:
        """torch's fastest form of the rule."""
        forms = [peer for peer in self.peers if peer.name.startswith("torch")]
        return min(forms, key=lambda peer: peer.ns_per_param, default=None)

    def record(self) -> dict[str, Any]:
        made = {**asdict(self), "best": self.best.name if self.best else None}
        for one in (made, *made["peers"]):  # JSON has no NaN; a single time has no spread
            one.update({key: None for key, value in one.items() if isinstance(value, float) and isnan(value)})
        return made


def traced(rule: Rule) -> Program | None:
    """The program of a rule in the fewest passes, as the CPU engine runs it.

    None where the rule works on whole matrices, which the tracer does not take.
    """
    try:
        return program(rule, late=True)
    except TypeError:
        return None


def elementwise(name: str) -> bool:
    """Whether a rule of the catalogue is one pass over memory that sums nothing."""
    made = traced(rules.all()[name])
    return made is not None and len(made.kernels) == 1 and not made.sums


def streaming() -> list[str]:
    """The rules of the catalogue that step any tensor element by element, norms included; no whole matrices."""
    return [name for name, rule in rules.all().items() if rule.vectors is None and traced(rule) is not None]


def moved(rule: Rule, shapes: Shapes) -> float | None:
    """Bytes per parameter that a step must move, float32; the average where vectors have a rule of their own."""
    total = 0.0
    for vector in (True, False):
        count = sum(prod(shape) for shape in shapes if (len(shape) < 2) == vector)
        if count:
            made = traced(rule.of((1,) if vector else (1, 1)))
            if made is None:
                return None
            total += FLOAT32 * count * sum(made.moved)
    return total / parameters(shapes)


class Bench:
    """Measures cells; keeps one workload's tensors and the limit's arrays from cell to cell.

    Args:
        rounds: at most so many. compiled: also torch.compile. peers: also optax and pytorch_optimizer.
        shapes: workloads in place of those of the benchmark.
    """

    def __init__(
        self,
        rounds: int = 9,
        *,
        seed: int = 0,
        compiled: bool = False,
        peers: bool = False,
        block: float = 0.05,
        shapes: dict[str, Shapes] | None = None,
        clock: Clock = CLOCK,
    ) -> None:
        self.rounds, self.seed, self.compiled, self.with_peers = rounds, seed, compiled, peers
        self.block, self.clock = block, clock
        self.shapes = shapes or workloads()
        self._kept: tuple[str, Tensors, Arrays] | None = None

    def inputs(self, workload: str) -> tuple[Tensors, Arrays]:
        if self._kept is None or self._kept[0] != workload:
            self._kept = None  # frees the last workload's before the next is made
            shapes = self.shapes[workload]
            self._kept = (workload, Tensors(shapes, self.seed), Arrays(parameters(shapes)))
        return self._kept[1:]

    def rule(self, workload: str, name: str, until: float | None = None, optax: bool = False) -> Cell:
        """A rule of the catalogue. ``optax``: beside optax, whether or not all peers were asked for."""
        tensors, _ = self.inputs(workload)
        rule = rules.all()[name]
        peers = list(torch_forms(name, tensors, self.compiled))
        if self.with_peers or optax:
            peers += [one for one in others(name, tensors) if self.with_peers or one[0] == "optax"]
        if name in PEERS:
            peer, arguments = PEERS[name]
            mine = getattr(ours, peer)(tensors.copies(), **arguments)
        else:
            mine = ours.optimizer(rule)(tensors.copies())
        return self.cell(workload, name, rule, mine, peers, until, WARM.get(name, 1))

    def new_gradients(self, workload: str, name: str, until: float | None = None) -> Cell:
        """A rule that torch fuses, on gradients that lie elsewhere in every step, beside torch's fused form."""
        tensors, _ = self.inputs(workload)
        peer, arguments = PEERS[name]
        mine = getattr(ours, peer)(tensors.copies(), **arguments)
        theirs = getattr(torch.optim, peer)(tensors.copies(), **arguments, fused=True)
        peers = [("torch fused", renewed(theirs.step))]
        return self.cell(workload, name + NEW, rules.all()[name], mine, peers, until, step=renewed(mine.step))

    def cell(
        self,
        workload: str,
        name: str,
        rule: Rule,
        mine: torch.optim.Optimizer,
        peers: Iterable[tuple[str, Callable[[], Any]]],
        until: float | None = None,
        warm: int = 1,
        step: Callable[[], Any] | None = None,
    ) -> Cell:
        """``step``, which is ``mine.step`` unless another is given, beside the limit of ``rule`` and the peers."""
        arrays = self.inputs(workload)[1]
        shapes = self.shapes[workload]
        count = parameters(shapes)
        contestants: dict[str, Callable[[], Any]] = {"descend": step or mine.step, **dict(peers)}
        rivals = [one for one in contestants if one.startswith("torch")]
        largest = max(shapes, key=prod)
        made = traced(rule.of(largest))
        if made is not None and count >= STREAMED:
            contestants["limit"] = stream(passes(made), arrays, torch.get_num_threads())
        times = interleaved(
            contestants, self.rounds, self.block,
            until=until, rivals=rivals, kept=("torch fused",), warm=warm, clock=self.clock,
        )  # fmt: skip
        own = median(times["descend"])
        cell = Cell(
            workload, name, len(shapes), count, str(getattr(mine, "engine", "")), len(times["descend"]),
            own / count * 1e9, spread(times["descend"]),
        )  # fmt: skip
        cell.bytes_per_param = moved(rule, shapes)
        if cell.bytes_per_param is not None:
            cell.gb_per_s = cell.bytes_per_param * count / own / 1e9
        if made is not None:
            cell.passes = len(made.kernels)
        if made is not None and "limit" in times and cell.bytes_per_param is not None:
            streamed = FLOAT32 * sum(one.moved for one in passes(made))
            shares = [x * cell.bytes_per_param / streamed for x in ratios(times, "descend", "limit")]
            cell.share, cell.share_spread = statistics.median(shares), spread(shares)
            cell.limit_ns = median(times["limit"]) / count * 1e9 * cell.bytes_per_param / streamed
        for one in contestants:
            if one not in ("descend", "limit"):
                faster = measured(ratios(times, "descend", one))
                cell.peers.append(
                    Peer(one, median(times[one]) / count * 1e9, spread(times[one]),
                         faster.value, len(times[one]), faster.spread)
                )  # fmt: skip
        return cell
