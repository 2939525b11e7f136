"""The sentences of a race: what to use, who is equal, who is behind and by how much, what may be hidden."""

import math
from collections.abc import Sequence
from typing import Any

from ...core.jsonable import jsonable
from ...core.nearest import listed
from .protocol.standing import BEHIND, BETTER, EQUAL, UNDECIDED
from .record import Record
from .results import TRIES, Line, Results
from .table import MANY, decades, loss, rate, settings_of, times


def verdict(record: Record, found: Results) -> list[str]:
    """One sentence on the order, then those on edges, defaults, tuning, divergence and what is missing."""
    sentences = [_order(record, found)]
    sentences += _pairs(record, found)
    sentences += _settings(record, found)
    sentences += _edges(found)
    sentences += _defaults(found)
    sentences += _easiest(found)
    sentences += _diverged(record, found)
    sentences += [f"{rule} failed and is not judged: {why}" for rule, why in record.failed.items()]
    if found.unfinished:
        sentences.insert(0, f"Partial: stopped before {listed(found.unfinished)} finished.")
    return sentences


def limits(record: Record) -> str:
    """The honesty line."""
    config = record.config
    what = (
        f"the learning rate and, in {config.tune} trials, the settings are"
        if config.tune
        else "only the learning rate is"
    )
    return (
        f"One task, {config.steps} steps, {SCHEDULE[config.schedule]}; {what} tuned: "
        "this says nothing about ImageNet or a language model."
    )


SCHEDULE = {
    "linear": "the rate linear to zero after a short warm-up",
    "cosine": "the rate a cosine to zero after a short warm-up",
    "wsd": "the rate held, then down to zero in the last fifth",
    "constant": "at a constant learning rate",
}


def _order(record: Record, found: Results) -> str:
    if not found.tuned:
        return "No rule has finished, so there is no order yet."
    best = next((line for line in found.tuned if line.rule == found.leader), None)
    if best is None:
        return "Every rule diverged on at least one seed, so nobody leads."
    here = f"{best.rule} at {rate(best.lr)} (validation loss {loss(best.standing.mean)})"
    if record.config.against:
        return "; ".join([f"Against {here}", *_parts(record, found)]) + "."
    if len(found.tuned) == 1:
        return f"{best.rule} ran alone at {rate(best.lr)}: validation loss {loss(best.standing.mean)}."
    return "; ".join([f"Use {here}", *_parts(record, found)]) + "."


def _parts(record: Record, found: Results) -> list[str]:
    """What is said of the others: equals and undecided ones together, each that is ahead or behind by itself."""
    lines = [line for line in found.tuned if line.rule != found.leader]
    by = {said: [line for line in lines if line.standing.standing == said] for said in SAID}
    parts = [f"{line.rule} is better by {share_range(line.standing.relative)}" for line in by[BETTER]]
    if by[EQUAL]:
        parts.append(f"{listed([line.rule for line in by[EQUAL]])} {_be(by[EQUAL])} equal")
    if by[UNDECIDED]:
        names = listed([line.rule for line in by[UNDECIDED]])
        seeds = max(line.standing.n for line in by[UNDECIDED])
        parts.append(f"{names} {_be(by[UNDECIDED])} undecided after {seeds} seeds")
    for line in by[BEHIND]:
        if line.standing.diverged:
            parts.append(f"{line.rule} diverged on {line.standing.diverged} of {line.standing.n} seeds")
            continue
        needs = found.times_steps.get(line.rule, 1.0)
        steps = (
            f" and needs {times(needs).replace('>', 'over')} the steps"
            if needs >= 1.1 and not record.config.against
            else ""
        )
        parts.append(f"{line.rule} is behind by {share_range(line.standing.relative)}{steps}")
    return parts


SAID = (BETTER, EQUAL, UNDECIDED, BEHIND)


def share_range(ends: tuple[float, float, float]) -> str:
    """An interval of relative differences without its sign: `4–9 %`; from tenfold on `a factor of 3–40`."""
    low, high = sorted(map(abs, ends[1:]))
    if high >= MANY:
        return f"a factor of {1 + low:.2g}–{1 + high:.2g}"
    digits = 1 if high < 0.095 else 0
    return f"{100 * low:.{digits or int(low < 0.01)}f}–{100 * high:.{digits}f} %"


def _be(lines: Sequence[Line]) -> str:
    return "is" if len(lines) == 1 else "are"


def _pairs(record: Record, found: Results) -> list[str]:
    """How many of all pairs of rules are decided, and which are not."""
    if len(found.tuned) < 3 or record.config.against or not record.config.pairs:
        return []
    open_ = [" and ".join(pair) for pair, said in found.pairs.items() if said.standing == UNDECIDED]
    decided = len(found.pairs) - len(open_)
    if not open_:
        return [f"All {decided} pairs of rules are decided."]
    told = "; ".join(open_[:4]) + ("; …" if len(open_) > 4 else "")
    return [f"Of {len(found.pairs)} pairs of rules {decided} are decided; not yet: {told}."]


