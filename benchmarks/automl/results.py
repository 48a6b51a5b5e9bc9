"""What was measured, as it lies in `docs/benchmarks/automl.json`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bundle.store import replace_file


class Run(msgspec.Struct, frozen=True):
    """One system on one split of one table."""

    system: str
    table: str
    budget: float  # seconds that it was given
    seed: int
    score: float  # the table's metric on the test rows
    seconds: float  # that it took
    size: int  # bytes of what is deployed
    winner: str
    row: float  # µs of CPU a row, asked for 10,000 at once
    call: float  # µs of CPU for one row alone
    versions: dict[str, str]
    machine: str = ""  # the first runs did not say
    python: str = ""

    @property
    def key(self) -> tuple[str, str, float, int]:
        """What makes a run needless a second time."""
        return self.system, self.table, self.budget, self.seed


def read_runs(file: Path) -> list[Run]:
    """All runs of a file; none if there is no file."""
    return msgspec.json.decode(file.read_bytes(), type=list[Run]) if file.is_file() else []


def write_runs(file: Path, runs: list[Run]) -> None:
    """Replace the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_file(file, msgspec.json.format(msgspec.json.encode(runs), indent=1))
