"""How a run is put into words, wherever it is shown: marks, times, figures, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from homeport.pipeline_records import Run, Step

SHOWN_METRICS = 3
REUSED = "↺"
NOT_PROMOTED = "NotPromoted"
_MARKS = {"NotStarted": "○", "Running": "●", "Completed": "✓", "Failed": "✗", "Skipped": "–"}
_FIRST = ("roc_auc", "AUC_weighted", "accuracy", "log_loss", "r2_score", "root_mean_squared_error")
_DECIDING = ("promote", "compare", "prove", "evaluate")  # steps that may say why there is no new champion


def mark(step: Step) -> str:
    """A sign for the status of a step."""
    return REUSED if step.reused else _MARKS.get(step.status, "·")


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3 min 05 s`, `1 h 02 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def moment(iso: str | None) -> str:
    """A time (ISO 8601) as people read it, to the second; a zone that is not UTC is named."""
    if not iso:
        return "-"
    try:
        at = datetime.fromisoformat(iso)
    except ValueError:
        return printable(iso)
    return f"{at:%Y-%m-%d %H:%M:%S}{f' {at:%z}' if at.utcoffset() else ''}"


def figure(value: Any) -> str:
    """A metric with the digits that mean something."""
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.0f}"
    return printable(str(value))


def figures(metrics: Mapping[str, Any]) -> str:
    """The metrics that say most, and how many more there are."""
    single = {name: value for name, value in metrics.items() if isinstance(value, int | float | str)}
    ordered = sorted(single, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    text = "  ".join(f"{printable(name)} {figure(single[name])}" for name in ordered[:SHOWN_METRICS])
    more = len(metrics) - min(len(ordered), SHOWN_METRICS)
    return f"{text}  +{more}" if text and more else text


def far(step: Step) -> str:
    """How far a running step is, in words."""
    if step.progress is None:
        return ""
    share = "" if step.progress.share is None else f"{step.progress.share:.0%}"
    return ", ".join(part for part in (share, printable(step.progress.text)) if part)


def verdict(run: Run) -> str:
    """What came of a run that is over: what was promoted, or why nothing was."""
    message = printable(run.message)
    if run.status == "Failed":
        failed = next((step for step in run.steps if step.status == "Failed"), None)
        if failed is None:
            return f"Failed: {message or 'the service says no more'}"
        return f"Failed in step {failed.name}: {printable(failed.message) or message or 'see the logs'}"
    if run.status != "Completed":
        return f"{run.status}: {message}" if message else f"{run.status}."
    if run.promoted:
        return f"Promoted: version {run.model_version} is the champion."
    if run.promoted is None:
        return message or "Completed."
    said = (printable(step.message) for step in map(run.step, _DECIDING) if step)
    why = next(filter(None, said), message) or "the champion stays"
    version = f" version {run.model_version}" if run.model_version else ""
    return f"Not promoted{version}: {why}"


def tone(run: Run) -> str:
    """What the verdict is coloured by: the status, or that nothing was promoted."""
    return NOT_PROMOTED if run.status == "Completed" and run.promoted is False else run.status


def changes(before: Run | None, after: Run) -> Iterator[str]:
    """What has changed between two looks at a run, a line each."""
    if before is None:
        yield f"{printable(after.pipeline)}, run {after.id}: {after.status} ({printable(after.cause)})"
    elif before.status != after.status and not after.is_over:
        yield f"{printable(after.pipeline)}, run {after.id}: {after.status}"
    for step in after.steps:
        old = before.step(step.name) if before else None
        if (old.status if old else "NotStarted") != step.status:
            yield f"  {mark(step)} {_told(step)}"
        elif step.status == "Running" and old and _tenth(old) < _tenth(step):
            yield f"    {step.name}: {far(step)}"
    if after.is_over and (before is None or not before.is_over):
        yield f"{after.status} in {duration(after.seconds)}. {verdict(after)}"


def printable(text: str) -> str:
    """Text that cannot write elsewhere on a terminal: one line, without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text.strip())


def _told(step: Step) -> str:
    text = f"{step.name}: {step.status}"
    if step.reused:
        text += ", reused"
    elif step.status in ("Completed", "Failed"):
        text += f" in {duration(step.seconds)}"
    more = printable(step.message) or figures(step.metrics)
    return f"{text}; {more}" if more else text


def _tenth(step: Step) -> int:
    return int((step.progress.share or 0.0) * 10) if step.progress else 0
