"""Pictures from sources into a set: looked at in their order until each class has enough, and never twice.

Each class is taken from the front of its candidates: first as many as are wanted and a few more, then as many again as
are missing, until nothing is missing or nothing is left. What a class has does not depend on which answer came first,
nor on how often the work was interrupted.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...core.machine import cores
from . import manifest, sheet
from .choose import choose
from .decoders import PROCESSES, Decoders
from .journal import Busy, Entry, Journal
from .manifest import Asked, Rejected, Row
from .picture import NAME, Looked, Settings, claimed
from .progress import Silent
from .result import Collected
from .sources.find import Candidate, Classes, SourceError, find
from .split import SHARES, split

if TYPE_CHECKING:
    from .web.fetch import Fetcher

AT_ONCE = 256  # candidates in hand: most of them wait for their host's turn
SPARE = 8  # candidates of a class beyond what is missing, and a tenth of it


def collect(
    sources: Sequence[Path | str],
    out: Path | str,
    *,
    classes: Sequence[str] | None = None,
    per_class: int | None = None,
    shares: Sequence[float] | None = None,
    seed: int | None = None,
    licence: str = "",
    picture: Settings | None = None,
    web: Mapping[str, float] | None = None,
    processes: int | None = None,
    view: Silent | None = None,
) -> Collected:
    """Collect pictures for a classifier into a folder, or go on with it; what is finished is kept at once.

    Args:
        sources: lists of addresses (.csv, .tsv, .txt, .parquet), folders, archives (.zip, .tar…), WebDataset shards.
        out: the folder; sources of earlier calls stay in it.
        classes: names in any case of letters; by default every label that the sources name.
        per_class: as many of each; by default all.
        shares: of train, val and test, in any unit.
        seed: which picture is on which side. licence: of sources that do not name one.
        picture: what is kept of a picture. web: settings of `web.fetch.Limits`, by name.
        processes: that decode; 0: this one, and a decoder that crashes ends it. view: what shows how far the work is.

    Returns:
        What the set holds, also after Ctrl-C, then with `partial=True`.

    Raises:
        SourceError: a source cannot be read, or the folder holds something else.
    """
    begin = perf_counter()
    out = Path(out)
    names = Classes(classes)
    asked = _asked(out, [Path(path) for path in sources], names, per_class, shares, seed, picture)
    names = Classes(asked.classes)
    picture = Settings(**asked.picture)
    home = out / manifest.HOME
    for name in ("images", "thumbs", "raw"):
        (home / name).mkdir(parents=True, exist_ok=True)
    try:
        with Journal(home / "journal.jsonl") as journal:
            found, others = find([Path(path) for path in asked.sources], names, licence, picture, home / "raw")
            if not names.names:
                names.names = sorted({one.label for one in found} - {"?"})
            if len(names.names) < 2:
                told = f"only {names.names[0]}" if names.names else "none"
                raise SourceError(f"at least two classes are needed, and there is {told} in {len(found)} pictures")
            asked.classes = names.names
            asked.keep(out)
            work = Work(found, journal, asked, home, picture, web or {}, processes, view or Silent())
            stopped = work.run()
            made = _finish(out, work, asked)
    except Busy as error:
        raise SourceError(str(error)) from None
    if not stopped:
        shutil.rmtree(home / "raw", ignore_errors=True)
    made.others, made.partial, made.looked = others, stopped, work.looked
    made.seconds = perf_counter() - begin
    sheet.save(made)
    return made


def _asked(
    out: Path, sources: list[Path], names: Classes, per_class: int | None, shares: Sequence[float] | None,
    seed: int | None, picture: Settings | None,
) -> Asked:  # fmt: skip
    """What is asked, and where nothing is said, what earlier calls asked of the same folder.

    Raises:
        SourceError: the folder is not ours, or was begun with other settings.
    """
    if gone := [str(path) for path in sources if not path.exists()]:
        raise SourceError(f"there is no {', '.join(gone)}")
    before = Asked.of(out)
    if before is None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise SourceError(f"{out} is there already and was not made by descend data collect; name another folder")
        if not sources:
            raise SourceError("name a list, a folder or an archive to collect from")
        before = Asked([], [], None, list(SHARES), 0, asdict(picture or Settings()), calls=0)
    if picture is not None and (now := asdict(picture)) != before.picture:
        other = ", ".join(f"{k} {was}, now {now[k]}" for k, was in before.picture.items() if was != now[k])
        raise SourceError(f"{out} was begun with {other}; its pictures would be of two kinds: name another folder")
    every = list(dict.fromkeys([*before.sources, *(str(path.absolute()) for path in sources)]))
    kept = [path for path in every if path not in before.sources or Path(path).exists()]
    return Asked(
        kept,
        names.names or before.classes,
        before.per_class if per_class is None else per_class,
        before.shares if shares is None else list(shares),
        before.seed if seed is None else seed,
        before.picture,
        before.calls + (every != before.sources),
    )


class Work:
    """The candidates, and what has become of them."""

    def __init__(
        self, found: list[Candidate], journal: Journal, asked: Asked, home: Path, picture: Settings,
        web: Mapping[str, float], processes: int | None, view: Silent,
    ) -> None:  # fmt: skip
        self.journal, self.asked, self.home, self.picture, self.view = journal, asked, home, picture, view
        self.web, self.processes = web, max(1, min(PROCESSES, cores())) if processes is None else processes
        self.keys = {one: one.key(picture) for one in found}
        self.places = {one: (asked.calls, n) for n, one in enumerate(found)}
        self.by_class: dict[str, list[Candidate]] = defaultdict(list)
        for one in found:
            self.by_class[one.label].append(one)
        self.reach = dict.fromkeys(self.by_class, 0)  # how far each class has been looked at
        current = {one.where for one in found}
        self.before = sorted(  # of sources that are not named any more: their pictures stay
            (e for e in journal.entries.values() if e.where not in current and not e.looked.reason),
            key=lambda entry: entry.at,
        )
        self.dropped = manifest.dropped(home.parent)
        self.tried: set[str] = set()
        self.looked = 0

    # what is known

    def entry(self, one: Candidate) -> Entry | None:
        """What became of a candidate, if nothing is to be gained by looking again."""
        key = self.keys[one]
        if one.unfit is not None:
            return Entry(key, one.label, one.source, one.where, one.licence, Looked(*one.unfit), self.places[one])
        found = self.journal.entries.get(key)
        if found is None or (found.again and key not in self.tried):
            return None
        if not found.looked.reason and not self._images_of(found):
            return None  # somebody has tidied up
        return replace(found, source=one.source, licence=one.licence, at=self.places[one])

    def _images_of(self, entry: Entry) -> bool:
        return (self.home / "images" / f"{entry.looked.sha256[:NAME]}.jpg").exists()

    def entries(self) -> list[Entry]:
        """Of all that has been reached and is finished, in the order in which pictures are taken."""
        reached = (one for label, every in self.by_class.items() for one in every[: self.reach[label]])
        found = [entry for one in reached if (entry := self.entry(one)) is not None]
        return [*self.before, *sorted(found, key=lambda entry: entry.at)]

    def fit(self) -> list[Entry]:
        wanted = set(self.asked.classes)
        return [e for e in self.entries() if not e.looked.reason and e.label in wanted]

    def away(self) -> list[Entry]:
        """The entries of pictures that were dropped by hand."""
        every = self.journal.entries.values()
        return [e for e in every if not e.looked.reason and (e.label, e.looked.sha256) in self.dropped]

    # the work

    def run(self) -> bool:
        """Look at candidates until each class has enough; whether Ctrl-C stopped it."""
        with self.view:
            try:
                try:
                    asyncio.get_running_loop()
                except RuntimeError:
                    asyncio.run(self._run())
                else:  # a notebook has a loop of its own in this thread
                    with ThreadPoolExecutor(1) as pool:
                        pool.submit(asyncio.run, self._run()).result()
            except KeyboardInterrupt:
                return True
            except ExceptionGroup as group:  # a full disk, mostly: every task meets it
                raise group.exceptions[0] from None
        return False

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            decoders: Decoders | None = None
            fetcher: Fetcher | None = None
            while todo := self._reach_further():
                if decoders is None:
                    decoders = stack.enter_context(Decoders(self.home, self.picture, self.processes))
                if fetcher is None and any(one.url for one in todo):
                    fetcher = await stack.enter_async_context(self._fetcher())
                waiting = iter(_interleaved(todo))
                self.view.more(len(todo))
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(AT_ONCE, len(todo))):
                        group.create_task(self._look(waiting, decoders, fetcher))

    def _reach_further(self) -> list[Candidate]:
        """The candidates to look at next: empty when each class has enough, or no more."""
        while True:
            if all(self.reach[label] >= len(every) for label, every in self.by_class.items()):
                return []
            per_class = self.asked.per_class
            have: Counter[str] = Counter()
            if per_class is not None and any(self.reach.values()):
                fit = self.fit()
                have.update(fit[k].label for k in choose(fit, per_class, self.away()).kept)
            moved, todo = False, []
            for label, every in self.by_class.items():
                missing = len(every) if per_class is None else max(0, per_class - have[label])
                if not missing or self.reach[label] >= len(every):
                    continue
                begin, moved = self.reach[label], True
                self.reach[label] = min(len(every), begin + missing + SPARE + missing // 10)
                todo += [one for one in every[begin : self.reach[label]] if self.entry(one) is None]
            if todo or not moved:
                return todo

    async def _look(self, waiting: Iterator[Candidate], decoders: Decoders, fetcher: Fetcher | None) -> None:
        for one in waiting:
            looked, again = await self._one(one, decoders, fetcher)
            self.tried.add(self.keys[one])
            entry = Entry(
                self.keys[one], one.label, one.source, one.where, one.licence, looked, self.places[one], again
            )
            self.journal.add(entry)
            self.looked += 1
            self.view.step(looked.reason)

    async def _one(self, one: Candidate, decoders: Decoders, fetcher: Fetcher | None) -> tuple[Looked, bool]:
        """What becomes of a candidate, and whether it may be another at another time."""
        if not one.url:
            looked = await decoders.examine(Path(one.file), one.claim)
            return looked, looked.reason == "unreadable"
        assert fetcher is not None
        from .web.fetch import Refused

        file = self.home / "raw" / self.keys[one]
        note = file.with_name(f"{file.name}.type")
        try:
            if (kind := _fetched(file, note)) is None:
                kind = await fetcher.fetch(one.url, file)
                note.write_text(f"{file.stat().st_size} {kind}", encoding="utf-8")
            found = await decoders.examine(file, claimed(urlsplit(one.url).path, kind)), False
        except Refused as error:
            found = Looked(error.reason, error.detail), error.again
        # Not where this was cut off: what has been fetched is looked at by the next call.
        for done in (note, file):
            with suppress(OSError):
                done.unlink(missing_ok=True)
        return found

    def _fetcher(self) -> Fetcher:
        try:
            from .web.fetch import Fetcher, Limits
        except ImportError as error:
            raise SourceError(f"addresses need {error.name}: pip install 'descend[data]'") from None
        return Fetcher(Limits(**{"largest": self.picture.largest, **self.web}), self.asked.seed)


def _fetched(file: Path, note: Path) -> str | None:
    """The type of a picture that an earlier call fetched whole and had no time to look at; None: there is none."""
    try:
        size, _, kind = note.read_text(encoding="utf-8").partition(" ")
        return kind if file.stat().st_size == int(size) else None
    except (OSError, ValueError):
        return None


def _interleaved(todo: list[Candidate]) -> list[Candidate]:
    """Hosts in turn, so that a list sorted by host does not wait for the first of them."""
    seen: Counter[str] = Counter()
    ranked = []
    for n, one in enumerate(todo):
        host = urlsplit(one.url).netloc if one.url else ""
        ranked.append((seen[host], n, one))
        seen[host] += bool(host)
    return [one for _, _, one in sorted(ranked, key=lambda ranked: ranked[:2])]


def _finish(out: Path, work: Work, asked: Asked) -> Collected:
    """Choose, split and write the set as it is now."""
    entries, fit = work.entries(), work.fit()
    choice = choose(fit, asked.per_class, work.away())
    kept = [fit[k] for k in choice.kept]
    sides = split(choice.together, [entry.label for entry in kept], asked.shares, asked.seed)
    rows = [_row(entry, side) for entry, side in zip(kept, sides, strict=True)]
    rejected = [
        Rejected(e.source, e.label, e.looked.reason, e.looked.detail, "") for e in entries if e.looked.reason
    ] + [
        Rejected(fit[k].source, fit[k].label, *choice.left[k], f"{fit[k].looked.sha256[:NAME]}.jpg")
        for k in sorted(choice.left)
    ]  # fmt: skip
    manifest.save(out, rows, rejected)
    return Collected(
        out, asked.classes, asked.per_class, rows, rejected, len(choice.conflicts), len(choice.spare),
        again=sum(entry.again for entry in entries),
    )  # fmt: skip


def _row(entry: Entry, side: str) -> Row:
    found = entry.looked
    name = f"{side}/{entry.label}/{found.sha256[:NAME]}.jpg"
    return Row(name, entry.label, side, found.width, found.height, found.kept, found.phash, entry.source, found.sha256,
               entry.licence)  # fmt: skip


__all__ = ["Collected", "SourceError", "collect"]
