"""Reading a table: CSV of any usual separator, encoding and compression, or Parquet.

Whatever the file, a column of the result is one of four: float64 (NaN is missing), `boolean`,
`datetime64`, or `object` holding str and None.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
import lzma
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from charset_normalizer import from_bytes

from bundle import MISSING_WORDS
from trainer.errors import TableError

_SEPARATORS = ",;\t|"
_SNIFFED = 1 << 18  # bytes looked at to find encoding and separator
_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",  # before UTF-16, whose mark it starts with
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
# one for each script: among those of one script, letters alone do not tell
_LEGACY = ["cp1252", "cp1251", "koi8_r", "cp932", "cp949", "gb18030", "big5"]
_LEADING_ZERO = re.compile(r"[+-]?0\d")
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}


# what damaged, encrypted and unknown archives raise
_UNREADABLE = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, lzma.LZMAError, zlib.error, zipfile.BadZipFile
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table and where it is from."""

    frame: pd.DataFrame
    source: str
    sha256: str  # of the uncompressed file
    guessed_encoding: str | None = None  # where the file does not say how its letters are encoded


def read_table(path: Path, source: str | None = None, text: Container[str] = ()) -> Table:
    """Read a CSV or Parquet file. Columns named in `text` stay text. Raises TableError with the reason."""
    try:
        content = _uncompressed(path)
    except FileNotFoundError:
        raise TableError(f"There is no file {path}. Give the path of a CSV or Parquet file.") from None
    except _UNREADABLE as error:
        raise TableError(f"{path} cannot be read: {error}.") from error
    if not content.strip():
        raise TableError(f"{path} is empty. A table needs a header line and rows.")
    encoding, guessed = _encoding(content)
    parquet = content[:4] == b"PAR1"
    frame = _read_parquet(path, content) if parquet else _read_csv(path, content, encoding, text)
    frame.columns = frame.columns.map(lambda name: str(name).strip())
    _unique(path, frame.columns)
    return Table(
        frame, source or path.name, hashlib.sha256(content).hexdigest(), encoding if guessed and not parquet else None
    )


def _unique(path: Path, names: Iterable[str]) -> None:
    counts = Counter(name.strip() for name in names if name.strip())
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise TableError(f"{path} has more than one column named {', '.join(twice)}. Rename them.")


def _uncompressed(path: Path) -> bytes:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            files = [name for name in archive.namelist() if not name.endswith("/")]
            if len(files) != 1:
                raise TableError(f"{path} holds {len(files)} files. Unpack it and give the one to use.")
            return archive.read(files[0])
    content = path.read_bytes()
    unpack = _UNPACK.get(path.suffix)
    return unpack(content) if unpack else content


def _read_parquet(path: Path, content: bytes) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except Exception as error:  # pyarrow's errors have no common base
        raise TableError(f"{path} is no Parquet file that can be read: {error}.") from error
    return pd.DataFrame({name: _plain(frame[name]) for name in frame.columns}, copy=False)


def _plain(series: pd.Series) -> pd.Series:
    """One of the four kinds from any dtype that Parquet gives."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        series = series.astype(dtype.categories.dtype)
        dtype = series.dtype
    if pd.api.types.is_bool_dtype(dtype):
        return series.astype("boolean")
    if pd.api.types.is_numeric_dtype(dtype):
        return _finite(series)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return series
    present = series.dropna()
    if len(present) and present.map(lambda value: isinstance(value, bool)).all():
        return series.astype("boolean")
    if len(present) and not present.map(lambda value: isinstance(value, str)).all():
        numbers = pd.to_numeric(series, errors="coerce")  # decimals, mixed integers
        if numbers.notna().sum() == len(present):
            return _finite(numbers)
    return _strings(series.map(str, na_action="ignore"))


def _finite(series: pd.Series) -> pd.Series:
    """Numbers as float64; infinite ones are missing."""
    numbers = series.astype("float64")
    return numbers.where(np.isfinite(numbers))


def _strings(series: pd.Series) -> pd.Series:
    missing = series.isna() | series.isin(MISSING_WORDS)
    values = [None if gone else value for value, gone in zip(series, missing, strict=True)]
    return pd.Series(values, index=series.index, dtype=object)


def _read_csv(path: Path, content: bytes, encoding: str, text: Container[str]) -> pd.DataFrame:
    head = io.StringIO(content[:_SNIFFED].decode(encoding, errors="replace"), newline=None).read()
    try:
        separator = _separator(head)
        _unique(path, next(csv.reader(io.StringIO(head), delimiter=separator), []))
    except csv.Error as error:
        raise TableError(f"{path} cannot be read as CSV: {error}. Is it a CSV or Parquet file?") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header would lose values
            raw = pd.read_csv(
                io.BytesIO(content),
                sep=separator,
                encoding=encoding,
                dtype=object,
                keep_default_na=False,
                skipinitialspace=True,
                index_col=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeError, ValueError) as error:
        raise TableError(f"{path} cannot be read as CSV with the separator {separator!r}: {error}.") from error
    if raw.empty:
        raise TableError(f"{path} has no rows. A table needs a header line and rows.")
    decimal_comma = separator != ","
    typed = {name: _typed(raw[name], decimal_comma, str(name).strip() in text) for name in raw.columns}
    return pd.DataFrame(typed, copy=False)


def _encoding(content: bytes) -> tuple[str, bool]:
    """The encoding of a text, and whether it is a guess."""
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return encoding, False
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        best = from_bytes(content[:_SNIFFED], cp_isolation=_LEGACY).best()
        return (best.encoding if best else "cp1252"), True
    return "utf-8", False


def _separator(head: str) -> str:
    """The candidate that cuts the first lines into the most columns, the same number in each."""
    lines = head.splitlines()[:200]
    lines = lines[:-1] if len(lines) > 2 else lines  # the last may be cut off

    def score(separator: str) -> tuple[float, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        if not counts or counts[0] < 2:
            return (0.0, 0)
        return (round(sum(count == counts[0] for count in counts) / len(counts), 1), counts[0])

    return max(_SEPARATORS, key=score)


def _typed(series: pd.Series, decimal_comma: bool, as_text: bool) -> pd.Series:
    text = series.astype(object).where(series.notna(), "").map(lambda value: str(value).strip())
    if as_text:
        return _strings(text)
    missing = text.isin(MISSING_WORDS)
    present = text[~missing]
    if present.empty:
        return pd.Series(np.nan, index=series.index, dtype="float64")
    if present.isin(_BOOLEANS).all():
        return text.map(_BOOLEANS).where(~missing, None).astype("boolean")
    # 01234 is a code, not a number; 0.5 is a number
    if not present.map(lambda value: bool(_LEADING_ZERO.match(value))).any():
        numbers = text.where(~missing, "nan")
        for candidate in (numbers, numbers.str.replace(",", ".")) if decimal_comma else (numbers,):
            parsed = pd.to_numeric(candidate, errors="coerce")
            if parsed[~missing].notna().all():
                return _finite(parsed)
    return _strings(text)
