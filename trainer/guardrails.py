"""Looks at a table before anything learns from it: what is wrong, what was done about it.

Each check gives one finding: passed, fixed (something was left out or changed) or alert (the user
should look).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from bundle import FLOAT32_MAX
from bundle.manifest import Task
from trainer.columns import MAX_CATEGORIES, kind_of, rebase_offset
from trainer.errors import TableError
from trainer.instants import DATE, instants
from trainer.metrics import Array
from trainer.target import TINY, Target, read_target

IMBALANCE = 0.2  # smallest class / largest class, as Azure's guardrail has it
TEXT_SHARE = 0.5  # distinct / present: above it a string column is text or a key
MIN_ROWS = 30

_KEY_NAME = re.compile(r"(?i:(^|[_\W])(id|uuid|guid|key|index|rownum(ber)?)$|^unnamed|^id([_\W]|$))|[a-z]I[dD]$")


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    outcome: Literal["passed", "fixed", "alert"]
    detail: str

    def __str__(self) -> str:
        return f"{self.check} [{self.outcome}]: {self.detail}"


@dataclass(frozen=True)
class Inspected:
    """The table that is left to learn from: `frame` without the target, `target` of equal length.

    `times` are the instants of its rows where a time column was named, `given` marks the rows of a test
    table: see `trainer.split`.
    """

    frame: pd.DataFrame
    target: Target
    findings: tuple[Finding, ...]
    times: Array | None = None
    given: Array | None = None


def inspect(
    frame: pd.DataFrame,
    target: str,
    task: Task | None,
    positive: object,
    drop: Sequence[str],
    time_column: str | None = None,
) -> Inspected:
    """Run all checks of the table. Raises TableError if nothing can be learned from what is left.

    The time column puts the rows in order and is left out, also where it holds plain numbers: in the test
    rows, and whenever the endpoint is asked, it is beyond all that was learned from, where a tree answers
    as at its edge. What of it comes again, such as month or weekday, is a column of its own.
    """
    for name in (target, *([time_column] if time_column is not None else [])):
        if name not in frame.columns:
            near = difflib.get_close_matches(name, list(frame.columns), n=1)
            hint = f" Did you mean '{near[0]}'?" if near else f" Its columns: {', '.join(frame.columns)}."
            raise TableError(f"The table has no column '{name}'.{hint}")
    if frame.shape[1] < 2:
        raise TableError(
            f"The table was read as one column, '{target}'. It needs columns to learn from, separated by comma, "
            "semicolon, tab or |."
        )
    if target in drop:
        raise TableError(f"The target '{target}' is also among the columns to drop.")
    if target == time_column:
        raise TableError(f"The target '{target}' is also the time column.")
    unknown = sorted(set(drop) - set(frame.columns))
    if unknown:
        raise TableError(f"The columns to drop are not in the table: {', '.join(unknown)}.")
    findings: list[Finding] = []
    clock = None if time_column is None else frame[time_column]
    frame = frame.drop(columns=list({*drop, *([] if time_column is None else [time_column])}))

    labelled = frame[target].notna()
    if labelled.sum() < MIN_ROWS:
        raise TableError(f"The table has {labelled.sum()} rows with a target; it needs at least {MIN_ROWS}.")
    outcome = read_target(frame.loc[labelled, target], task, positive)
    findings.append(_target(int((~labelled).sum()), outcome))
    frame = frame.loc[labelled].drop(columns=target)
    times = None if clock is None else instants(clock.loc[labelled].loc[outcome.kept])
    frame = _within_float32(frame.loc[outcome.kept].reset_index(drop=True))

    findings.append(_balance(outcome))
    findings.append(_missing(frame))
    findings.append(_duplicates(frame, outcome))
    for check, find, advice in (
        ("Constant columns", _constant, "left out: they say nothing"),
        ("Dates", _dates, "left out: derive numbers from them, such as age in days, month or weekday"),
        ("Identifiers and text", _identifiers, "left out: (nearly) every row has its own value"),
    ):
        named = find(frame)
        findings.append(_left_out(check, named, advice))
        frame = frame.drop(columns=named)
    findings.append(_cardinality(frame))
    findings.append(_timestamps(frame))
    if frame.shape[1] == 0:
        raise TableError("No column is left to learn from:\n  " + "\n  ".join(map(str, findings)))
    return Inspected(frame, outcome, tuple(findings), times)


def _within_float32(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers beyond float32 become the largest that it has, as in requests."""
    numbers = [name for name in frame.columns if kind_of(frame[name]) == "number"]
    frame[numbers] = frame[numbers].clip(-FLOAT32_MAX, FLOAT32_MAX)
    return frame


