"""What a batch costs: `python -m benchmarks.batch --models DIR`.

In turn, in as many rounds: the bare runtimes on two threads, which score matrices that are encoded already and
neither read nor write; `homeport batch` as a whole process, from Parquet to Parquet and from CSV to CSV; and the same
on Dask with two workers of one thread each. All score the same rows, drawn from the bundle's golden ones column by
column.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from bundle import Matrix, Store
from bundle.manifest import Column, Value
from bundle.model import Model
from bundle.read import read_golden
from pipeline.batch.columns import Spelling, encoded
from pipeline.batch.output import Record

THREADS = 2
CHUNK = 32_768
BAR_SHARE, BAR_MB = 0.85, 600
_MEASURED = """
import re, sys
from homeport.__main__ import main
sys.argv = sys.argv[1:]
try:
    main()
except SystemExit as end:
    if end.code:
        raise
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""  # not ru_maxrss: it begins with the parent's
_DRAWN = 20_000  # different values of a column, at most


def main() -> None:
    """Measure, print, and leave with 1 if a bar is missed."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.batch", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder of the bundles")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without-dask", action="store_true")
    options = parser.parse_args()
    store = Store(options.models)
    bundle = store.champion_path(store.names()[0])
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(
            measure(
                bundle, options.models.absolute(), Path(folder), options.rows, options.rounds, not options.without_dask
            )
        )


def measure(bundle: Path, models: Path, folder: Path, rows: int, rounds: int, dask: bool) -> int:
    """All rounds; returns how many bars were missed."""
    compiled, session = Model(bundle), Model(bundle, compiled=False)
    table = drawn(compiled, bundle, rows)
    for times, name in ((1, "new"), (4, "fourfold")):
        with pq.ParquetWriter(folder / f"{name}.parquet", table.schema) as writer:
            for _ in range(times):
                writer.write_table(table, row_group_size=1 << 17)
    pa.csv.write_csv(table, folder / "new.csv")
    matrices = [encode(compiled.manifest.columns, batch) for batch in table.to_batches(CHUNK)]
    del table
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{compiled.manifest.name} {compiled.manifest.version}, {rows:,} rows, {rounds} rounds"
    )

    parquet, csv_ = "parquet, whole process", "csv, whole process"
    with workers(folder) if dask else no_workers() as address:
        runs: dict[str, Callable[[], Run]] = {
            "bare ONNX Runtime": lambda: bare(session, matrices),
            f"bare, as it serves ({compiled.runtime})": lambda: bare(compiled, matrices),
            parquet: lambda: process(folder, models, rows, "new.parquet", "here.parquet"),
            csv_: lambda: process(folder, models, rows, "new.csv", "here.csv"),
        }
        if address:
            runs["parquet, two workers of Dask"] = lambda: process(
                folder, models, rows, "new.parquet", "there.parquet", "--scheduler", address
            )
        found: dict[str, list[Run]] = {name: [] for name in runs}
        for turn in range(rounds):
            for name, run in runs.items():
                found[name].append(run())
                print(f"  round {turn + 1}: {name}: {found[name][-1].rate:,.0f} rows/s", flush=True)
    large = process(folder, models, 4 * rows, "fourfold.parquet", "fourfold-scored.parquet")
    return report(found, large, parquet, same(folder) if dask else None)


class Run(msgspec.Struct):
    """One way, once."""

    rate: float  # rows a second
    cpu: float  # µs a row
    scoring: float = 0.0  # rows a second without start and end of the process
    peak: float = 0.0  # MB


def report(found: dict[str, list[Run]], large: Run, ours: str, same_bytes: bool | None) -> int:
    """Print medians and ratios; returns how many bars were missed."""
    print(f"\n{'':44}{'rows/s':>10}{'low':>10}{'high':>10}{'scoring':>10}{'µs CPU':>8}{'MB':>6}")
    for name, runs in [*found.items(), ("the same, four times the rows", [large])]:
        rates = [run.rate for run in runs]
        scoring, cpu = median(run.scoring for run in runs), min(run.cpu for run in runs)
        peak = max(run.peak for run in runs)
        print(
            f"{name:44}{median(rates):10,.0f}{min(rates):10,.0f}{max(rates):10,.0f}{scoring:10,.0f}{cpu:8.2f}{peak:6.0f}"
        )
    print()
    missed = 0
    for place, name in enumerate(list(found)[:2]):
        ratios = sorted(run.rate / other.rate for run, other in zip(found[ours], found[name], strict=True))
        held = median(ratios) >= BAR_SHARE
        missed += place == 0 and not held  # the bar: the runtime that every peer has
        print(
            f"{ours} / {name}: {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            + (f", bar {BAR_SHARE}: {'held' if held else 'MISSED'}" if place == 0 else "")
        )
    peak = max(max(run.peak for run in runs) for runs in found.values())
    growth = large.peak / max(run.peak for run in found[ours])
    missed += (peak > BAR_MB) + (growth > 1.1)
    print(f"memory: {peak:.0f} MB, bar {BAR_MB}; four times the rows take {growth:.2f} of it")
    if same_bytes is not None:
        missed += not same_bytes
        print(f"Dask gives the same bytes: {'yes' if same_bytes else 'NO'}")
    return missed


def drawn(model: Model, bundle: Path, rows: int) -> pa.Table:
    """Rows whose values are those of golden rows, numbers moved a little; no row is like the one before."""
    golden = read_golden(bundle).rows
    rng = np.random.default_rng(0)
    columns = {}
    for column in model.manifest.columns:
        values = [row.get(column.name) for row in golden]
        places = rng.integers(len(values), size=_DRAWN)
        many = _column(column, [values[place] for place in places], rng)
        columns[column.name] = many.take(pa.array(rng.integers(_DRAWN, size=rows)))
    return pa.table(columns)


def _column(column: Column, values: list[Value], rng: np.random.Generator) -> pa.Array:
    if column.kind != "number":
        return pa.array(values, pa.bool_() if column.kind == "boolean" else pa.string())
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    low, high = column.minimum or 0.0, column.maximum or 0.0
    moved = np.clip(numbers + rng.normal(0, (high - low) / 50, len(numbers)), low, high)
    if column.integer and not np.isnan(moved).any():
        return pa.array(np.round(moved).astype(np.int64))
    return pa.array(moved, from_pandas=True)


def encode(columns: tuple[Column, ...], batch: pa.RecordBatch) -> Matrix:
    """The matrix of a batch."""
    return np.stack([encoded(c, batch.column(c.name), Spelling()).floats for c in columns], axis=1).copy()


def bare(model: Model, matrices: list[Matrix]) -> Run:
    """Score what is encoded already, on two threads, and drop the answers."""
    rows = sum(map(len, matrices))
    cpu, start = time.process_time(), time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(model.outputs, matrices):
            pass
    seconds = time.perf_counter() - start
    return Run(rows / seconds, (time.process_time() - cpu) / rows * 1e6, rows / seconds)


def process(folder: Path, models: Path, rows: int, source: str, output: str, *options: str) -> Run:
    """`homeport batch` as a person starts it, from its start to its end."""
    command = ["homeport", "batch", source, output, "--overwrite", "--models", str(models), *options]
    root = str(Path(__file__).parent.parent)
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-c", _MEASURED, *command], cwd=folder, env=os.environ | {"PYTHONPATH": root},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)} ended with {child.returncode}")
    record = msgspec.json.decode((folder / f"{output}.batch.json").read_bytes(), type=Record)
    assert record.rows == rows, record
    return Run(
        rows / seconds,
        (used.ru_utime + used.ru_stime) / rows * 1e6,
        rows / record.seconds,
        int(said.split()[-1]) / 1024,
    )


@contextmanager
def workers(folder: Path) -> Iterator[str]:
    """A scheduler and two workers of one thread each, as processes of their own; yields the address."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(folder)
    ) as cluster:
        yield cluster.scheduler_address


@contextmanager
def no_workers() -> Iterator[None]:
    """Nothing to measure."""
    yield None


def same(folder: Path) -> bool:
    """Whether both wrote the same."""
    return (folder / "here.parquet").read_bytes() == (folder / "there.parquet").read_bytes()


if __name__ == "__main__":
    main()
