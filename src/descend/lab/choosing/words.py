"""A choice in words: the reason, the doubts, what was dropped, and the text that `print` shows."""

from collections.abc import Collection, Sequence
from typing import Any

from ...core.nearest import listed
from .found import Found, Option
from .outcomes import Level
from .strategy import Choosing

EQUAL = 0.02
UNTRIED = "not tried: the budget was too small for it"
MOVED = 4  # quarter decades that a best rate may move while runs get longer
LATE = 1.5  # times what the shortest runs have gained: the loss falls late
FAR = 4  # a horizon so many times longer than the longest runs is far


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
        f"{best.rule} at {best.lr:g}, {choice.schedule} to zero: {number(best.expected.loss)} expected at the end, the "
        f"lowest of all; its runs of {fraction(best.share)} had {number(best.seen)}"
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


def doubts(
    late: str,
    options: Sequence[Option],
    levels: Sequence[Level],
    untried: Sequence[str],
    start: float,
    regret: float,
) -> list[str]:
    """What speaks against trusting the answer, worst first.

    Args:
        late: why it ended early, if it did.
        untried: rules that had no run.
        start: the loss before any step.
        regret: by how much of what was gained the answer is expected to be behind the best there is.
    """
    best = options[0]
    said = [late] if late else []
    if far(best.share):
        said.append(far(best.share))
    if untried:
        said.append(f"the budget was too small to try {listed(untried)}")
    if falls_late(levels, start):
        said.append(
            "the loss falls late, as behind a saddle: what short runs say of rules and rates is not to be trusted"
        )
    if _rises(levels):
        said.append(
            "half the rules or more ended higher in longer runs than in shorter ones, as where a model overfits: the "
            "best rate may be far from those that were tried"
        )
    if regret > EQUAL:
        said.append(
            f"the runs leave much open: the answer is expected to be {percent(regret)} of what was gained behind the "
            "best there is"
        )
    places = [level.rules[best.rule].place for level in levels if best.rule in level.rules]
    if abs(places[-1] - places[0]) > MOVED:
        said.append("its best rate moved tenfold as runs got longer: do not trust the rate at other lengths")
    return said


def falls_late(levels: Sequence[Level], start: float) -> bool:
    """Whether short runs mislead: the longest ones gained over half as much again, as behind a saddle or a plateau.

    Where the loss falls at once, they gain a fifth more at most (docs/choose.md).
    """
    gained = [start - min(of.loss for of in level.rules.values()) for level in (levels[0], levels[-1])]
    return gained[1] > LATE * max(gained[0], 0.0)


def _rises(levels: Sequence[Level]) -> bool:
    """Whether half the rules or more ended higher in their longest runs than in their shortest, by what matters."""
    seen: dict[str, list[float]] = {}
    for level in levels:
        for rule, best in level.rules.items():
            seen.setdefault(rule, []).append(best.loss)
    both = [(losses[0], losses[-1]) for losses in seen.values() if len(losses) > 1]
    return 2 * sum(then < later - EQUAL * abs(then) for then, later in both) >= len(both) > 1


def dropped(choosing: Choosing, told: Collection[str]) -> dict[str, str]:
    """Rule -> why there is nothing to say of it. `told`: of which there is."""
    said = dict(choosing.failed)
    tried = {rule: level.share for level in choosing.levels for rule in level.rules}
    for rule in choosing.asked.rules:
        if rule not in told and rule not in said:
            said[rule] = f"diverged at every rate, in runs of {fraction(tried[rule])}" if rule in tried else UNTRIED
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