def _settings(record: Record, found: Results) -> list[str]:
    """What was found for the settings that were searched."""
    if not record.config.tune or not found.tuned:
        return []
    told = [f"{line.rule} {settings_of(line.settings)}" for line in found.tuned if line.settings]
    if not told:
        return ["Other settings than the defaults helped no rule."]
    rest = " The others are best at their defaults." if len(told) < len(found.tuned) else ""
    return [f"Tuned settings: {'; '.join(told)}.{rest}"]


def _edges(found: Results) -> list[str]:
    at_edge = [line for line in found.tuned if line.edge]
    if not at_edge:
        return []
    which = listed([f"{line.rule} ({line.edge} end, {rate(line.lr)})" for line in at_edge])
    return [f"Best learning rate at the end of the grid, although it was widened: {which}."]


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
    near = [line.rule for line in others if line.standing.standing in (EQUAL, UNDECIDED)]
    lead = f"{leader.rule} leads" + (f", with {listed(near)} too near to tell" if near else "")
    most = max(gains, key=lambda rule: gains[rule][0] - gains[rule][1])
    before, after = (loss(x) for x in gains[most])
    return [f"At the default learning rates {lead}; tuning matters most for {most} ({before} → {after})."]


def _easiest(found: Results) -> list[str]:
    widths = {rule: width for rule, width in found.widths.items() if width and found.line(rule)}
    if len(widths) < 2:
        return []
    widest = max(widths, key=lambda rule: widths[rule].decades)
    return [f"Easiest to tune: {widest}, within 10 % of its best over {decades(widths[widest])} of learning rate."]


def _diverged(record: Record, found: Results) -> list[str]:
    count = sum(found.diverged.values())
    if not count:
        return []
    by_rule = listed([f"{rule} {n}" for rule, n in found.diverged.items() if n])
    return [f"{count} of {len(record.runs)} runs diverged ({by_rule}); they count as infinite loss."]


def summary(record: Record, found: Results) -> dict[str, Any]:
    """Sentences and tables as plain data, for `--json` and for readers of the record."""
    said = {
        "race": record.id,
        "task": record.task["name"],
        "verdict": verdict(record, found),
        "limits": limits(record),
        "partial": record.partial,
        "unfinished": found.unfinished,
        "failed": record.failed,
        "leader": found.leader,
        "delta": record.config.delta,
        "target_loss": found.target,
        "tuned": [_tuned(record, line, found) for line in found.tuned],
        "default": [_plain(line) for line in found.default],
        "pairs": [
            {"rules": list(pair), "standing": said.standing, "seeds": said.n, **_ends(said.relative)}
            for pair, said in found.pairs.items()
        ],
        "search_space": {
            entry.rule: {
                "lr": [rate.lr for rate in found.rates.get(entry.rule, [])],
                "settings": entry.settings,
                "searched": {
                    name: {"low": low, "high": high, "how": how} for name, (low, high, how) in entry.space.items()
                },
            }
            for entry in record.entries
        },
    }
    return jsonable(said)


def _plain(line: Line) -> dict[str, Any]:
    s = line.standing
    return {
        "rank": s.rank,
        "rule": line.rule,
        "standing": s.standing,
        "lr": line.lr,
        "val_loss": s.mean,
        **_ends(s.relative if s.interval else None),
        "seeds": s.n,
        "diverged": s.diverged,
        "accuracy": line.accuracy,
    }


def _ends(relative: tuple[float, float, float] | None) -> dict[str, float | None]:
    mean, low, high = relative or (None, None, None)
    return {"relative": mean, "relative_low": low, "relative_high": high}


def _tuned(record: Record, line: Line, found: Results) -> dict[str, Any]:
    width = found.widths[line.rule]
    to_target = found.to_target.get(line.rule, math.inf)
    return {
        **_plain(line),
        "edge": line.edge,
        "settings": dict(line.settings),
        "lr_deviation_decades": line.choice.deviation,
        "times_steps": found.times_steps.get(line.rule),
        "steps_to_target": to_target,  # null: missed
        "seconds_to_target": to_target * found.train_step_ms[line.rule] / 1000,
        "usable_decades": width.decades if width else None,
        "expected_best": {str(k): x for k, x in zip(TRIES, found.expected[line.rule], strict=True)},
        "step_ms": found.step_ms[line.rule],
        "train_step_ms": found.train_step_ms[line.rule],
        "state_bytes_per_parameter": record.entry(line.rule).state_bytes,
    }
