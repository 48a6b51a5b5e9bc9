"""The document of the benchmark: no figure in it is written by hand."""

from pathlib import Path

from benchmarks.automl.results import Run


def write(runs: list[Run], folder: Path) -> None:
    pass
