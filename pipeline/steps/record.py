"""A run's folder: who runs it, how far each step is, and what it gave. Every file is there whole or not at all.

The process that runs has a lock on the folder, which ends with it, however that ends: whether a run is
alive is asked of the kernel, not of a clock.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from bundle.store import replace_file

STEPS = (
    "ingest",
    "validate",
    "train",
    "evaluate",
    "compare",
    "prove",
    "promote",
    "smoke-test",
    "batch-score",
)

Status = Literal["NotStarted", "Running", "Completed", "Failed", "Skipped"]


class Progress(msgspec.Struct, frozen=True):
    """How far a step is: a share from 0 to 1 if that is known, and a line."""

    share: float | None = None
    text: str = ""


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one step; times are ISO 8601 in UTC."""

    name: str
    status: Status = "NotStarted"
    reused: bool = False
    started: str | None = None
    ended: str | None = None
    seconds: float = 0.0
    progress: Progress | None = None
    metrics: dict[str, float] = {}
    message: str = ""
    output: dict[str, Any] | None = None


def now() -> str:
    """The time, as records have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class RunFolder:
    """`<data>/runs/<id>/`."""

    def __init__(self, data: Path, run: str) -> None:
        self.run = run
        self.path = data / "runs" / run

    def steps(self) -> list[StepRecord]:
        """All steps in their order, also those that have not begun."""
        return [self.step(name) for name in STEPS]

    def step(self, name: str) -> StepRecord:
        """What is known of a step."""
        try:
            return msgspec.json.decode((self.path / f"{name}.json").read_bytes(), type=StepRecord)
        except FileNotFoundError:
            return StepRecord(name=name)

    def write(self, record: StepRecord) -> None:
        """Replace what is known of a step."""
        self.path.mkdir(parents=True, exist_ok=True)
        replace_file(self.path / f"{record.name}.json", msgspec.json.encode(record))

    def begin(self) -> None:
        """Forget the steps that did not complete: the run begins, or goes on."""
        for record in self.steps():
            if record.status not in ("NotStarted", "Completed"):
                (self.path / f"{record.name}.json").unlink(missing_ok=True)

    @property
    def resumes(self) -> int:
        """How often the run went on by itself after its process was gone."""
        try:
            return int((self.path / "resumes").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    @resumes.setter
    def resumes(self, count: int) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        replace_file(self.path / "resumes", str(count).encode())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the one process that runs this; while another does, wait for its end."""
        self.path.mkdir(parents=True, exist_ok=True)
        with lock(self.path / "lock"):
            yield

    def is_held(self) -> bool:
        """Whether a process runs this at the moment."""
        try:
            with (self.path / "lock").open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Have a file's lock, once whoever has it lets it go."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
