"""The input as a whole: its files hold the same columns, and among them the model's."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from bundle import Manifest
from pipeline.batch.columns import refused
from pipeline.batch.csv_rows import CsvRows, csv_rows
from pipeline.batch.minibatch import MiniBatch
from pipeline.batch.parquet_rows import ParquetRows, parquet_rows
from pipeline.batch.source import File, Format, format_of
from pipeline.errors import InputUnusable

Rows = CsvRows | ParquetRows


@dataclass(frozen=True)
class Table:
    """The rows of some files, one after the other."""

    format: Format
    files: tuple[Rows, ...]

    @property
    def schema(self) -> pa.Schema:
        """The columns, as the first file has them."""
        return self.files[0].schema

    @property
    def read_schema(self) -> pa.Schema:
        """The same, as mini-batches have them."""
        return self.files[0].read_schema

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(rows.file.size for rows in self.files)

    def mini_batches(self, size: int, file: int = 0, skipped: int = 0) -> Generator[tuple[int, MiniBatch], None, None]:
        """Mini-batches and the place of their file, from one file on, but for its first `skipped` ones."""
        names = self.schema.names
        for place, rows in enumerate(self.files[file:], file):
            for batch in rows.mini_batches(size, skipped if place == file else 0):
                yield place, batch if rows.schema.names == names else replace(batch, rows=batch.rows.select(names))


def read_table(files: Sequence[File], manifest: Manifest) -> Table:
    """Look at all files, before any work. Raises InputUnusable, which names the column and what to do."""
    formats = {file.name: format_of(file) for file in files}
    first = files[0].name
    for name, found in formats.items():
        if found != formats[first]:
            raise InputUnusable(f"{name} is {found}, {first} is {formats[first]}. Score one format at a time.")
    words = {column.name for column in manifest.columns if column.kind == "category"}
    look = parquet_rows if formats[first] == "parquet" else csv_rows
    rows: list[Rows] = [look(file, words) for file in files]
    _fits(rows[0], manifest)
    wanted = {field.name: field.type for field in rows[0].schema}
    for other in rows[1:]:
        _same(first, wanted, other)
    return Table(formats[first], tuple(rows))


def _fits(rows: Rows, manifest: Manifest) -> None:
    missing = [c.name for c in manifest.columns if c.required and c.name not in rows.schema.names]
    if missing:
        found = ", ".join(rows.schema.names[:30])
        raise InputUnusable(
            f"{rows.file.name} has no column {', '.join(map(repr, missing))}, which {manifest.name} {manifest.version} "
            f"needs. It has: {found}{', …' if len(rows.schema) > 30 else ''}."
        )
    for column in manifest.columns:
        place = rows.schema.get_field_index(column.name)
        if place >= 0 and (problem := refused(column, rows.schema.field(place).type)):
            raise InputUnusable(f"{rows.file.name}: {problem} Convert it, or train on a table like this one.")


def _same(first: str, wanted: dict[str, pa.DataType], other: Rows) -> None:
    found = {field.name: field.type for field in other.schema}
    for name in [*wanted, *found]:
        if found.get(name) != wanted.get(name):
            has, had = (f"as {kind}" if kind else "not" for kind in (found.get(name), wanted.get(name)))
            raise InputUnusable(
                f"{other.file.name} has column '{name}' {has}, {first} {had}. "
                "The files of one batch must have the same columns: score them apart."
            )
