"""The training job on a terminal: a live bar and leaderboard; on anything else, plain lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from bundle import Manifest
from bundle.manifest import Holdout
from trainer.candidates import Candidate
from trainer.contest import STAGES
from trainer.guardrails import Finding
from trainer.search import Trial

_OUTCOME = {"passed": "[green]passed[/]", "fixed": "[cyan]fixed[/]", "alert": "[yellow]alert[/]"}


def figure(value: float) -> str:
    """A metric with the digits that mean something."""
    return f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.0f}"


class ConsoleWatcher:
    """A `trainer.fit.Watcher` that shows what happens. Use as a context manager."""

    def __init__(self, console: Console, budget: float | None, max_trials: int | None) -> None:
        self._console = console
        self._by_trials = max_trials is not None
        self._total = float(max_trials or budget or 0.0)
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(30), TimeElapsedColumn(), console=console
        )
        self._task = self._progress.add_task("Looking at the table", total=None)
        self._best: dict[str, Trial] = {}
        self._live = Live(self, console=console, transient=True, refresh_per_second=8)
        self._started = 0.0
        self._searching = self._timed = False

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __rich__(self) -> Group:
        if self._timed:
            self._progress.update(self._task, completed=min(time.monotonic() - self._started, self._total))
        return Group(self._leaderboard(), self._progress) if self._searching and self._best else Group(self._progress)

    def guardrails(self, findings: Sequence[Finding]) -> None:
        """Print the findings as a table."""
        table = Table("guardrail", "outcome", "detail", title="Data guardrails", title_justify="left", box=None)
        for finding in findings:
            table.add_row(finding.check, _OUTCOME[finding.outcome], escape(finding.detail))
        self._console.print(table, "")

    def stage(self, title: str) -> None:
        """Show the next part of the job."""
        self._searching, self._timed = title == STAGES[1], title in STAGES and not self._by_trials
        if title == STAGES[0]:
            self._started, self._best = time.monotonic(), {}
        if self._searching:
            title = "Search (Ctrl-C keeps the best so far)"
        elif not self._console.is_terminal:
            self._console.print(title)
        bar = self._total if self._searching or self._timed else None
        self._progress.update(self._task, description=title, completed=0, total=bar)

    def trial(self, trial: Trial) -> None:
        """Move the bar; keep the best trial of each learner."""
        known = self._best.get(trial.learner)
        improved = trial.score == trial.best and all(trial.best != other.best for other in self._best.values())
        if known is None or improved or abs(trial.score - trial.best) < abs(known.score - trial.best):
            self._best[trial.learner] = trial
        if improved and not self._console.is_terminal:
            self._console.print(
                f"trial {trial.number}: {trial.learner} {figure(trial.score)} after {trial.elapsed:.0f} s"
            )
        description = f"Trial {trial.number}, best {figure(trial.best)} (Ctrl-C keeps it)"
        self._progress.update(self._task, description=description)
        if self._by_trials:
            self._progress.update(self._task, completed=trial.number)

    def candidate(self, candidate: Candidate) -> None:
        """Name the candidate that was scored last."""
        self._progress.update(self._task, description=f"Out of fold: {candidate.name} {figure(candidate.score)}")
        if not self._console.is_terminal and candidate.recipe:
            self._console.print(f"{candidate.name}: {figure(candidate.score)} out of fold, {candidate.seconds:.1f} s")

    def _leaderboard(self) -> Table:
        table = Table("trial", "learner", "metric", "best so far", "time", box=None)
        best = next(reversed(list(self._best.values()))).best
        for trial in sorted(self._best.values(), key=lambda trial: abs(trial.score - best)):
            table.add_row(
                str(trial.number), trial.learner, figure(trial.score), figure(trial.best), f"{trial.elapsed:.1f} s"
            )
        return table


def print_result(console: Console, manifest: Manifest, folder: str) -> None:
    """The final leaderboard, the metrics beside their baselines, and where the bundle is."""
    training = manifest.training
    board = Table("candidate", training.metric, "time", box=None)
    for heading in ("µs a row", "size"):
        board.add_column(heading, justify="right")
    for row in training.leaderboard:
        style = "bold green" if row.chosen else None
        speed = "" if row.row_us is None else f"{row.row_us:.2f}"
        size = "" if row.size is None else f"{row.size / 1000:,.0f} kB"
        board.add_row(escape(row.candidate), figure(row.metric), f"{row.seconds:.1f} s", speed, size, style=style)
    # no titles of the tables: a title is wrapped to the width of its table
    title = f"Leaderboard, {training.folds}-fold out of fold on {training.train_rows:,} rows"
    console.print("", Text(title, "italic"), board, "")
    metrics = Table("metric", "this model", *manifest.baselines, box=None)
    for name in manifest.headline:
        others = [figure(baseline[name]) if name in baseline else "" for baseline in manifest.baselines.values()]
        metrics.add_row(name, figure(manifest.metrics[name]), *others)
    console.print(
        Text(f"On {training.test_rows:,} untouched test rows{_which(training.holdout)}", "italic"), metrics, ""
    )
    if manifest.repeats:
        console.print(Text(_repeats_title(manifest), "italic"), _repeats(manifest), "")
    parity = manifest.parity
    rows = parity.clean_rows + parity.damaged_rows + parity.adversarial_rows
    console.print(
        f"Parity over {rows:,} rows: {parity.flips} labels differ, largest difference {parity.max_difference:.1e}.\n"
        f"{training.trials} trials{' (ended by you)' if training.interrupted else ''}, {training.seconds:.0f} s. "
        f"Bundle: {escape(folder)} (open report.html there).",
        highlight=False,
    )


def _which(holdout: Holdout) -> str:
    if holdout.way == "time":
        return f", the latest by '{holdout.column}' (after {holdout.after})"
    return f", those of {holdout.source}" if holdout.way == "given" else ""


def _repeats_title(manifest: Manifest) -> str:
    count = len(next(iter(manifest.repeats.values())).values)
    way = "earlier window" if manifest.training.holdout.way == "time" else "further split"
    return f"On {count} {way}{'s' * (count > 1)}, each searched anew"


def _repeats(manifest: Manifest) -> Table:
    """The model beside what needs no search, over the same splits."""
    baselines = manifest.repeated_baselines
    table = Table("metric", "mean", "sd", *(f"{name}, mean" for name in baselines), box=None)
    for name in manifest.headline:
        if spread := manifest.repeats.get(name):
            others = [figure(given[name].mean) if name in given else "" for given in baselines.values()]
            deviation = figure(spread.sd) if len(spread.values) > 1 else "-"
            table.add_row(name, figure(spread.mean), deviation, *others)
    return table
