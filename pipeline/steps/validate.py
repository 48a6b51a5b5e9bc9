"""validate: the guardrails, and the table beside what the champion has learned from."""

from __future__ import annotations

import logging
from typing import Literal

import msgspec
import numpy as np
import pandas as pd

from bundle import Column
from bundle.drift import Baseline, psi, read_baseline
from pipeline.errors import DataRefused
from pipeline.steps.data import Data, request
from pipeline.steps.step import Context, Step
from pipeline.steps.version import Version
from trainer.columns import kind_of
from trainer.fit import Request
from trainer.guardrails import Inspected
from trainer.look import examine

log = logging.getLogger("homeport.pipeline")

MOVED = 0.25  # PSI from which on a column has moved a lot (see bundle.drift)
EMPTIER = 0.1  # share of the rows that are missing now and were not
FEWER = 0.5  # of the rows that the champion was trained from


class Validation(msgspec.Struct, frozen=True):
    """What to look at, and beside which version."""

    data: Data
    champion: Version | None


class Finding(msgspec.Struct, frozen=True):
    """What one check found."""

    check: str
    outcome: Literal["passed", "fixed", "alert"]
    detail: str


class Validated(msgspec.Struct, frozen=True):
    """A table that may be learned from."""

    rows: int
    columns: int
    findings: tuple[Finding, ...]


def validate(inputs: Validation, context: Context) -> Validated:
    """Raises DataRefused if clients' columns are gone or of another kind, TableError if nothing can be learned."""
    asked = request(inputs.data, context)
    inspected = examine(asked)
    findings = [Finding(f.check, f.outcome, f.detail) for f in inspected.findings]
    if inputs.champion is not None:
        findings += _beside(inputs.champion, asked, inspected, context)
    for finding in findings:
        if finding.outcome != "passed":
            level = logging.WARNING if finding.outcome == "alert" else logging.INFO
            log.log(level, "%s [%s]: %s", finding.check, finding.outcome, finding.detail)
    context.measured({"rows": len(inspected.frame), "alerts": sum(f.outcome == "alert" for f in findings)})
    return Validated(len(inspected.frame), inspected.frame.shape[1], tuple(findings))


def _beside(champion: Version, asked: Request, inspected: Inspected, context: Context) -> list[Finding]:
    folder = context.store.path(champion.model, champion.version)
    manifest = context.store.manifest(champion.model, champion.version)
    frame = asked.table.frame
    title = f"version {champion.version}"
    gone = [c.name for c in manifest.columns if c.name not in frame.columns]
    other = [
        f"{c.name} (a {c.kind} there, a {kind_of(frame[c.name])} here)"
        for c in manifest.columns
        if c.name in frame.columns and not _same_kind(c, frame[c.name])
    ]
    if gone or other:
        parts = [f"no longer there: {', '.join(gone)}"] if gone else []
        parts += [f"of another kind: {', '.join(other)}"] if other else []
        raise DataRefused(
            f"The table does not fit {title}, the champion, whose clients send these columns; {'; '.join(parts)}. "
            "Mend the table, or give the model another name."
        )
    new = sorted(set(inspected.frame.columns) - {c.name for c in manifest.columns} - set(asked.drop))
    before, rows = manifest.fingerprint.rows, len(inspected.frame)
    emptier = [
        f"{c.name} {frame[c.name].isna().mean():.0%} (was {c.missing_share:.0%})"
        for c in manifest.columns
        if frame[c.name].isna().mean() > c.missing_share + EMPTIER
    ]
    moved = _moved(read_baseline(folder), frame)
    return [
        _finding("Columns", new, f"new beside {title}"),
        Finding("Rows", "alert" if rows < FEWER * before else "passed", f"{rows:,}; {title} had {before:,}"),
        _finding("Missing values grown", emptier, f"beside {title}"),
        _finding("Distribution", moved, f"moved from what {title} has learned from (PSI ≥ {MOVED})"),
    ]


def _same_kind(column: Column, series: pd.Series) -> bool:
    return kind_of(series) == column.kind or bool(series.isna().all())


def _finding(check: str, named: list[str], detail: str) -> Finding:
    return Finding(check, "alert", f"{', '.join(named)}: {detail}") if named else Finding(check, "passed", "none")


def _moved(baseline: Baseline | None, frame: pd.DataFrame) -> list[str]:
    found = []
    for name, distribution in (baseline.columns if baseline else {}).items():
        values = frame[name].astype(object).where(frame[name].notna(), None).to_numpy()
        if distribution.categories is None:
            values = frame[name].to_numpy(dtype="float64", na_value=np.nan)
        value = psi(distribution.expected, distribution.count(values))
        if value >= MOVED:
            found.append(f"{name} {value:.2f}")
    return found


VALIDATE = Step(
    "validate", validate, Validated, ("trainer", "bundle", "pipeline.steps.validate"), "any run", timeout=900
)
