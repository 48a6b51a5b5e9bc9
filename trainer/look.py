"""What is left of a request's tables to learn from, and all that is found in them before the search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from bundle.manifest import Holdout
from trainer.columns import kind_of
from trainer.errors import TableError
from trainer.fit import Request
from trainer.guardrails import Finding, Inspected, inspect
from trainer.instants import shown
from trainer.leak import leak
from trainer.metrics import Array
from trainer.split import row_digests, split
from trainer.table import Table, read_table


def look(request: Request) -> Inspected:
    """Rows and columns that are left, with the findings of the table alone. Raises TableError."""
    if request.test is not None and request.time_column is not None:
        raise TableError("The untouched rows are the latest ones or those of a test table: give one of the two.")
    frame, given = whole(request)
    inspected = inspect(frame, request.target, request.task, request.positive, request.drop, request.time_column)
    if given is None:
        return inspected
    return replace(inspected, given=given[frame[request.target].notna().to_numpy()][inspected.target.kept])


def examine(request: Request) -> Inspected:
    """The same, with all findings: also how the table was read, which rows are untouched, and the leak.

    Raises TableError, also for a repeat that has too few rows.
    """
    inspected = look(request)
    splits = [split(inspected, number) for number in range(request.repeats + 1)]
    train, test = splits[0]
    findings = [*inspected.findings]
    if request.table.guessed_encoding:
        guess = (
            f"read as {request.table.guessed_encoding}, which is a guess: save the table as UTF-8 if letters look wrong"
        )
        findings.insert(0, Finding("Encoding", "alert", guess))
    if inspected.times is not None:
        detail = f"the {len(test):,} latest by '{request.time_column}', after {shown(inspected.times[train].max())}; "
        findings.append(Finding("Test rows", "fixed", f"{detail}the column puts rows in order and is left out"))
    if request.test is not None:
        findings.append(_given(request.test, request.target, inspected, train, test))
    findings.append(leak(inspected.frame, inspected.target, train))
    return replace(inspected, findings=tuple(findings))


def holdout(request: Request, inspected: Inspected) -> Holdout:
    """How the untouched rows were chosen, for the manifest."""
    if request.test is not None:
        return Holdout(way="given", source=request.test.source, sha256=request.test.sha256)
    if inspected.times is None:
        return Holdout()
    train = split(inspected, 0)[0]
    return Holdout(way="time", column=request.time_column or "", after=shown(inspected.times[train].max()))


def whole(request: Request) -> tuple[pd.DataFrame, Array | None]:
    """All rows with all columns of the table; the rows of a test table are below and marked. Raises TableError."""
    frame = request.table.frame
    if request.test is None:
        return frame, None
    names = [name for name in frame.columns if name not in request.drop]
    gone = [name for name in names if name not in request.test.frame.columns]
    if gone:
        raise TableError(
            f"The test table {request.test.source} lacks columns of the training table: {', '.join(gone)}."
        )
    test = pd.DataFrame({name: _alike(request.test, name, frame[name]) for name in names}, copy=False)
    given = np.repeat([False, True], [len(frame), len(test)])
    return pd.concat([frame, test], ignore_index=True), given


def read_test(path: Path, table: Table) -> Table:
    """Read a test table; what is text in the training table stays text. Raises TableError."""
    return read_table(path, text=[name for name in table.frame.columns if kind_of(table.frame[name]) == "category"])


def _alike(test: Table, name: str, column: pd.Series) -> pd.Series:
    """A column of the test table as one of the training table's kind."""
    series = test.frame[name]
    if series.isna().all() or column.isna().all():
        return series.astype(object) if kind_of(column) == "category" else series
    if kind_of(series) != kind_of(column):
        raise TableError(
            f"The column '{name}' is a {kind_of(series)} in the test table {test.source}, such as "
            f"{series.dropna().iloc[0]!r}, and a {kind_of(column)} in the training table."
        )
    dates = [pd.api.types.is_datetime64_any_dtype(each.dtype) for each in (series, column)]
    if dates[0] != dates[1]:
        raise TableError(f"The column '{name}' holds dates in one of the two tables and text in the other.")
    return series


def _given(table: Table, target: str, inspected: Inspected, train: Array, test: Array) -> Finding:
    parts = [f"{len(test):,} of {table.source}"]
    unlabelled = int(table.frame[target].isna().sum())
    if unlabelled:
        parts.append(f"{unlabelled:,} without a target left out")
    digests = row_digests(inspected.frame, 0)
    known = int(np.isin(digests[test], digests[train]).sum())
    if known:
        parts.append(f"{known:,} are in the training table too, where the model learns them")
    often = known > 0.01 * len(test)
    return Finding("Test rows", "alert" if often else "fixed" if unlabelled else "passed", "; ".join(parts))
