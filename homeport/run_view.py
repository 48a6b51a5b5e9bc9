"""A run on a terminal: a line on the run, a table of its steps, and in the end what came of it."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from homeport.pipeline_records import Run, Step
from homeport.run_words import NOT_PROMOTED, duration, figures, mark, printable, tone, verdict

BAR = 16
STYLES = {
    "Running": "cyan", "Completed": "green", NOT_PROMOTED: "yellow", "Failed": "red", "Canceled": "yellow",
    "NotStarted": "dim", "Skipped": "dim",
}  # fmt: skip


def view(run: Run, note: str = "") -> Group:
    """All that is known of a run, with a `note` below it."""
    parts: list[RenderableType] = [_title(run), _steps(run)]
    if run.is_over:
        parts.append(Text(verdict(run), f"bold {STYLES.get(tone(run), '')}"))
    if run.page:
        parts.append(Text.assemble("Page: ", (printable(run.page), f"link {printable(run.page)}")))
    if note:
        parts.append(Text(printable(note), "yellow"))
    return Group(*parts)


def _title(run: Run) -> Text:
    experiment = f", {printable(run.experiment_name)}" if run.experiment_name else ""
    return Text.assemble(
        (printable(run.pipeline), "bold"),
        f"{experiment}: run {run.id}, ",
        (run.status, f"bold {STYLES.get(run.status, '')}"),
        f", {duration(run.seconds)}",
    )


def _steps(run: Run) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for step in run.steps:
        style = STYLES.get(step.status, "")
        status = "Reused" if step.reused else "" if step.status == "NotStarted" else step.status
        took = "" if step.reused or step.status in ("NotStarted", "Skipped") else duration(step.seconds)
        name = Text(printable(step.name), "dim" if step.status == "NotStarted" else "")
        table.add_row(Text(mark(step), style), name, Text(status, style), took, _told(step))
    return table


def _told(step: Step) -> RenderableType:
    """The bar of the search, the metrics so far, the error."""
    lines: list[RenderableType] = []
    if step.progress and step.status == "Running":
        if step.progress.share is not None:
            bar = Table.grid(padding=(0, 1, 0, 0))
            bar.add_row(ProgressBar(1.0, step.progress.share, width=BAR), f"{step.progress.share:.0%}")
            lines.append(bar)
        if step.progress.text:
            lines.append(Text(printable(step.progress.text), "cyan"))
    if step.message:
        lines.append(Text(printable(step.message), STYLES["Failed"] if step.status == "Failed" else ""))
    if step.metrics:
        lines.append(Text(figures(step.metrics)))
    return Group(*lines)
