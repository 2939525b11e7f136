"""The set as WebDataset shards: tar files read from front to back, each sample as `KEY.jpg`, `.cls`, `.json`."""

import io
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .drop import current
from .manifest import Row, SetError
from .split import SPLITS

PER_SHARD = 1_000


def pack(folder: Path, to: Path, per_shard: int = PER_SHARD, seed: int = 0) -> list[Path]:
    """Write `train-000000.tar` … of each split, its pictures shuffled; the files. The same set gives the same bytes.

    Raises:
        SetError: no set, a picture is gone, or shards are there already.
    """
    made = current(folder)
    if to.exists() and (not to.is_dir() or any(to.glob("*.tar"))):
        raise SetError(f"{to} is no folder, or has shards in it; name another")
    if gone := [row.file for row in made.rows if not (folder / row.file).is_file()]:
        raise SetError(f"{len(gone):,} pictures are gone: {', '.join(gone[:3])}; descend data check {folder}")
    to.mkdir(parents=True, exist_ok=True)
    files = []
    for number, split in enumerate(SPLITS):
        rows = [row for row in made.rows if row.split == split]
        order = np.random.default_rng([seed, number]).permutation(len(rows))
        for first in range(0, len(rows), per_shard):
            path = to / f"{split}-{first // per_shard:06}.tar"
            part = path.with_suffix(".part")
            with tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as shard:
                for k in order[first : first + per_shard]:
                    _sample(shard, folder, rows[k], made.classes)
            os.replace(part, path)
            files.append(path)
    return files


def _sample(shard: tarfile.TarFile, folder: Path, row: Row, classes: Sequence[str]) -> None:
    told = {
        "class": row.label, "split": row.split, "source": row.source, "licence": row.licence, "sha256": row.sha256,
        "width": row.width, "height": row.height,
    }  # fmt: skip
    path = folder / row.file
    for ending, content in (
        ("cls", str(classes.index(row.label)).encode()),
        ("jpg", path.read_bytes()),
        ("json", json.dumps(told, ensure_ascii=False).encode()),
    ):
        member = tarfile.TarInfo(f"{path.stem}.{ending}")  # time 0, no owner: nothing that differs between two calls
        member.size = len(content)
        shard.addfile(member, io.BytesIO(content))