def _names(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _left_out(check: str, names: list[str], advice: str) -> Finding:
    return Finding(check, "fixed", f"{_names(names)}: {advice}") if names else Finding(check, "passed", "none")


def _target(unlabelled: int, target: Target) -> Finding:
    parts = []
    if unlabelled:
        parts.append(f"{unlabelled} rows without a target left out")
    if target.dropped_classes:
        parts.append(f"classes with too few rows left out: {_names(map(str, target.dropped_classes))}")
    kind = target.task if not target.classes else f"{target.task}, {len(target.classes)} classes"
    return Finding("Target", "fixed" if parts else "passed", "; ".join((f"{target.name} ({kind})", *parts)))


def _balance(target: Target) -> Finding:
    if not target.classes:
        return Finding("Class balance", "passed", "not a classification")
    counts = np.bincount(target.values, minlength=len(target.classes))
    least, most = int(counts.argmin()), int(counts.argmax())
    detail = (
        f"'{target.classes[least]}' is the smallest class with {counts[least]} of {counts.sum()} rows, "
        f"'{target.classes[most]}' the largest with {counts[most]}"
    )
    if counts[least] / counts[most] <= IMBALANCE:
        return Finding("Class balance", "alert", f"{detail}: compare accuracy with the majority class's")
    return Finding("Class balance", "passed", detail)


def _missing(frame: pd.DataFrame) -> Finding:
    shares = frame.isna().mean()
    shares = shares[shares > 0].sort_values(ascending=False)
    if shares.empty:
        return Finding("Missing values", "passed", "none")
    named = _names(f"{name} {share:.0%}" if share >= 0.005 else f"{name} <1%" for name, share in shares.items())
    return Finding("Missing values", "fixed", f"{named}: encoded as missing, imputed for forests and linear models")


def _duplicates(frame: pd.DataFrame, target: Target) -> Finding:
    count = int(pd.concat([frame, pd.Series(target.values)], axis=1).duplicated().sum())
    if not count:
        return Finding("Duplicate rows", "passed", "none")
    level: Literal["alert", "passed"] = "alert" if count > 0.01 * len(frame) else "passed"
    return Finding("Duplicate rows", level, f"{count} repeat an earlier row: they may stand on both sides of the split")


def _constant(frame: pd.DataFrame) -> list[str]:
    """Also numbers that differ by less than what float32 can scale."""

    def is_constant(series: pd.Series) -> bool:
        if kind_of(series) == "number" and series.notna().all() and series.max() - series.min() < TINY:
            return True
        return series.nunique(dropna=False) < 2

    return [name for name in frame.columns if is_constant(frame[name])]


def _dates(frame: pd.DataFrame) -> list[str]:
    def is_date(series: pd.Series) -> bool:
        if pd.api.types.is_datetime64_any_dtype(series.dtype):
            return True
        if kind_of(series) != "category":
            return False
        present = series.dropna().iloc[:500]
        return bool(len(present)) and present.map(lambda text: bool(DATE.fullmatch(text))).mean() > 0.95

    return [name for name in frame.columns if is_date(frame[name])]


def _identifiers(frame: pd.DataFrame) -> list[str]:
    def is_identifier(name: str, series: pd.Series) -> bool:
        present = series.dropna()
        distinct = present.nunique()
        if kind_of(series) == "category":
            return distinct > max(TEXT_SHARE * len(present), 20)
        if kind_of(series) == "boolean" or distinct < len(frame):
            return False
        numbers = present.to_numpy(dtype="float64")
        whole = bool((numbers == np.round(numbers)).all())
        numbered = series.is_monotonic_increasing and numbers.max() - numbers.min() == len(numbers) - 1
        return whole and (numbered or bool(_KEY_NAME.search(name)))

    return [name for name in frame.columns if is_identifier(name, frame[name])]


def _cardinality(frame: pd.DataFrame) -> Finding:
    many = [
        name for name in frame.columns if kind_of(frame[name]) == "category" and frame[name].nunique() > MAX_CATEGORIES
    ]
    if not many:
        return Finding("High cardinality", "passed", f"no column has more than {MAX_CATEGORIES} categories")
    return Finding(
        "High cardinality", "fixed", f"{_names(many)}: beyond the {MAX_CATEGORIES} most frequent, categories are pooled"
    )


def _timestamps(frame: pd.DataFrame) -> Finding:
    named = [
        name
        for name in frame.columns
        if kind_of(frame[name]) == "number" and rebase_offset(frame[name].to_numpy(dtype="float64"))
    ]
    if not named:
        return Finding("Timestamps and large numbers", "passed", "none that float32 cannot tell apart")
    return Finding(
        "Timestamps and large numbers",
        "fixed",
        f"{_names(named)}: counted from their median, so that float32 keeps them apart",
    )
