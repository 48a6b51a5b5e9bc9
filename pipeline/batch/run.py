"""A batch: all rows of the input scored by one model, in order, and resumable at any moment."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import numpy as np
import pyarrow as pa

from bundle import Manifest, __version__
from bundle.manifest import MANIFEST_DIGEST
from bundle.model import Model
from bundle.read import verify
from pipeline.batch.checkpoint import ERRORS, ROWS, Plan, Progress
from pipeline.batch.engines import Engine, Threads
from pipeline.batch.minibatch import MiniBatch
from pipeline.batch.output import Output, Record
from pipeline.batch.score import Scored
from pipeline.batch.source import digest, find
from pipeline.batch.table import Table, read_table
from pipeline.errors import OutputUnusable, TooManyBadRows

_ROWS = 32_768  # of a mini-batch, unless the table is wide
_CELLS = 1 << 20
_GROUP = 4  # mini-batches of that size between two checkpoints


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    input: str
    output: str
    bundle: Path
    mini_batch_size: int | None = None  # rows; None: 32,768, fewer of a wide table
    error_threshold: int = -1  # rows that may be bad; -1: any number
    scheduler: str | None = None  # address of a Dask scheduler; None: the threads of this process
    overwrite: bool = False
    state: Path = Path(".homeport")  # where a batch under way is kept if its output is on another machine
    threads: int | None = None  # None: as many as cores
    checkpoint_rows: int | None = None  # rows between two checkpoints, and of a row group; None: four mini-batches


class Watcher(Protocol):
    """Is told how far it is."""

    def began(self, manifest: Manifest, total: int, progress: Progress, anew: str) -> None:
        """It goes on from there, of so many bytes; or starts anew because something differs."""

    def advanced(self, progress: Progress) -> None:
        """Some mini-batches further."""


@dataclass(frozen=True)
class Result:
    """What became of it."""

    record: Record
    errors: str | None  # where bad rows are, if there are any
    done: Literal["now", "before"]


def run(request: Request, watcher: Watcher) -> Result:
    """Score a batch, or go on with it. Raises PipelineError, BundleError, OSError.

    Whatever it raises, and with KeyboardInterrupt too: the same request goes on at the last checkpoint.
    """
    manifest = verify(request.bundle)
    output = Output(request.output, request.state)
    files = find(request.input, output.path)
    table = read_table(files, manifest)
    plan = Plan(
        input=digest(files),
        model=manifest.name,
        version=manifest.version,
        manifest=(request.bundle / MANIFEST_DIGEST).read_text().split()[0],
        format=output.format(table),
        mini_batch_size=request.mini_batch_size or default_size(table),
        homeport=__version__,
    )
    with output.draft.locked() as draft:
        found = draft.read()
        differs = found.plan.differs(plan) if found else ""
        named = found is not None and found.progress.complete and not differs and not draft.path(ROWS).exists()
        if output.exists() and not request.overwrite and not named:
            record = output.record()
            if record and record.plan == plan:
                draft.remove()
                return _result(request, record, "before")
            raise OutputUnusable(
                f"{request.output} is there already, and of something else. Give another name, or --overwrite."
            )
        draft.begin(plan, None if differs else found)
        if not draft.progress.complete:
            watcher.began(manifest, table.bytes, draft.progress, differs)
            _score(request, manifest, table, output, plan.mini_batch_size, watcher)
        return _result(request, output.publish(request.input, plan), "now")


def _result(request: Request, record: Record, done: Literal["now", "before"]) -> Result:
    return Result(record, f"{request.output}.{ERRORS}" if record.bad else None, done)


def default_size(table: Table) -> int:
    """Rows of a mini-batch: fewer where there are many columns."""
    return max(256, min(_ROWS, _CELLS // len(table.schema)))


def _score(request: Request, manifest: Manifest, table: Table, output: Output, size: int, watcher: Watcher) -> None:
    group = _Group(output, table, manifest)
    began, start = time.monotonic(), output.draft.progress

    def commit(complete: bool = False) -> None:
        progress = group.commit(start.seconds + time.monotonic() - began, complete)
        watcher.advanced(progress)
        if 0 <= request.error_threshold < progress.bad:
            raise TooManyBadRows(
                f"{progress.bad:,} rows could not be scored, more than the {request.error_threshold:,} that "
                f"--error-threshold allows. {output.draft.path(ERRORS)} says which and why. Mend them, or allow more: "
                "then the same command goes on."
            )

    rows = request.checkpoint_rows or _GROUP * default_size(table)
    commit()  # a batch that had too many before has them still
    work = table.mini_batches(size, start.file, start.batches)
    with _engine(request) as engine, closing(engine.score(work)) as answered:
        for (place, batch), scored in answered:
            group.add(place, batch, scored)
            if group.rows >= rows or 0 <= request.error_threshold < group.progress.bad:
                commit()
    commit(complete=True)


class _Group:
    """Mini-batches since the last checkpoint."""

    def __init__(self, output: Output, table: Table, manifest: Manifest) -> None:
        self._draft = output.draft
        self._sink = output.sink(table, manifest)
        self._schema = output.columns(table, manifest)[1]
        self._begins = [0, *accumulate(rows.file.size for rows in table.files)]  # of each file, in bytes of all
        self._batches: list[pa.RecordBatch] = []
        self._failures: list[str] = []
        self.progress = self._draft.progress
        self.rows = 0  # also bad ones

    def add(self, place: int, batch: MiniBatch, scored: Scored) -> None:
        """Take one mini-batch and its answers."""
        kept, bad = batch.rows, np.unique(scored.failures.column("row").to_numpy())
        if len(bad):
            kept = kept.take(pa.array(np.setdiff1d(np.arange(kept.num_rows), bad)))
        self._batches.append(pa.RecordBatch.from_arrays([*kept.columns, *scored.answers.columns], schema=self._schema))
        if len(bad) or batch.rejected:
            self._failures.append(_failures(batch, scored))
        self.rows += batch.count
        before, (begin, end) = self.progress, self._begins[place : place + 2]
        self.progress = Progress(
            file=place,
            batches=before.batches + 1 if place == before.file else 1,
            rows=before.rows + kept.num_rows,
            bad=before.bad + len(bad) + len(batch.rejected),
            position=begin + batch.position * (end - begin),
        )

    def commit(self, seconds: float, complete: bool) -> Progress:
        """Write it and the checkpoint."""
        if self._batches:
            self._sink.write(self._batches)
        if self._failures:
            first = not self._draft.path(ERRORS).stat().st_size
            header = "file,row,column,value,reason\n" if first else ""
            self._draft.append(ERRORS, (lines.encode() for lines in (header, *self._failures)))
        if complete:
            self._sink.close()
        self._batches, self._failures, self.rows = [], [], 0
        self.progress = msgspec.structs.replace(self.progress, seconds=seconds, complete=complete)
        self._draft.commit(self.progress)
        return self.progress


def _failures(batch: MiniBatch, scored: Scored) -> str:
    """Lines of CSV, by row."""
    numbers = batch.numbers()
    found: list[tuple[int, str, str, str]] = [(row.number, "", row.value, row.reason) for row in batch.rejected]
    found += [(int(numbers[f["row"]]), f["column"], f["value"], f["reason"]) for f in scored.failures.to_pylist()]
    found.sort(key=lambda failure: failure[0])
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows((batch.file, *failure) for failure in found)
    return lines.getvalue()


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _engine(request: Request) -> Iterator[Engine]:
    if request.scheduler is None:
        yield Threads(Model(request.bundle), request.threads or _cores())
        return
    from pipeline.batch.on_dask import cluster

    with cluster(request.scheduler, request.bundle) as dask:
        yield dask
