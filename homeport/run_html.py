"""A run in a notebook: a table that needs no script, no style sheet, and neither light nor dark."""

from __future__ import annotations

from html import escape

from homeport.pipeline_records import Run, Step
from homeport.run_words import NOT_PROMOTED, duration, figures, mark, tone, verdict

_FAINT = "rgba(128,128,128,.3)"
_COLOURS = {
    "Running": "#2f81c7", "Completed": "#2e9d5d", NOT_PROMOTED: "#c08a1e", "Failed": "#d9534a",
    "Canceled": "#c08a1e", "NotStarted": "#8a8a8a", "Skipped": "#8a8a8a",
}  # fmt: skip
_CELL = f"text-align:left;vertical-align:top;padding:3px 14px 3px 0;border:0;border-bottom:1px solid {_FAINT}"
_TABLE = "border-collapse:collapse;margin:4px 0;background:none;color:inherit;font:inherit"
_FIGURE = "text-align:right;white-space:nowrap"


def html(run: Run, note: str = "") -> str:
    """All that is known of a run, with a `note` below it."""
    title = ", ".join(
        part
        for part in (
            f"<b>{escape(run.pipeline)}</b>",
            escape(run.experiment_name),
            f"run {escape(run.id)}",
            _coloured(run.status, run.status, bold=True),
            duration(run.seconds),
        )
        if part
    )
    head = "".join(f'<th style="{_CELL}">{name}</th>' for name in ("", "step", "status", "time", ""))
    rows = "".join(map(_row, run.steps))
    below = []
    if run.is_over:
        below.append(_coloured(verdict(run), tone(run), bold=True))
    if run.page.startswith(("http://", "https://")):
        below.append(
            f'<a href="{escape(run.page)}" target="_blank" rel="noopener" style="color:inherit">This run in Prefect</a>'
        )
    if note:
        below.append(escape(note))
    return (
        f'<div style="margin:4px 0">{title}</div>'
        f'<table style="{_TABLE}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>" + "".join(f'<div style="margin:4px 0">{line}</div>' for line in below)
    )


def _row(step: Step) -> str:
    status = "Reused" if step.reused else {"NotStarted": ""}.get(step.status, step.status)
    took = "" if step.reused or step.status in ("NotStarted", "Skipped") else duration(step.seconds)
    cells = (
        ("", _coloured(mark(step), step.status)),
        ("white-space:nowrap", escape(step.name)),
        ("", _coloured(status, step.status)),
        (_FIGURE, took),
        ("", _told(step)),
    )
    return "<tr>" + "".join(f'<td style="{_CELL};{more}">{content}</td>' for more, content in cells) + "</tr>"


def _told(step: Step) -> str:
    lines = []
    if step.progress and step.status == "Running":
        share = step.progress.share
        if share is not None:
            lines.append(_bar(share))
        if step.progress.text:
            lines.append(escape(step.progress.text))
    if step.message:
        lines.append(_coloured(step.message, step.status) if step.status == "Failed" else escape(step.message))
    if step.metrics:
        lines.append(escape(figures(step.metrics)))
    return "<br>".join(lines)


def _bar(share: float) -> str:
    width = round(min(max(share, 0.0), 1.0) * 100)
    return (
        f'<span style="display:inline-block;width:160px;height:8px;background:{_FAINT};border-radius:4px">'
        f'<span style="display:block;width:{width}%;height:8px;background:{_COLOURS["Running"]};border-radius:4px">'
        f"</span></span> {width}%"
    )


def _coloured(text: str, status: str, *, bold: bool = False) -> str:
    weight = ";font-weight:bold" if bold else ""
    return f'<span style="color:{_COLOURS.get(status, "inherit")}{weight}">{escape(text)}</span>'
