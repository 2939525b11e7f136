"""A column of a table, read as people write: numbers with either decimal sign, dates, words, gaps."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

GAPS = {"", "na", "n/a", "n.a.", "nan", "null", "none", "?", "-", "--", ".", "#n/a"}
NOTHING = {"", "na", "n/a", "nan", "null"}  # what even a column of words does not mean as a word
AROUND = re.compile(r"^[\s$€£¥]+|[\s%€£¥]+$")
GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")  # 1,234,567.8
COMMA = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d*),\d+(e[+-]?\d+)?", re.IGNORECASE)  # 1.234,5
DAY = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%y", "%d %b %Y", "%d %B %Y")
CLOCK = ("", " %H:%M", " %H:%M:%S")
FORMATS = tuple(day + clock for day in DAY for clock in CLOCK)
TURNS = (("year", 365.2425), ("week", 7.0), ("day", 1.0))  # in days


def is_gap(value: str) -> bool:
    """Whether a cell says that nothing is known."""
    return value.lower() in GAPS


def numbers(values: Sequence[str], comma: bool = False) -> NDArray[np.float64] | None:
    """Numbers, NaN for a gap; None if a value is no number.

    Currencies and per cent signs around a number are left out. `comma`: a comma is the decimal sign (of tables whose
    cells are parted by semicolons); else it groups thousands.
    """
    found = [_number(value, comma) for value in values]
    known = [x for x in found if x is not None]
    return np.array(known) if len(known) == len(found) else None


def _number(value: str, comma: bool) -> float | None:
    if is_gap(value):
        return np.nan
    bare = AROUND.sub("", value).replace("\u00a0", "").replace("\u202f", "")
    if comma and COMMA.fullmatch(bare):
        bare = bare.replace(".", "").replace(",", ".")
    elif not comma and GROUPED.fullmatch(bare):
        bare = bare.replace(",", "")
    if "_" in bare:
        return None
    try:
        return float(bare)
    except ValueError:
        return None


def days(values: Sequence[str]) -> NDArray[np.float64] | None:
    """Dates, with or without a time of day, as days; NaN for a gap; None if a value is no date of the one form."""
    known = [value for value in values if not is_gap(value)]
    if not known:
        return None
    for form in ("", *FORMATS):
        try:
            found = {value: _date(value, form) for value in set(known)}
        except ValueError:
            continue
        return np.array([np.nan if is_gap(value) else found[value] for value in values])
    return None


def _date(value: str, form: str) -> float:
    if not form and "-" not in value:
        raise ValueError(value)  # 20240131 is read by fromisoformat, and is a number here
    when = datetime.strptime(value, form) if form else datetime.fromisoformat(value)
    when = when.replace(tzinfo=None) - (when.utcoffset() or timedelta())
    return (when - datetime(2000, 1, 1)).total_seconds() / 86_400


def parts_of_date(when: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The day itself, and where in the year, the week and the day it lies, as points of a circle."""
    parts = [when]
    for _, length in TURNS:
        angle = 2 * np.pi * when / length
        parts += [np.sin(angle), np.cos(angle)]
    return parts


def standardised(x: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Mean 0 and deviation 1, gaps the mean; None for what does not vary."""
    x = np.where(np.isfinite(x), x, np.nan)
    if np.isnan(x).all() or not np.nanstd(x) > 1e-9 * max(1.0, float(np.nanmax(np.abs(x)))):
        return None
    return np.nan_to_num((x - np.nanmean(x)) / np.nanstd(x))
