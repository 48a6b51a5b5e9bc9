"""AutoML systems on the same tables, at equal time: test metric, training time, size, and cost of a prediction.

Every system sees the same training rows and runs alone on the machine, as a program in its own environment.
Finished runs are kept in `docs/benchmarks/automl.json`, and are not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import msgspec
import numpy as np
import pandas as pd
import platformdirs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.automl import report
from benchmarks.automl.results import Run, read_runs, write_runs
from benchmarks.automl.systems import SYSTEMS, System
from benchmarks.automl.tables import TABLES, Known
from benchmarks.environments import ROOT, EnvironmentFailed, environment, versions
from benchmarks.machine import machine
from trainer.dataset import DATASETS, locate, read_dataset
from trainer.errors import DatasetError
from trainer.metrics import METRICS, Array

DOCUMENTS = ROOT / "docs" / "benchmarks"
CORES = os.cpu_count() or 1
PATIENCE = 5  # times the budget, and five minutes
QUIET = {
    "GOMP_SPINCOUNT": "0"
}  # OpenMP's threads, which wait by spinning, would treble what one row costs their owners

_EXAMPLES = """examples:
  make bench-automl                                                   all of it (hours); goes on where it was stopped
  make bench-automl BENCH="--budgets 60 --tables titanic penguins"    a part of it
  make bench-automl BENCH=--report                                    the document anew from what was measured
"""


class Failed(Exception):
    """A system ended without a result; the message is what it said last."""


@dataclass(frozen=True)
class Task:
    """One run that is to be made."""

    system: System
    table: Known
    budget: float
    seed: int

    @property
    def key(self) -> tuple[str, str, float, int]:
        """As `Run.key`."""
        return self.system.name, self.table.name, self.budget, self.seed

    def __str__(self) -> str:
        return f"{self.system.title} on {self.table.name}, {self.budget:g} s, seed {self.seed}"


def main() -> int:
    """Run what has not been run, and write the document."""
    arguments = _arguments()
    console = Console(stderr=True)
    runs = read_runs(arguments.documents / "automl.json")
    known = {run.key for run in runs}
    todo = [] if arguments.report else [task for task in _wanted(arguments) if task.key not in known]
    try:
        bank = _bank(arguments.bank) if any(task.table.bank for task in todo) else Path()
        failures = _run(todo, bank, runs, arguments.documents / "automl.json", console)
    except KeyboardInterrupt:
        console.print("Stopped. What was finished is kept: the same command goes on.")
        return 130
    except DatasetError as error:
        console.print(f"{error}\nGive the file with --bank.", style="red", markup=False, highlight=False)
        return 1
    if runs:
        report.write(runs, arguments.documents)
    for failure in failures:
        console.print(failure, style="red", markup=False, highlight=False)
    return 1 if failures else 0


def measure(system: System, table: Known, frame: pd.DataFrame, budget: float, seed: int) -> Run:
    """One system on one split of one table. Raises Failed, EnvironmentFailed."""
    programs = environment(system.environment)
    train, test = table.split(frame, seed)
    with tempfile.TemporaryDirectory(prefix="homeport-automl-") as work:
        folder = Path(work)
        train.to_csv(folder / "train.csv", index=False)
        test.drop(columns=table.target).to_csv(folder / "test.csv", index=False)
        job = {"target": table.target, "task": table.task, "metric": table.metric}
        (folder / "job.json").write_text(json.dumps(job | {"budget": budget, "seed": seed, "cores": CORES}))
        # this package alone is on the path: a library that looks for its `datasets` must not find ours
        (folder / "path").mkdir()
        (folder / "path" / "benchmarks").symlink_to(ROOT / "benchmarks")
        command = [str(programs / "python"), "-m", f"benchmarks.automl.systems.{system.name}", str(folder / "job.json")]
        environ = os.environ | QUIET | {"PYTHONPATH": str(folder / "path")}
        patience = PATIENCE * budget + 300
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=patience, cwd=work, env=environ
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"it did not end within {patience:.0f} s.") from error
        if done.returncode:
            raise Failed(done.stderr[-2000:].strip() or f"it ended with {done.returncode}, and said nothing.")
        result = json.loads((folder / "result.json").read_text())
        outputs = np.load(folder / "outputs.npy")
    return Run(
        system=system.name,
        table=table.name,
        budget=budget,
        seed=seed,
        score=score(table, test[table.target], outputs, result.pop("classes")),
        versions=versions(programs, system.distributions),
        machine=f"{machine()}, {CORES} cores",
        python=platform.python_version(),
        **result,
    )


def score(table: Known, truth: pd.Series, outputs: Array, classes: Sequence[str]) -> float:
    """The table's metric of what a system predicted. Raises Failed if it lacks a class or a number."""
    metric = METRICS[table.metric]
    if not np.isfinite(outputs).all():
        raise Failed("it predicted what is no number.")
    if table.task == "regression":
        return metric.function(truth.to_numpy(dtype="float64"), outputs.reshape(-1))
    places = truth.astype(str).map({label: place for place, label in enumerate(classes)})
    if places.isna().any():
        raise Failed(f"it knows the classes {', '.join(classes)}, and not {truth[places.isna()].iloc[0]}.")
    return metric.function(places.to_numpy(dtype="int64"), outputs)


