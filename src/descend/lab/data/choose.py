"""Of all pictures that are fit: which are kept, and why not the others."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from .alike import SAME, groups, pairs
from .journal import Entry


@dataclass
class Choice:
    """Numbers of the entries that are kept, and for each of the others (reason, detail)."""

    kept: list[int] = field(default_factory=list)
    left: dict[int, tuple[str, str]] = field(default_factory=dict)
    spare: list[int] = field(default_factory=list)  # fit, but more than were asked for
    together: list[list[int]] = field(default_factory=list)  # numbers of places in `kept`: alike, for one side
    conflicts: list[tuple[int, int]] = field(default_factory=list)  # the same picture under two labels


def choose(entries: Sequence[Entry], per_class: int | None = None, dropped: Sequence[Entry] = ()) -> Choice:
    """Take the pictures in their order, each once.

    A picture under two labels is kept under neither, for nobody knows which is right. One that was dropped by hand
    stays away, and so do its copies of the same class. `entries` are of pictures that are fit (no `looked.reason`).
    """
    made = Choice()
    every = [*dropped, *entries]  # those that were dropped come first, so that later copies meet them
    shift = len(dropped)
    near = list(pairs([e.looked.phash for e in every], [e.looked.mirrored for e in every]))
    same: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for i, j, bits in near:
        if bits <= SAME:
            same[j].append((i, bits))
            if j >= shift > i and every[i].label == every[j].label:
                exact = every[i].looked.sha256 == every[j].looked.sha256
                told = "by hand" if exact else f"like {every[i].source}, dropped by hand"
                made.left.setdefault(j - shift, ("dropped", told))
    for j, others in same.items():
        for i, _ in others:
            apart = every[i].label != every[j].label
            if i >= shift and apart and not {i - shift, j - shift} & made.left.keys():
                made.conflicts.append((i - shift, j - shift))
    for i, j in made.conflicts:
        for a, b in ((i, j), (j, i)):
            made.left.setdefault(a, ("label conflict", f"also {entries[b].label}: {entries[b].source}"))
    taken: set[int] = set()
    count: Counter[str] = Counter()
    for k, entry in enumerate(entries):
        if k in made.left:
            continue
        copy = next(((i - shift, bits) for i, bits in same[k + shift] if i - shift in taken), None)
        if copy is not None:
            i, bits = copy
            exact = entries[i].looked.sha256 == entry.looked.sha256
            told = "" if exact else f" ({bits} of 64 bits differ)"
            made.left[k] = ("duplicate" if exact else "near duplicate", f"of {entries[i].source}{told}")
            continue
        taken.add(k)
        if per_class is not None and count[entry.label] >= per_class:
            made.spare.append(k)
        else:
            count[entry.label] += 1
            made.kept.append(k)
    place = {k: n for n, k in enumerate(made.kept)}
    joined = [(place[i - shift], place[j - shift]) for i, j, _ in near if i - shift in place and j - shift in place]
    made.together = groups(len(made.kept), joined)
    return made
