"""``TelemetryLogger``: the measurements of a run, every few steps, to a file or to a logger that is there already."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from os import PathLike
from typing import Any, Self

import torch

from ...core.settings import check_count
from ..optim.base import RuleOptimizer
from ..step.telemetry import Measured, by_group, of_all
from . import file as telemetry_file
from .alarms import Alarm, Alarms, summary
from .file import read

__all__ = ["TelemetryLogger", "read"]

log = logging.getLogger("descend")


def values_of(m: Measured) -> dict[str, Any]:
    """A tensor or group as a record has it."""
    found = {**asdict(m), "ratio": m.ratio}
    return {name: value for name, value in found.items() if value is not None}


class TelemetryLogger:
    """Logs ``optimizer.telemetry`` after every ``every``-th step, by a hook; nothing else need be called.

    A record is a dict: ``step``, ``time`` (seconds since 1970), ``skipped`` (steps so far), ``lr`` (of each group),
    ``total``, ``groups``, ``tensors`` (as ``Measured``, with ``ratio``) and ``alarms``. A skipped step writes a record
    too if it raised an alarm.

    Args:
        optimizer: made with ``telemetry=``.
        to: a path, to which a line of JSON is appended for each record (see ``read``); or something with
            ``add_scalar(tag, value, step)`` (TensorBoard's SummaryWriter), with ``log(dict, step=)`` (a Weights &
            Biases run) or with ``log_metrics(dict, step=)`` (Lightning, Comet, MLflow), which get one number per tensor
            and column, as ``telemetry/<tensor>/ratio``; or a function of the record.
        every: steps between two records; where it is 10, steps 10, 20, ... are logged.
        names: a model or ``model.named_parameters()``; else the optimizer's own names.
        tensors: whether each tensor is logged, or the groups and the total only.
        alarms: an ``Alarms`` with thresholds of your own; False for none.
        on_alarm: what gets each new alarm; by default the logger ``descend`` warns, a few lines per look.

    Raises:
        ValueError: an optimizer that measures nothing; a file that is none of ours. TypeError: ``to`` is none of these,
            or the optimizer is not of ``descend.torch``.
        OSError: the file cannot be opened. Where it later cannot be written, as on a full disk, training goes on,
            and a warning says so once.
    """

    def __init__(
        self,
        optimizer: RuleOptimizer,
        to: Any,
        every: int = 10,
        *,
        names: torch.nn.Module | Iterable[tuple[str, torch.Tensor]] | None = None,
        tensors: bool = True,
        alarms: Alarms | bool = True,
        on_alarm: Callable[[Alarm], Any] | None = None,
    ) -> None:
        check_count("every", every)
        if not hasattr(optimizer, "telemetry"):
            name = type(optimizer).__name__
            raise TypeError(f"telemetry is measured by optimizers of descend.torch, not by torch.optim's {name}")
        names = names if names is None or isinstance(names, torch.nn.Module) else list(names)
        self.telemetry = optimizer.telemetry if names is None else optimizer.telemetry.named(names)
        self.every, self.tensors, self.on_alarm = every, tensors, on_alarm
        self.alarms = Alarms(optimizer, names=names) if alarms is True else alarms or None
        self.failed: OSError | None = None
        self._write, self._close, self._last = _sink(to)
        self._steps, self._skipped = optimizer.steps, optimizer.skipped
        self._hook = optimizer.register_step_post_hook(self._after)  # which a switch hands on

    def __repr__(self) -> str:
        return f"<logger of {self.telemetry!r}, every {self.every} steps>"

    def _after(self, *_: Any) -> None:
        optimizer = self.telemetry._optimizer
        if not self.telemetry.measuring:
            log.warning("telemetry ends at step %d: %s measures nothing", optimizer.steps, optimizer.spec.name)
            self.close()
            return
        due = optimizer.steps != self._steps and optimizer.steps % self.every == 0
        if not due and optimizer.skipped == self._skipped:
            return
        self._steps, self._skipped = optimizer.steps, optimizer.skipped
        new = self.alarms.look() if self.alarms else []
        if new and self.on_alarm is None:
            for line in summary(new):
                log.warning("%s", line)
        for alarm in new if self.on_alarm else ():
            self.on_alarm(alarm)  # type: ignore[misc]
        if due or new:
            self._put(self.record(new))

    def record(self, alarms: Iterable[Alarm] = ()) -> dict[str, Any]:
        """The record of the last step."""
        telemetry = self.telemetry
        tensors = telemetry.tensors
        total = of_all(tensors)
        made: dict[str, Any] = {
            "step": self._step(),
            "time": time.time(),
            "skipped": telemetry.skipped,
            "lr": telemetry.lrs,
            "total": values_of(total) if total else None,
            "groups": [values_of(m) for m in by_group(tensors)],
        }
        if self.tensors:
            made["tensors"] = [values_of(m) for m in tensors]
        return made | {"alarms": [asdict(alarm) for alarm in alarms]}

    def _step(self) -> int:
        """The step of the run. State that does not count, as that of plain SGD, goes on where the file ended."""
        if self._last and any("step" in s for s in self.telemetry._optimizer._state.values() if isinstance(s, dict)):
            self._last = 0  # also if a switch follows, to a rule that does not count
        return self.telemetry.step + self._last

    def _put(self, record: dict[str, Any]) -> None:
        try:
            self._write(record)
        except OSError as error:
            if self.failed is None:
                log.warning("telemetry is not logged, training goes on: %s", error)
            self.failed = error

    def close(self) -> None:
        """Log no more. A file is closed; a logger that was given is flushed, and stays open."""
        self._hook.remove()
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def flat(record: dict[str, Any]) -> dict[str, float]:
    """A record as ``telemetry/<tensor>/<column>`` -> number, for loggers of numbers."""
    many = [m for m in (record["total"], *record["groups"], *record.get("tensors", ())) if m]
    found = {
        f"telemetry/{m['name']}/{column}": float(value)
        for m in many
        for column, value in m.items()
        if column not in ("name", "group", "elements")
    }
    found |= {f"telemetry/group {i}/lr": lr for i, lr in enumerate(record["lr"]) if lr is not None}
    return found | {"telemetry/skipped": float(record["skipped"]), "telemetry/alarms": float(len(record["alarms"]))}


def _sink(to: Any) -> tuple[Callable[[dict[str, Any]], Any], Callable[[], Any], int]:
    """What writes a record, what closes, and the step at which an earlier run ended."""
    if isinstance(to, str | PathLike):
        file = telemetry_file.Lines(to)
        return file.write, file.close, file.last
    flush = getattr(to, "flush", None)
    close = flush if callable(flush) else lambda: None
    if callable(getattr(to, "add_scalar", None)):
        return lambda record: _scalars(to, record), close, 0
    for method in ("log", "log_metrics"):
        put = getattr(to, method, None)
        if callable(put) and not isinstance(to, logging.Logger | logging.LoggerAdapter):
            return lambda record, put=put: put(flat(record), step=record["step"]), close, 0
    if callable(to):
        return to, lambda: None, 0
    raise TypeError(
        f"TelemetryLogger writes to a path, to something with add_scalar(), log() or log_metrics(), or to a function "
        f"of the record; got {to!r:.80}"
    )


def _scalars(writer: Any, record: dict[str, Any]) -> None:
    for tag, value in flat(record).items():
        writer.add_scalar(tag, value, record["step"])
    for alarm in record["alarms"] if hasattr(writer, "add_text") else ():
        writer.add_text(f"telemetry/{alarm['kind']}", f"{alarm['name']}: {alarm['seen']}", record["step"])
