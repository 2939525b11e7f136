"""Lists of addresses: CSV, TSV and Parquet with named columns, or text with an address per line."""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ....core.nearest import listed
from .candidate import LONGEST, Candidate, Classes, SourceError

ENDINGS = (".csv", ".tsv", ".txt", ".parquet")
URL = ("url", "image_url", "imageurl", "img_url", "image", "uri", "link", "href", "address")
LABEL = ("class", "label", "category", "class_name", "label_name", "species", "name")
LICENCE = ("licence", "license", "rights")
MOST = 2_000_000  # rows


def candidates(path: Path, classes: Classes, licence: str) -> Iterator[Candidate | None]:
    """The rows of a list; None for one whose class is not wanted.

    Where a row names no class, the list's own name does: `dog.txt`.

    Raises:
        SourceError: it cannot be read, or no column holds addresses.
    """
    rows = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
    for count, (url, label, own) in enumerate(rows):
        if count >= MOST:
            raise SourceError(f"{path}: more than {MOST:,} rows; cut it into lists and collect one after the other")
        meant = classes.numbered(label) if label.strip() else classes.called(path.stem)
        if not meant:
            yield None
            continue
        url = url.strip()
        why = refused(url)
        unfit = ("refused", why) if why else None
        yield Candidate(url[:LONGEST], url[:LONGEST], meant, own.strip() or licence, url=url, unfit=unfit)


def refused(url: str) -> str:
    """Why an address is not asked for; "" if it is."""
    if len(url) > LONGEST:
        return f"an address of {len(url):,} characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"no address: {error}"
    if parts.scheme.lower() not in ("http", "https"):
        return f"only http and https are asked for, not {parts.scheme or 'a path'}"
    if not host or any(sign.isspace() or not sign.isprintable() for sign in url):
        return "no address: it has no host" if not host else "no address: it holds spaces or control signs"
    if parts.username is not None:
        return "it carries a password, which the manifest would tell"
    return ""


def _text(path: Path) -> Iterator[tuple[str, str, str]]:
    """(address, class, licence) of each row of a CSV, TSV or TXT."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    text = text.replace("\0", "")
    if path.suffix.lower() == ".txt":
        for line in text.splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                url, _, label = line.strip().replace("\t", " ").partition(" ")
                yield url, label, ""
        return
    lines = csv.reader(io.StringIO(text), delimiter=_delimiter(path, text))
    try:
        head = next(lines, [])
        names = [name.strip().lower() for name in head]
        if any("://" in name for name in names):  # no headings: address, class
            url, label, own = 0, 1, 2
            yield from ((_at(row, url), _at(row, label), _at(row, own)) for row in [head])
        else:
            url, label, own = _columns(path, names)
        for row in lines:
            if any(cell.strip() for cell in row):
                yield _at(row, url), _at(row, label), _at(row, own)
    except csv.Error as error:
        raise SourceError(f"{path}, line {lines.line_num}: {error}") from None


def _delimiter(path: Path, text: str) -> str:
    if path.suffix.lower() == ".tsv":
        return "\t"
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _at(row: list[str], k: int) -> str:
    return row[k] if 0 <= k < len(row) else ""


def _columns(path: Path, names: list[str]) -> tuple[int, int, int]:
    """Where addresses, classes and licences stand; -1 for none."""
    url, label, own = (next((names.index(n) for n in known if n in names), -1) for known in (URL, LABEL, LICENCE))
    if url < 0:
        raise SourceError(
            f"{path}: no column {listed(map(repr, URL[:2]), 'or')}; columns: {', '.join(names)[:200] or 'none'}"
        )
    return url, label, own


def _parquet(path: Path) -> Iterator[tuple[str, str, str]]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise SourceError(f"{path}: a Parquet file needs pyarrow: pip install 'descend[data]'") from None
    try:
        with parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            places = _columns(path, [name.lower() for name in names])
            wanted = [names[k] for k in places if k >= 0]
            for batch in file.iter_batches(columns=wanted):
                columns = [batch.column(names[k]).to_pylist() if k >= 0 else [""] * len(batch) for k in places]
                yield from (_words(row) for row in zip(*columns, strict=True))
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path}: no readable Parquet file: {str(error).splitlines()[0]}") from None


def _words(row: Iterable[object]) -> tuple[str, str, str]:
    url, label, own = ("" if cell is None else str(cell) for cell in row)
    return url, label, own
