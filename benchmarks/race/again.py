"""The same race with other seeds, again and again: are the verdicts the same? Finished races stay in the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from descend.lab.race.asked import begin, new_record, same
from descend.lab.race.drive import Drive
from descend.lab.race.protocol.pairs import TURNED
from descend.lab.race.protocol.standing import BEHIND, EQUAL
from descend.lab.race.race import Config
from descend.lab.race.record import Record
from descend.lab.store import Store
from descend.lab.tasks.source import Source


def finished(config: Config, source: Source, store: Store, processes: int) -> Record:
    """The race of a configuration: from the store if it is there, else run (or run on) and kept."""
    record = same(store, config, source) or new_record(config, source, source.card(), processes)
    if not record.id:
        begin(record, store)
    drive = Drive(record, source, processes, store)
    for _ in drive.events():
        pass
    drive.finish()
    return record


@dataclass(frozen=True)
class Verdicts:
    """What one race says: of every rule against the leader, and of every two rules, in the order they entered."""

    leader: str
    near: frozenset[str]  # the leader and its equals
    standing: Mapping[str, str]
    pairs: Mapping[tuple[str, str], str]


def verdicts_of(record: Record) -> Verdicts:
    stages = record.stages()
    assert stages.standings is not None
    standing = {row.name: row.standing for row in stages.standings.rows}
    pairs = {}
    for (a, b), pair in stages.pairs.items():
        forward = stages.rules.index(a) < stages.rules.index(b)
        pairs[(a, b) if forward else (b, a)] = pair.standing if forward else pair.turned
    leader = stages.standings.leader or ""
    return Verdicts(leader, frozenset({leader, *(r for r, s in standing.items() if s == EQUAL)}), standing, pairs)


def agreement(found: Sequence[Verdicts]) -> dict[str, float]:
    """Shares, 0..1, over all races, pairs of rules and pairs of races."""
    others = [said for one in found for rule, said in one.standing.items() if rule != one.leader]
    held = [one.pairs[pair] for one in found for pair in one.pairs]
    two = list(combinations(found, 2))
    apart = [TURNED.get(x.pairs[pair]) == y.pairs[pair] for x, y in two for pair in x.pairs if x.pairs[pair] in TURNED]
    total = len(two) * len(found[0].pairs)
    pairs = list(found[0].pairs)
    clean = [not any(TURNED.get(x.pairs[p]) == y.pairs[p] for x, y in two if x.pairs[p] in TURNED) for p in pairs]
    return {
        "decided against the leader": sum(said in (EQUAL, BEHIND) for said in others) / len(others),
        "decided, all pairs of rules": sum(said != "undecided" for said in held) / len(held),
        "no contradiction, of pairs of rules and of races": 1 - sum(apart) / total if total else 1.0,
        "pairs of rules without any contradiction": sum(clean) / len(clean),
        "leader or its equals the same": sum((x.leader in y.near) + (y.leader in x.near) for x, y in two)
        / (2 * len(two)),
    }
