"""Parquet as mini-batches: a row group is decoded piece by piece, so that its size does not matter."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.batch.columns import Spelling
from pipeline.batch.minibatch import MiniBatch, Piece, cut
from pipeline.batch.source import File
from pipeline.errors import InputUnusable

_BUFFER = 1 << 20  # bytes of a column that are read at a time


@dataclass(frozen=True)
class ParquetRows:
    """The rows of one file; columns in `words` come as dictionaries where they are text: they have few values."""

    file: File
    schema: pa.Schema  # as the file has it, names without space around them
    row_groups: tuple[int, ...]  # rows of each
    words: tuple[str, ...]  # as the file spells them

    @property
    def read_schema(self) -> pa.Schema:
        """As mini-batches have it."""
        words = {name.strip() for name in self.words}
        return pa.schema(
            field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name in words else field
            for field in self.schema
        )

    def mini_batches(self, size: int, skipped: int = 0) -> Iterator[MiniBatch]:
        """The mini-batches but the first `skipped` ones. Raises InputUnusable."""
        done = skipped * size
        first = min(done, sum(self.row_groups)) + 1
        pieces = self._pieces(done, size)
        yield from cut(self.file.name, Spelling(), self.read_schema, pieces, size, deque(), first)

    def _pieces(self, done: int, size: int) -> Iterator[Piece]:
        total, before = sum(self.row_groups), 0
        schema = self.read_schema
        with _reading(self.file, self.words) as parquet:
            for group, rows in enumerate(self.row_groups):
                past = max(0, done - before)
                if past < rows:
                    read = before
                    # by row group: where one begins does not depend on where reading began
                    for batch in parquet.iter_batches(min(size, rows), row_groups=[group]):
                        read += batch.num_rows
                        if past < batch.num_rows:
                            renamed = pa.RecordBatch.from_arrays(batch.columns, schema=schema)
                            yield Piece(renamed.slice(past), read / total)
                        past = max(0, past - batch.num_rows)
                before += rows


def parquet_rows(file: File, words: Collection[str]) -> ParquetRows:
    """Look at a file. Raises InputUnusable."""
    with _reading(file, ()) as parquet:
        found = parquet.schema_arrow
        metadata = parquet.metadata
        groups = tuple(metadata.row_group(place).num_rows for place in range(metadata.num_row_groups))
    names = [name.strip() for name in found.names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputUnusable(f"{file.name} has more than one column named {', '.join(twice)}. Rename them.")
    schema = pa.schema([field.with_name(name) for field, name in zip(found, names, strict=True)], found.metadata)
    text = tuple(
        f.name
        for f in found
        if f.name.strip() in words and (pa.types.is_string(f.type) or pa.types.is_large_string(f.type))
    )
    return ParquetRows(file, schema, groups, text)


@contextmanager
def _reading(file: File, words: Collection[str]) -> Iterator[pq.ParquetFile]:
    try:
        with file.opened() as content:
            source = pa.OSFile(file.local) if file.local else content
            with pq.ParquetFile(source, read_dictionary=list(words), buffer_size=_BUFFER, pre_buffer=False) as parquet:
                yield parquet
    except pa.ArrowException as error:
        raise InputUnusable(f"{file.name} is no Parquet file that can be read: {error}.") from error
