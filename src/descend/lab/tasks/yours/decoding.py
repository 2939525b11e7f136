"""Bytes of somebody's file as text, whichever program wrote them."""

import codecs

MARKS = (  # UTF-32 first: its mark begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
BEGINNING = 4_000  # bytes that show whether every other one is zero
SOME = 0.3


def decoded(data: bytes) -> str | None:
    """UTF-8, UTF-16, UTF-32 or Windows' Latin letters, line ends as "\\n"; None for what is no text."""
    for mark, name in MARKS:
        if data.startswith(mark):
            return _lines(data.decode(name, errors="replace"))
    if b"\0" in data[:BEGINNING]:
        found = _unmarked(data)
        return None if found is None else _lines(found)
    try:
        return _lines(data.decode("utf-8"))
    except UnicodeDecodeError:
        pass
    lenient = data.decode("utf-8", errors="replace")
    if lenient.count("\ufffd") * 1000 < len(lenient):
        return _lines(lenient)  # a few damaged bytes
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    return _lines(text) if not any(ord(sign) < 32 and sign not in "\t\n\r\f\x1a" for sign in text) else None


def _unmarked(data: bytes) -> str | None:
    """UTF-16 without its mark: of Latin letters every other byte is zero."""
    beginning = data[: min(BEGINNING, len(data) // 2 * 2)]
    half = max(1, len(beginning) // 2)
    even, odd = beginning[0::2].count(0) / half, beginning[1::2].count(0) / half
    if max(even, odd) < SOME or min(even, odd) > 0.05:
        return None
    try:
        return data.decode("utf-16-le" if odd > even else "utf-16-be")
    except UnicodeDecodeError:
        return None


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
