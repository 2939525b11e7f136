"""The sentences of a race: who leads, who cannot be told apart, what the search space may have hidden."""

import math
from collections.abc import Sequence
from typing import Any

from .record import Record
from .results import Line, Results
from .table import decades, loss, rate


def verdict(record: Record, found: Results) -> list[str]:
    """One sentence on the order, then those on edges, defaults, tuning, divergence and what is missing."""
    sentences = [_order(record, found)]
    sentences += _edges(found)
    sentences += _defaults(found)
    sentences += _easiest(record, found)
    sentences += _diverged(record, found)
    sentences += [f"{rule} failed and is not judged: {why}" for rule, why in record.failed.items()]
    if found.unfinished:
        sentences.insert(0, f"Partial: stopped before {_names(found.unfinished)} finished.")
    return sentences


def limits(record: Record) -> str:
    """The honesty line."""
    config = record.config
    return (
        f"{config.seeds} seeds, one small task, {config.steps} steps at a constant learning rate: "
        "this says nothing about ImageNet or a language model."
    )


def _order(record: Record, found: Results) -> str:
    if not found.tuned:
        return "No rule has finished, so there is no order yet."
    leader, *others = found.tuned
    if leader.standing.diverged:
        return "Every rule diverged on at least one seed, so nobody leads."
    tied = [line.rule for line in others if line.standing.tied]
    behind = [line.rule for line in others if not line.standing.tied]
    if not others:
        return f"{leader.rule} ran alone: validation loss {loss(leader.standing.mean)}."
    if not tied:
        return (
            f"{leader.rule} leads with a validation loss of {loss(leader.standing.mean)}; "
            f"{_all_of(behind)} measurably behind it ({record.config.seeds} paired seeds, 95 %)."
        )
    return (
        f"{leader.rule} has the lowest validation loss, {loss(leader.standing.mean)}, but "
        f"{_names(tied)} cannot be told apart from it on {record.config.seeds} paired seeds"
        + (f"; {_all_of(behind)} measurably behind." if behind else ".")
    )


def _all_of(behind: Sequence[str]) -> str:
    if len(behind) > 3:
        return f"the other {len(behind)} are"
    return f"{_names(behind)} {'is' if len(behind) == 1 else 'are'}"


def _edges(found: Results) -> list[str]:
    at_edge = [line for line in found.tuned if line.edge]
    if not at_edge:
        return []
    listed = _names([f"{line.rule} ({line.edge} end, {rate(line.lr)})" for line in at_edge])
    return [f"Best learning rate at the end of the grid: {listed}. A wider grid might do better there."]


def _defaults(found: Results) -> list[str]:
    gains = {}
    for line in found.tuned:
        default = found.default_line(line.rule)
        if default and not line.standing.diverged and not default.standing.diverged:
            gains[line.rule] = (default.standing.mean, line.standing.mean)
    if len(found.default) < 2 or not gains:
        return []
    leader, *others = found.default
    if leader.standing.diverged:
        return []
    tied = [line.rule for line in others if line.standing.tied]
    lead = f"{leader.rule} leads" + (f", tied with {_names(tied)}" if tied else "")
    most = max(gains, key=lambda rule: gains[rule][0] / gains[rule][1])
    before, after = (loss(x) for x in gains[most])
    return [f"At the default learning rates {lead}; tuning matters most for {most} ({before} → {after})."]


def _easiest(record: Record, found: Results) -> list[str]:
    widths = {rule: width for rule, width in found.widths.items() if width and found.line(rule)}
    if len(widths) < 2:
        return []
    widest = max(widths, key=lambda rule: widths[rule].decades)
    return [
        f"Easiest to tune: {widest}, within 10 % of its best over {decades(widths[widest])} of learning rate "
        f"(one tuning seed, {record.config.seed})."
    ]


def _diverged(record: Record, found: Results) -> list[str]:
    count = sum(found.diverged.values())
    if not count:
        return []
    by_rule = _names([f"{rule} {n}" for rule, n in found.diverged.items() if n])
    return [f"{count} of {len(record.runs)} runs diverged ({by_rule}); they count as infinite loss."]


def _names(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def summary(record: Record, found: Results) -> dict[str, Any]:
    """Sentences and tables as plain data, for `--json` and for readers of the record."""
    return {
        "verdict": verdict(record, found),
        "limits": limits(record),
        "partial": record.partial,
        "unfinished": found.unfinished,
        "failed": record.failed,
        "tuned": [_plain(line, found) for line in found.tuned],
        "default": [_plain(line, found) for line in found.default],
    }


def _plain(line: Line, found: Results) -> dict[str, Any]:
    s, width = line.standing, found.widths[line.rule]
    return {
        "rank": s.rank,
        "rule": line.rule,
        "lr": line.lr,
        "edge": line.edge,
        "val_loss": s.mean if math.isfinite(s.mean) else None,
        "difference": s.difference,
        "half_width_95_holm": s.half_holm,
        "half_width_95": s.half_plain,
        "p": s.p,
        "tied": s.tied,
        "diverged": s.diverged,
        "accuracy": line.accuracy,
        "step_ms": found.step_ms[line.rule],
        "usable_decades": width.decades if width else None,
    }
