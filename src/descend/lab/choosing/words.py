"""A choice in words: the reason, the doubts, what was dropped, and the text that `print` shows."""

import math
from collections.abc import Mapping
from typing import Any

from .found import Found, Option
from .reading import Valley
from .strategy import Choosing

EQUAL = 0.02
MOVED = 4  # quarter decades that a best rate may move while runs get twice as long
FAR = 8  # doublings times two: a horizon so many times longer than the longest runs is far


def fraction(share: float) -> str:
    """ "a sixteenth" as 1/16; the whole is 1."""
    if share > 1:
        return f"{share:.2g} times the length"
    part = f"{1 / share:.2g}" if share > 0.01 else f"{1 / share:.0f}"
    return "the full length" if share == 1 else f"1/{part} of the length"


def number(x: float) -> str:
    return f"{x:.3g}"


def percent(x: float) -> str:
    return f"{100 * x:.0f} %" if abs(x) >= 0.1 else f"{100 * x:.1f} %"


def reason(choice: Found) -> str:
    """Why, in one sentence."""
    best, other = choice.best, choice.runner_up
    said = (
        f"{best.rule} at {best.lr:g}, {choice.schedule} to zero: the lowest loss, {number(best.seen)}, in runs of "
        f"{fraction(best.share)}, {number(best.expected.loss)} expected at the end"
    )
    if other is None:
        return f"{said}; no other rule came near"
    if choice.behind <= EQUAL:  # below 0 where the best was the luckiest, too
        return f"{said}; {other.rule} at {other.lr:g} cannot be told apart from it"
    return f"{said}; {other.rule} at {other.lr:g} comes second, {percent(choice.behind)} behind"


def far(share: float) -> str:
    """The doubt about runs that were so much shorter than what is chosen for; empty where there is none."""
    if share > 1 / FAR:
        return ""
    return (
        f"the longest runs had {fraction(share)}: the rate and the order of rules may still change; more seconds allow "
        "longer ones"
    )


def doubts(choosing: Choosing, options: list[Option]) -> list[str]:
    """What speaks against trusting the answer, worst first."""
    best, last = options[0], choosing.levels[-1]
    said = [choosing.late] if choosing.late else []
    if far(last.share):
        said.append(far(last.share))
    if choosing.falls_late:
        said.append(
            "the loss falls late, as behind a saddle: what short runs say of rules and rates is not to be trusted"
        )
    rivals = options[1:2]
    shorter = [level for level in choosing.levels if level.share < last.share]
    if shorter and _rises(shorter[-1].valleys, last.valleys):
        said.append(
            "half the rules or more ended higher in longer runs than in shorter ones, as where a model overfits: the "
            "best rate may be far from those that were tried"
        )
    if shorter and rivals:
        before = shorter[-1].valleys
        rival = rivals[0].rule
        if rival in before and best.rule in before:
            then = before[best.rule].loss - before[rival].loss
            now = last.valleys[best.rule].loss - last.valleys[rival].loss
            if then * now < 0 and abs(now) > EQUAL * abs(last.valleys[best.rule].loss):
                said.append(f"the order of {best.rule} and {rival} changed when runs got twice as long")
    places = [level.valleys[best.rule].place for level in choosing.levels if best.rule in level.valleys]
    if len(places) > 1 and abs(places[-1] - places[-2]) > MOVED:
        said.append("its best rate moved tenfold when runs got twice as long: do not trust the rate at other lengths")
    if last.seeds == 1 and last.share < 1:
        said.append("the longest runs had one seed each")
    return said


def _rises(before: Mapping[str, Valley], now: Mapping[str, Valley]) -> bool:
    """Whether the best loss of half the rules or more rose by more than does not matter, though runs got longer."""
    both = [(before[rule].loss, now[rule].loss) for rule in now if rule in before]
    return 2 * sum(then < later - EQUAL * abs(then) for then, later in both) >= len(both) > 1


def dropped(choosing: Choosing) -> dict[str, str]:
    """Rule -> why it was not among the last."""
    said = dict(choosing.failed)
    stayed = choosing.levels[-1].valleys
    for rule in choosing.asked.rules:
        if rule in stayed or rule in said:
            continue
        levels = [level for level in choosing.levels if rule in level.valleys]
        if not levels:
            said[rule] = "not tried: the budget was too small for it"
            continue
        level = levels[-1]
        mine, best = level.valleys[rule].loss, level.valleys[level.ranked[0]].loss
        if not math.isfinite(mine):
            said[rule] = f"diverged at every rate, in runs of {fraction(level.share)}"
        else:
            gap = (mine - best) / abs(best) if best else math.inf
            said[rule] = f"{percent(gap)} behind {level.ranked[0]} in runs of {fraction(level.share)}"
    return said


def rows(choice: Found) -> list[tuple[str, ...]]:
    """The table of the rules that stayed: name, rate, loss seen, loss expected, interval, cost of a step."""
    return [
        (
            o.rule,
            f"{o.lr:g}",
            number(o.seen),
            number(o.expected.loss),
            f"{number(o.expected.low)} … {number(o.expected.high)}",
            f"{1e3 * o.step_s:.3g} ms",
        )
        for o in choice.options
    ]


HEAD = ("rule", "rate", "seen", "expected", "nine of ten", "step")
GOES = {"step": 3, "nine of ten": 2, "seen": 1}  # columns, by their turn where a terminal is narrow


def text(choice: Found, width: int = 100) -> str:
    """What `print` shows; so wide at most."""
    from ...draw.terminal import Column, Table, text

    table = Table([Column(name, name != HEAD[0], GOES.get(name, 0)) for name in HEAD], rows(choice), indent=2)
    doubts = [Table(("",), [(doubt,) for doubt in choice.doubts], prose=True, indent=2)] if choice.doubts else []
    dropped = [(f"{rule}:", why) for rule, why in choice.dropped.items()]
    parts: list[Any] = [
        f"{choice.name}: {choice.rule} at {choice.lr:g}, {choice.schedule} to zero over {choice.steps} steps",
        "",
        f"{reason(choice)}.",
        "",
        table,
        *filter(None, [table.hidden(width)]),
        "",
        f"confidence: {choice.confidence}",
        *doubts,
        *(["", Table(("", ""), dropped, prose=True, indent=2)] if dropped else []),
        "",
        f"spent: {choice.spent:.1f} trainings of {choice.asked_steps} steps, {choice.seconds:.0f} s",
    ]
    return text(*parts, width=width).rstrip("\n")
