"""Which of some names a mistyped one was meant for: the hint of every refusal, said in one way."""

from collections.abc import Iterable

MOST = 3


def folded(name: str) -> str:
    """A name without what nobody remembers of it: case, hyphens, underscores, spaces."""
    return "".join(sign for sign in name.casefold() if sign not in "-_ \t")


def nearest(name: str, known: Iterable[str], most: int = MOST) -> list[str]:
    """The names that ``name`` may have been meant for, the likeliest first: alike, or one within the other."""
    from difflib import SequenceMatcher  # 10 ms to import, needed for a mistake only

    meant = folded(name)
    found: dict[str, float] = {}
    for other in dict.fromkeys(known):
        mine = folded(other)
        kept = 1 - edits(mine, meant) / max(len(mine), len(meant), 1)  # alone it is hard on what was cut short
        alike = (SequenceMatcher(None, mine, meant).ratio() + kept) / 2
        within = min(len(mine), len(meant)) > 2 and (mine in meant or meant in mine)
        if alike >= 0.55 or within:
            found[other] = alike
    best = max(found.values(), default=0.0)  # beside one that is very near, those that are far are noise
    return [other for other in sorted(found, key=lambda x: -found[x]) if found[other] >= best - 0.25][:most]


def edits(a: str, b: str) -> int:
    """Letters to change, add, leave out or swap with the next one, to make one word of another."""
    before, last = [0] * (len(b) + 1), list(range(len(b) + 1))
    for i, x in enumerate(a):
        row = [i + 1]
        for j, y in enumerate(b):
            row.append(min(last[j] + (x != y), last[j + 1] + 1, row[j] + 1))
            if i and j and x == b[j - 1] and a[i - 1] == y:
                row[-1] = min(row[-1], before[j - 1] + 1)
        before, last = last, row
    return last[-1]


def listed(names: Iterable[str], joint: str = "and") -> str:
    """``a, b and c``."""
    *most, last = [*names] or [""]
    return f"{', '.join(most)} {joint} {last}" if most else last


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What to say to somebody who meant one of these, with a space before it; empty if none is near."""
    near = nearest(name, known)
    return f" Did you mean {listed(map(repr, near), 'or')}?" if near else ""