def _run(todo: Sequence[Task], bank: Path, runs: list[Run], file: Path, console: Console) -> list[str]:
    """Make each run, and keep it at once; what fails does not stop the others."""
    failures = []
    unusable: set[str | None] = set()
    columns = TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=len(todo))
        for task in todo:
            progress.update(bar, description=str(task))
            try:
                if task.system.environment not in unusable:
                    frame = task.table.read(bank)
                    runs.append(measure(task.system, task.table, frame, task.budget, task.seed))
                    write_runs(file, runs)
            except Failed as error:
                failures.append(f"{task} failed: {error}")
            except EnvironmentFailed as error:
                unusable.add(task.system.environment)
                failures.append(f"{task.system.title} has no environment: {error}")
            progress.advance(bar)
    return failures


def _wanted(arguments: argparse.Namespace) -> list[Task]:
    """All runs: the short budgets and one seed of everything first."""
    return [
        Task(SYSTEMS[name], table, budget, seed)
        for budget in arguments.budgets
        for seed in range(arguments.seeds)
        for name in arguments.systems or SYSTEMS
        if arguments.systems or budget >= SYSTEMS[name].least
        for table in TABLES
        if table.name in arguments.tables
    ]


def _bank(given: Path | None) -> Path:
    """Azure's file of Bank Marketing: as given, or as Homeport downloads it for `make up`. Raises DatasetError."""
    dataset = read_dataset(DATASETS / "bank-marketing.toml")
    file = msgspec.structs.replace(dataset, sources=dataset.sources[:1], sample=None)
    return locate(file, DATASETS, platformdirs.user_cache_path("homeport"), lambda _: None, given, progress=False).path


def _arguments() -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.automl", description=__doc__, epilog=_EXAMPLES, formatter_class=formatter
    )
    names = [table.name for table in TABLES]
    budgets, usual = [60.0, 300.0], "all, from the budget on that each is meant for"
    parser.add_argument("--budgets", type=float, nargs="+", default=budgets, metavar="SECONDS", help="default: 60 300")
    parser.add_argument("--seeds", type=int, default=3, help="how many splits of each table (default: 3)")
    parser.add_argument("--tables", nargs="+", choices=names, default=names, metavar="TABLE", help=", ".join(names))
    parser.add_argument(
        "--systems", nargs="+", choices=SYSTEMS, metavar="SYSTEM", help=f"{', '.join(SYSTEMS)} (default: {usual})"
    )
    parser.add_argument(
        "--bank", type=Path, help="Azure's file of Bank Marketing (default: the one in Homeport's cache)"
    )
    parser.add_argument("--report", action="store_true", help="run nothing, write the document anew")
    parser.add_argument(
        "--documents", type=Path, default=DOCUMENTS, help="folder of automl.md (default: docs/benchmarks)"
    )
    return parser.parse_args()


def _stop(_: int, __: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)  # as Ctrl-C: the system that runs must end, too
    sys.exit(main())
