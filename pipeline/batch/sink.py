"""Scored rows as bytes that are appended to a file: CSV, or row groups of one Parquet file."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pipeline.batch.checkpoint import FOOTERS, ROWS, Draft
from pipeline.errors import OutputUnusable

_MAGIC = b"PAR1"
_TAIL = 8  # bytes at the end of a Parquet file: the footer's length, and the magic


class Sink(Protocol):
    """Where rows go."""

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Append a group of mini-batches."""

    def close(self) -> None:
        """Append what makes the file whole."""


class CsvSink:
    """Values are in quotes where they need them; in a mini-batch where one does, all its text is."""

    def __init__(self, draft: Draft, schema: pa.Schema, separator: str, compressed: bool) -> None:
        """Raises OutputUnusable if CSV cannot hold a column."""
        self._draft, self._separator, self._compressed = draft, separator, compressed
        for field in schema:
            try:
                self._lines(pa.RecordBatch.from_pylist([], pa.schema([field])))
            except (pa.ArrowException, TypeError) as error:
                raise OutputUnusable(
                    f"CSV cannot hold column '{field.name}', which is of type {field.type}. Write Parquet."
                ) from error
        if not draft.path(ROWS).stat().st_size:
            self._append([pa.record_batch([[name] for name in schema.names], names=schema.names)])

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Append a group of mini-batches."""
        self._append(batches)

    def close(self) -> None:
        """It is whole."""

    def _append(self, batches: Iterable[pa.RecordBatch]) -> None:
        lines = map(self._lines, batches)  # one at a time is in memory
        # packed, each is a member of its own: members one after the other are one gzip file
        packed = (gzip.compress(part, compresslevel=1, mtime=0) for part in lines) if self._compressed else lines
        self._draft.append(ROWS, packed)

    def _lines(self, batch: pa.RecordBatch) -> pa.Buffer:
        columns = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in batch.columns]
        plain = pa.record_batch(columns, names=batch.schema.names)
        try:
            return self._written(plain, "none")
        except pa.ArrowInvalid:
            return self._written(plain, "needed")

    def _written(self, batch: pa.RecordBatch, quoting: str) -> pa.Buffer:
        stream = pa.BufferOutputStream()
        options = pa.csv.WriteOptions(
            include_header=False, batch_size=1 << 14, delimiter=self._separator, quoting_style=quoting
        )
        pa.csv.write_csv(batch, stream, options)
        return stream.getvalue()


class ParquetSink:
    """Each group is written as a Parquet file that goes on where the file ends, and its footer put aside.

    So a file of any size is written, and gone on with, without reading any of it: the footers put together are its own.
    """

    def __init__(self, draft: Draft, schema: pa.Schema, coming: pa.Schema) -> None:
        """`schema` is what readers get, `coming` how batches come: with words as dictionaries."""
        self._draft, self._schema, self._coming = draft, schema, coming

    def write(self, batches: Sequence[pa.RecordBatch]) -> None:
        """Append a group of mini-batches as a row group."""
        table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
        if table.num_rows:
            self._draft.append(FOOTERS, [self._row_group(table)])

    def close(self) -> None:
        """Append the footer: that of a file of our columns without rows, and all row groups."""
        nothing, content = io.BytesIO(), io.BytesIO()
        pq.ParquetWriter(nothing, self._schema).close()
        whole = pq.read_metadata(nothing)
        for footer in _each(self._draft.path(FOOTERS).read_bytes()):
            whole.append_row_groups(pq.read_metadata(pa.BufferReader(_MAGIC + footer)))
        whole.write_metadata_file(content)
        begun = self._draft.path(ROWS).stat().st_size > 0
        self._draft.append(ROWS, [content.getvalue()[len(_MAGIC) if begun else 0 :]])

    def _row_group(self, table: pa.Table) -> bytes:
        """Append it, and return its footer, in which offsets are those of the whole file."""
        path = self._draft.path(ROWS)
        with pa.OSFile(str(path), "ab") as file:
            # Arrow refuses to write where a file does not begin. Appended is at the end, wherever one is before, so
            # it sees the beginning here, and with the first write the true place.
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            with pq.ParquetWriter(file, self._coming, store_schema=False) as writer:
                writer.write_table(table, row_group_size=table.num_rows)
        return _take_footer(path)


def _each(footers: bytes) -> list[bytes]:
    """Footers that lie one after the other; the length of each is at its end."""
    found, end = [], len(footers)
    while end:
        start = end - _TAIL - int.from_bytes(footers[end - _TAIL : end - len(_MAGIC)], "little")
        found.append(footers[start:end])
        end = start
    return found[::-1]


def _take_footer(path: Path) -> bytes:
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size - _TAIL)
        length = int.from_bytes(file.read(4), "little") + _TAIL
        file.seek(size - length)
        footer: Any = file.read(length)
        file.truncate(size - length)
    return bytes(footer)
