"""AutoML systems on the same tables, at equal time: test metric, training time, size, and cost of a prediction.

Every system sees the same training rows and runs alone on the machine, as a program in its own environment.
Finished runs are kept in `docs/benchmarks/automl.json`, and are not run again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.automl import report
from benchmarks.automl.results import Run, read_runs, write_runs
from benchmarks.automl.systems import SYSTEMS, System
from benchmarks.automl.tables import TABLES, Known
from benchmarks.environments import ROOT, EnvironmentFailed, environment, versions
from trainer.metrics import METRICS, Array

DOCUMENTS = ROOT / "docs" / "benchmarks"
PROGRAMS = Path(__file__).parent / "systems"
BANK = ROOT.parent / "shared" / "data" / "bankmarketing_train.csv.gz"
CORES = 2
PATIENCE = 5  # times the budget, and five minutes

_EXAMPLES = """examples:
  make bench-automl                                                  all of it (hours); goes on where it was stopped
  python -m benchmarks.automl --budgets 60 --tables titanic penguins  a part of it
  python -m benchmarks.automl --report                               the document anew from what was measured
"""


class Failed(Exception):
    """A system ended without a result; the message is what it said last."""


def main() -> int:
    """Run what has not been run, and write the document."""
    arguments = _arguments()
    console = Console(stderr=True)
    file = DOCUMENTS / "automl.json"
    runs = read_runs(file)
    known = {run.key for run in runs}
    wanted = [
        (budget, seed, table, SYSTEMS[name])
        for budget, seed, name in itertools.product(arguments.budgets, range(arguments.seeds), arguments.systems)
        for table in TABLES
        if table.name in arguments.tables
    ]
    todo = [] if arguments.report else [w for w in wanted if (w[3].name, w[2].name, w[0], w[1]) not in known]
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
    try:
        with bar:
            task = bar.add_task("", total=len(todo))
            for budget, seed, table, system in todo:
                bar.update(task, description=f"{system.title} on {table.name}, {budget:.0f} s, seed {seed}")
                runs.append(measure(system, table, arguments.bank, budget, seed))
                write_runs(file, runs)
                bar.advance(task)
    except KeyboardInterrupt:
        console.print("Stopped. What was finished is kept: the same command goes on.")
        return 130
    except (Failed, EnvironmentFailed) as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return 1
    report.write(runs, DOCUMENTS)
    return 0


def measure(system: System, table: Known, bank: Path, budget: float, seed: int) -> Run:
    """One system on one split of one table. Raises Failed, EnvironmentFailed."""
    python = environment(system.environment) / "python"
    train, test = table.split(table.read(bank), seed)
    with tempfile.TemporaryDirectory(prefix="homeport-automl-") as work:
        folder = Path(work)
        train.to_csv(folder / "train.csv", index=False)
        test.drop(columns=table.target).to_csv(folder / "test.csv", index=False)
        job = {"target": table.target, "task": table.task, "metric": table.metric}
        (folder / "job.json").write_text(json.dumps(job | {"budget": budget, "seed": seed, "cores": CORES}))
        command = [str(python), str(PROGRAMS / f"{system.name}.py"), str(folder / "job.json")]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE * budget + 300, cwd=work)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{system.title} did not end on {table.name}.") from error
        if done.returncode:
            raise Failed(f"{system.title} failed on {table.name}:\n{done.stderr[-2000:]}")
        result = json.loads((folder / "result.json").read_text())
        outputs = np.load(folder / "outputs.npy")
    return Run(
        system=system.name,
        table=table.name,
        budget=budget,
        seed=seed,
        score=_score(table, test[table.target], outputs, result.pop("classes")),
        versions=versions(python.parent, system.distributions),
        **result,
    )


def _score(table: Known, truth: pd.Series, outputs: Array, classes: list[str]) -> float:
    metric = METRICS[table.metric]
    if table.task == "regression":
        return metric.function(truth.to_numpy(dtype="float64"), outputs.reshape(-1))
    places = {label: place for place, label in enumerate(classes)}
    return metric.function(truth.astype(str).map(places).to_numpy(dtype="int64"), outputs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.automl", description=__doc__, epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    names = [table.name for table in TABLES]
    parser.add_argument("--budgets", type=float, nargs="+", default=[60.0, 300.0], metavar="SECONDS")
    parser.add_argument("--seeds", type=int, default=3, help="how many splits of each table (default: 3)")
    parser.add_argument("--tables", nargs="+", choices=names, default=names, metavar="TABLE", help=", ".join(names))
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="SYSTEM")
    parser.add_argument("--bank", type=Path, default=BANK, help="the file of Bank Marketing (default: %(default)s)")
    parser.add_argument("--report", action="store_true", help="run nothing, write the document anew")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
