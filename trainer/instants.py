"""A column of time as instants that can be put in order: numbers, dates, or dates as text."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from trainer.columns import kind_of
from trainer.errors import TableError
from trainer.metrics import Array

DATE = re.compile(
    r"(?:(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})"
    r"|(?P<first>\d{1,2})(?P<mark>[-/.])(?P<second>\d{1,2})(?P=mark)(?P<last>\d{4})"
    r"|(?P<first2>\d{1,2})/(?P<second2>\d{1,2})/(?P<last2>\d{2}))(?P<clock>[ T]\d{1,2}:\d{2}.*)?"
)
_CENTURY = 69  # two digits below it are of this century, as in POSIX


def instants(series: pd.Series) -> Array:
    """The instant of each row, shape (rows,): float64 of numbers, datetime64 (UTC) of dates.

    Text is read as ISO 8601 or as day, month and year in the one order that fits all rows. Raises
    TableError if a row has no instant, if two orders fit, or if all rows have the same.
    """
    name, rows = series.name, len(series)
    missing = int(series.isna().sum())
    if missing:
        raise TableError(
            f"The time column '{name}' has no value in {missing:,} of {rows:,} rows with a target, which then have no "
            "place in time: fill them in, or leave those rows out."
        )
    if kind_of(series) == "boolean":
        raise TableError(f"The time column '{name}' holds true and false, which are no times.")
    if kind_of(series) == "number":
        found = series.to_numpy(dtype="float64")
    elif pd.api.types.is_datetime64_any_dtype(series.dtype):
        found = pd.to_datetime(series, utc=True).dt.tz_localize(None).to_numpy()
    else:
        found = _read(series.astype(str))
    if (found == found[0]).all():
        raise TableError(f"The time column '{name}' is {shown(found[0])} in all rows: nothing is before or after.")
    return found


def shown(instant: np.generic) -> str:
    """An instant for people: `2024-03-01`, `2024-03-01 12:30:00` or a number."""
    if not isinstance(instant, np.datetime64):
        return f"{float(instant):.15g}"
    moment = pd.Timestamp(instant)
    return moment.strftime("%Y-%m-%d" if moment == moment.normalize() else "%Y-%m-%d %H:%M:%S")


def _read(text: pd.Series) -> Array:
    parts = text.str.extract(f"^{DATE.pattern}$")
    first = parts["first"].fillna(parts["first2"])
    if first.notna().any():
        parts = _in_order(text, parts, first, parts["second"].fillna(parts["second2"]))
    known = parts["year"].notna()
    plain = parts["year"] + "-" + parts["month"].str.zfill(2) + "-" + parts["day"].str.zfill(2)
    clock = parts["clock"].fillna("").str.replace(r"^[ T](\d):", r" 0\1:", regex=True)
    iso = text.where(~known, plain + clock)
    found = pd.to_datetime(iso, format="ISO8601", utc=True, errors="coerce")
    rest = found.isna() & known  # a clock with AM and PM, say
    if rest.any():
        found[rest] = pd.to_datetime(iso[rest], format="mixed", utc=True, errors="coerce")
    unread = found.isna()
    if unread.any():
        raise TableError(
            f"The time column '{text.name}' cannot be read in {int(unread.sum()):,} of {len(text):,} rows, such as "
            f"'{text[unread].iloc[0]}': write times as 2024-01-31 or 2024-01-31 12:30, or as numbers."
        )
    return np.asarray(found.dt.tz_localize(None).to_numpy())


def _in_order(text: pd.Series, parts: pd.DataFrame, first: pd.Series, second: pd.Series) -> pd.DataFrame:
    """Day and month of dates that end with the year: whichever order all rows allow."""
    a, b = pd.to_numeric(first), pd.to_numeric(second)
    day_first = bool((b.dropna() <= 12).all())
    month_first = bool((a.dropna() <= 12).all()) and "." not in set(parts["mark"])  # 31.1.2024 begins with the day
    if day_first == month_first:
        example = text[first.notna()].iloc[0]
        why = "they may begin with the day or with the month" if day_first else "day and month are in no one order"
        raise TableError(f"The time column '{text.name}' holds dates such as '{example}': {why}. Write 2024-01-31.")
    short = pd.to_numeric(parts["last2"])
    century = np.where(short < _CENTURY, "20", "19")
    year = parts["last"].fillna(pd.Series(century, index=text.index) + parts["last2"])
    return parts.assign(
        year=parts["year"].fillna(year),
        month=parts["month"].fillna(second if day_first else first),
        day=parts["day"].fillna(first if day_first else second),
    )
