"""Whether a folder of pictures is fit to train on: what its manifest says, and what no manifest can say for it."""

import hashlib
import io
import multiprocessing
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ...core.machine import cores
from . import manifest
from .alike import ALIKE, SAME, pairs
from .decoders import PROCESSES
from .manifest import Asked, SetError
from .picture import BY_ENDING, Settings, Unfit, decoded, perceptual
from .progress import Silent
from .split import SPLITS

SHOWN = 3  # pictures named where many are meant
ANY = Settings(side=128, least=1)


@dataclass(frozen=True)
class Check:
    """One thing that must hold: what is wrong, "" if nothing is, and all that it is about."""

    name: str
    says: str
    wrong: str = ""
    about: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What a file is."""

    file: str
    sha256: str = ""
    phash: str = ""
    mirrored: str = ""
    unfit: str = ""
    tells: str = ""  # metadata that it carries


def look(folder: str, file: str) -> Seen:
    """Hash and decode a file, in whatever process."""
    from PIL import Image

    data = Path(folder, file).read_bytes()
    sha = hashlib.sha256(data).hexdigest()
    try:
        picture = decoded(data, "", ANY)
    except Unfit as error:
        return Seen(file, sha, unfit=": ".join(error.args))
    with Image.open(io.BytesIO(data)) as image:
        tells = [name for name in ("exif", "icc_profile", "xmp", "comment", "photoshop") if image.info.get(name)]
    return Seen(file, sha, *perceptual(picture), tells=", ".join(tells))


def pictures(folder: Path) -> list[str]:
    """`SPLIT/CLASS/FILE` of all pictures, or `CLASS/FILE` where the folder is not split.

    Raises:
        SetError: there is none.
    """
    depth = "*/*/*" if any((folder / split).is_dir() for split in SPLITS) else "*/*"
    found = (path.relative_to(folder) for path in folder.glob(depth) if path.suffix[1:].lower() in BY_ENDING)
    files = sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
    if not files:
        raise SetError(f"{folder}: no picture in a folder of its own class, as in {folder}/train/cat/1.jpg")
    return files


def check(folder: Path, processes: int | None = None, view: Silent | None = None) -> list[Check]:
    """All checks of a set that `descend data collect` made, or of any folder of pictures.

    Args:
        processes: that decode; 0: this one.

    Raises:
        SetError: there are no pictures.
    """
    folder = Path(folder)
    files = pictures(folder)
    rows = manifest.read(folder) if (folder / manifest.MANIFEST).exists() else None
    view, seen = view or Silent(), []
    count = min(PROCESSES, cores()) if processes is None else processes
    many = ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) if count else ThreadPoolExecutor(1)
    with view, many as pool:
        view.more(len(files))
        for one in pool.map(look, [str(folder)] * len(files), files, chunksize=16):
            seen.append(one)
            view.step(one.unfit)
    return list(_checks(folder, files, rows, seen))


def _checks(
    folder: Path, files: Sequence[str], rows: Sequence[manifest.Row] | None, seen: Sequence[Seen]
) -> Iterator[Check]:
    by_file = {one.file: one for one in seen}
    split_of = {file: file.split("/")[0] if file.count("/") == 2 else "" for file in files}
    label_of = {file: file.split("/")[-2] for file in files}
    if rows is not None:
        named = {row.file: row for row in rows}
        yield _check("complete", "every picture of the manifest is there", [f for f in named if f not in by_file])
        yield _check("named", "every picture there is in the manifest", [f for f in files if f not in named])
        other = [f for f, row in named.items() if f in by_file and by_file[f].sha256 != row.sha256]
        yield _check("unchanged", "every picture has the bytes of the manifest", other)
        yield _check("silent", "no picture carries metadata", [f"{s.file} ({s.tells})" for s in seen if s.tells])
    yield _check("readable", "every picture can be decoded", [f"{s.file} ({s.unfit})" for s in seen if s.unfit])
    fit = [one for one in seen if not one.unfit]
    near = list(pairs([one.phash for one in fit], [one.mirrored for one in fit]))
    labels, copies, leaks = [], [], []
    for i, j, bits in near:
        a, b = fit[i].file, fit[j].file
        told = f"{a} = {b}" if fit[i].sha256 == fit[j].sha256 else f"{a} ~ {b}"
        if bits <= SAME:
            (labels if label_of[a] != label_of[b] else copies).append(told)
        if split_of[a] != split_of[b]:
            leaks.append(told)
    yield _check("labels", f"no picture has two labels (up to {SAME} of 64 bits apart)", labels)
    yield _check("once", f"no picture is there twice (up to {SAME} of 64 bits apart)", copies)
    if any(split_of.values()):
        yield _check("apart", f"no picture is like one of another split (up to {ALIKE} of 64 bits apart)", leaks)
        yield _shares(split_of, label_of)
    asked = Asked.of(folder)
    if asked and asked.per_class:
        count = Counter(label_of.values())
        short = {label: asked.per_class - count[label] for label in asked.classes}
        lacking = [f"{label}: {n:,}" for label, n in short.items() if n > 0]
        yield _check("enough", f"every class has {asked.per_class:,} pictures", lacking, "classes lack pictures")


def _shares(split_of: dict[str, str], label_of: dict[str, str]) -> Check:
    """Every class is in every split there is, with nearly the same share."""
    by: dict[str, Counter[str]] = defaultdict(Counter)
    for file, split in split_of.items():
        by[split][label_of[file]] += 1
    whole = Counter(label_of.values())
    wrong = []
    for split, held in by.items():
        share = sum(held.values()) / len(label_of)
        for label, count in whole.items():
            if not held[label]:
                wrong.append(f"{split} has no {label}")
            elif abs(held[label] - share * count) > max(2.0, 0.02 * count):
                wrong.append(f"{split} has {held[label] / count:.0%} of {label}, {share:.0%} of all")
    return _check("shares", "every split has the same share of each class", wrong, "shares are off")


def _check(name: str, says: str, about: list[str], what: str = "pictures") -> Check:
    if not about:
        return Check(name, says)
    more = ", …" if len(about) > SHOWN else ""
    what = what[:-1] if len(about) == 1 and what == "pictures" else what
    return Check(name, says, f"{len(about):,} {what}: {', '.join(about[:SHOWN])}{more}", tuple(about))
