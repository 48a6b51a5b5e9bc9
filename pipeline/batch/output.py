"""Where a batch ends up: its output, beside it bad rows and a record, and a folder while it is under way."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from bundle import Manifest
from bundle.store import fsync_directory, replace_file
from pipeline.batch.checkpoint import ERRORS, ROWS, Draft, Plan
from pipeline.batch.csv_rows import CsvRows
from pipeline.batch.score import answer_fields, answer_types
from pipeline.batch.sink import CsvSink, ParquetSink, Sink
from pipeline.batch.source import COMPRESSED_ENDINGS, file_system, format_by_ending
from pipeline.batch.table import Table
from pipeline.errors import OutputUnusable

_RECORD = "batch.json"


class Record(msgspec.Struct, frozen=True):
    """What is left beside the output: what it was made of, and how it went."""

    input: str
    rows: int
    bad: int
    seconds: float
    plan: Plan


class Output:
    """One output; nothing half-written is ever seen under its name."""

    def __init__(self, address: str, state: Path) -> None:
        """`state` is where a batch is under way whose output is on another machine. Raises PipelineError."""
        self.system, self.path = file_system(address)
        self.local = isinstance(self.system, LocalFileSystem)
        self.address = address
        if address.endswith("/") or (self.local and Path(self.path).is_dir()):
            raise OutputUnusable(f"{address} is a folder. Name the file to write, such as scored.parquet.")
        ending = Path(self.path).suffix.lower()
        if ending in COMPRESSED_ENDINGS and not self.path.lower().endswith(".csv.gz"):
            raise OutputUnusable(f"{address}: of compressed files only .csv.gz is written. Name it so, or .parquet.")
        name = hashlib.sha256(address.encode()).hexdigest()[:16]
        self.draft = Draft(Path(f"{self.path}.batch") if self.local else state / "batch" / name)

    def format(self, table: Table) -> str:
        """By its ending; without one that says it, the input's."""
        return format_by_ending(self.path) or table.format

    def columns(self, table: Table, manifest: Manifest) -> tuple[pa.Schema, pa.Schema]:
        """The columns of the output: as readers get them, and as they come."""
        answers = answer_fields(manifest, table.schema.names)
        told = {b"homeport.model": manifest.name.encode(), b"homeport.version": manifest.version.encode()}
        coming = [f.with_type(kind) for f, kind in zip(answers, answer_types(manifest), strict=True)]
        return (
            pa.schema([*table.schema, *answers], {**(table.schema.metadata or {}), **told}),
            pa.schema([*table.read_schema, *coming]),
        )

    def sink(self, table: Table, manifest: Manifest) -> Sink:
        """What writes rows into the draft. Raises OutputUnusable if the format cannot hold a column."""
        schema, coming = self.columns(table, manifest)
        if self.format(table) == "parquet":
            return ParquetSink(self.draft, schema, coming)
        first = table.files[0]
        separator = first.separator if isinstance(first, CsvRows) else ","
        separator = "\t" if ".tsv" in Path(self.path).suffixes else separator
        return CsvSink(self.draft, coming, separator, self.path.lower().endswith(".gz"))

    def exists(self) -> bool:
        """Whether there is an output of that name."""
        return bool(self.system.exists(self.path))

    def record(self) -> Record | None:
        """What the record beside the output says."""
        try:
            return msgspec.json.decode(self.system.cat_file(f"{self.path}.{_RECORD}"), type=Record)
        except (OSError, msgspec.MsgspecError):
            return None

    def publish(self, source: str, plan: Plan) -> Record:
        """Give a draft that is complete its name. If this is cut short, it is done again."""
        progress = self.draft.progress
        record = Record(source, progress.rows, progress.bad, progress.seconds, plan)
        content = msgspec.json.format(msgspec.json.encode(record), indent=2)
        errors = ERRORS if progress.bad else None
        if self.local:
            self._move(errors, f"{self.path}.{ERRORS}")
            replace_file(Path(f"{self.path}.{_RECORD}"), content)
            self._move(ROWS, self.path)
        else:
            self._send(errors, f"{self.path}.{ERRORS}")
            self.system.pipe_file(f"{self.path}.{_RECORD}", content)
            self._send(ROWS, self.path)
        self.draft.remove()
        return record

    def _move(self, name: str | None, path: str) -> None:
        if name is None:
            Path(path).unlink(missing_ok=True)
        elif self.draft.path(name).exists():  # otherwise it is there already
            os.replace(self.draft.path(name), path)  # noqa: PTH105
            fsync_directory(Path(path).parent)

    def _send(self, name: str | None, path: str) -> None:
        system: Any = self.system
        if name is not None:
            system.put_file(str(self.draft.path(name)), f"{path}.partial")
            system.mv(f"{path}.partial", path)
        elif system.exists(path):
            system.rm_file(path)
