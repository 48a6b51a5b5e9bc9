"""CSV as mini-batches of text, streamed; the separators, encodings and compressions are those the trainer knows.

A value stays as it is spelt, so that a row can be written as it was read.
"""

from __future__ import annotations

import codecs
import csv
import io
import lzma
import zipfile
import zlib
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.csv
from charset_normalizer import from_bytes
from fsspec.compression import compr
from fsspec.utils import infer_compression

from pipeline.batch.columns import Spelling
from pipeline.batch.minibatch import MiniBatch, Piece, Rejected, cut
from pipeline.batch.source import File
from pipeline.errors import InputUnusable

_SEPARATORS = ",;\t|"
_SNIFFED = 1 << 18  # bytes looked at to find encoding and separator
_BLOCK = 1 << 20  # bytes parsed at a time; no row may be longer
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it starts with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LEGACY = ["cp1252", "cp1251", "koi8_r", "cp932", "cp949", "gb18030", "big5"]
_SHOWN = 200  # letters of a row that is wrong
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class CsvRows:
    """The rows of one file; columns in `words` come as dictionaries: they have few values."""

    file: File
    encoding: str
    separator: str
    names: tuple[str, ...]
    words: frozenset[str]

    @property
    def schema(self) -> pa.Schema:
        """All text."""
        return pa.schema([(name, pa.string()) for name in self.names])

    @property
    def read_schema(self) -> pa.Schema:
        """As mini-batches have it."""
        words = pa.dictionary(pa.int32(), pa.string())
        return pa.schema([(name, words if name in self.words else pa.string()) for name in self.names])

    def mini_batches(self, size: int, skipped: int = 0) -> Iterator[MiniBatch]:
        """The mini-batches but the first `skipped` ones. Raises InputUnusable."""
        rejected: deque[Rejected] = deque()
        spelling = Spelling(trimmed=True, decimal_comma=self.separator != ",")
        batches = cut(self.file.name, spelling, self.read_schema, self._pieces(rejected), size, rejected)
        for place, batch in enumerate(batches):
            if place >= skipped:
                yield batch

    def _pieces(self, rejected: deque[Rejected]) -> Iterator[Piece]:
        def reject(row: Any) -> str:
            reason = f"has {row.actual_columns} values for {row.expected_columns} columns"
            rejected.append(Rejected(row.number - 1, row.text[:_SHOWN], reason))
            return "skip"

        schema, rows = self.read_schema, 0
        options = {
            "read_options": pa.csv.ReadOptions(
                use_threads=False,  # otherwise rows have no numbers
                block_size=_BLOCK, column_names=list(self.names), skip_rows_after_names=1,
                encoding="utf8" if self.encoding.startswith("utf-8") else self.encoding,
            ),
            "parse_options": pa.csv.ParseOptions(
                delimiter=self.separator, newlines_in_values=True, invalid_row_handler=reject
            ),
            "convert_options": pa.csv.ConvertOptions(column_types=schema, strings_can_be_null=False),
        }  # fmt: skip
        size = max(1, self.file.size)
        with self.file.opened() as raw, _unpacked(self.file, raw) as content:
            try:
                with pa.csv.open_csv(pa.PythonFile(content, "r"), **options) as reader:
                    for batch in reader:
                        rows += batch.num_rows
                        renamed = pa.RecordBatch.from_arrays(batch.columns, schema=schema)
                        yield Piece(renamed, min(1.0, raw.tell() / size))
            except (pa.ArrowException, UnicodeError) as error:
                raise InputUnusable(_told(self.file, error, rows)) from error


def csv_rows(file: File, words: Collection[str]) -> CsvRows:
    """Look at the head of a file. Raises InputUnusable."""
    with file.opened() as raw, _unpacked(file, raw) as content:
        head = content.read(_SNIFFED)
    encoding = _encoding(head)
    text = io.StringIO(head.decode(encoding, errors="replace"), newline=None).read()
    try:
        separator = _separator(text)
        header = next((row for row in csv.reader(io.StringIO(text), delimiter=separator) if row), [])
    except csv.Error as error:
        raise InputUnusable(f"{file.name} cannot be read as CSV: {error}. Is it CSV or Parquet?") from error
    names = tuple(name.strip() or f"Unnamed: {place}" for place, name in enumerate(header))
    if not header:
        raise InputUnusable(f"{file.name} is empty. Take it out, or give it a header line.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputUnusable(f"{file.name} has more than one column named {', '.join(twice)}. Rename them.")
    return CsvRows(file, encoding, separator, names, frozenset(words) & frozenset(names))


@contextmanager
def _unpacked(file: File, raw: IO[bytes]) -> Iterator[IO[bytes]]:
    try:
        kind = infer_compression(file.path)
        if kind == "zip":
            with zipfile.ZipFile(raw) as archive:
                if len(archive.namelist()) != 1:
                    raise InputUnusable(f"{file.name} holds {len(archive.namelist())} files. Unpack it.")
                with archive.open(archive.namelist()[0]) as content:
                    yield content
        elif kind is None:
            yield raw
        else:
            with compr[kind](raw, mode="rb") as content:
                yield content
    except _DAMAGED as error:
        raise InputUnusable(f"{file.name} is damaged or not what its ending says: {error}.") from error


def _told(file: File, error: Exception, rows: int) -> str:
    if "UTF8" in str(error) or isinstance(error, UnicodeError):
        return f"{file.name} has letters that are not in its encoding, after row {rows:,}. Save it as UTF-8."
    if "straddling" in str(error):
        return (
            f"{file.name} has a row of more than {_BLOCK >> 20} MB after row {rows:,}. "
            "Has it a quote that is opened and never closed?"
        )
    return f"{file.name} cannot be read as CSV after row {rows:,}: {error}."


def _encoding(head: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last letter may be cut off
    except UnicodeDecodeError:
        best = from_bytes(head, cp_isolation=_LEGACY).best()
        return best.encoding if best else "cp1252"
    return "utf-8"


def _separator(head: str) -> str:
    """The candidate that cuts the first lines into the most columns, the same number in each."""
    lines = head.splitlines()[:200]
    lines = lines[:-1] if len(lines) > 2 else lines  # the last may be cut off

    def even(separator: str) -> tuple[float, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        if not counts or counts[0] < 2:
            return (0.0, 0)
        return (round(sum(count == counts[0] for count in counts) / len(counts), 1), counts[0])

    return max(_SEPARATORS, key=even)
