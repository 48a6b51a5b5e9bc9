"""The folder of a batch under way: files that only grow, and how much of them counts.

Whatever ends the process, the folder says how far the batch is: a checkpoint is written, whole, once the bytes that
it counts are on the disk. Who goes on cuts the files to those lengths first, so no row is lost and none is there twice.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec

from bundle.store import fsync_directory, replace_file
from pipeline.errors import OutputUnusable

ROWS, FOOTERS, ERRORS = "rows", "footers", "errors.csv"
_CHECKPOINT, _LOCK = "checkpoint.json", "lock"


class Plan(msgspec.Struct, frozen=True):
    """What the output follows from: with another plan a batch starts anew."""

    input: str  # SHA-256 of what tells whether its files are still the same
    model: str
    version: str
    manifest: str  # SHA-256
    format: str
    mini_batch_size: int
    homeport: str

    def differs(self, other: Plan) -> str:
        """In what it differs from another, in words."""
        named = {
            "input": "the input", "manifest": "the model", "model": "the model", "version": "the model",
            "format": "the format", "mini_batch_size": "--mini-batch-size", "homeport": "Homeport",
        }  # fmt: skip
        found = dict.fromkeys(
            named[name] for name in self.__struct_fields__ if getattr(self, name) != getattr(other, name)
        )
        return " and ".join(found)


class Progress(msgspec.Struct, frozen=True):
    """How far a batch is."""

    file: int = 0  # place of the file that comes next, and how many of its mini-batches are done
    batches: int = 0
    rows: int = 0  # that were scored
    bad: int = 0  # that could not be
    position: float = 0.0  # bytes of the input
    seconds: float = 0.0
    complete: bool = False


class Checkpoint(msgspec.Struct, frozen=True):
    """What is written once a group of mini-batches is done."""

    plan: Plan
    progress: Progress
    lengths: dict[str, int]


class Draft:
    """The folder; use it inside `locked`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.progress = Progress()

    @contextmanager
    def locked(self) -> Iterator[Self]:
        """Nobody else writes it meanwhile. Raises OutputUnusable if somebody does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise OutputUnusable(
                    f"Another batch writes {self.folder}. Wait for it, or give another output."
                ) from None
            try:
                yield self
            finally:
                if self.folder.exists() and self.read() is None:  # nothing to go on from
                    shutil.rmtree(self.folder)

    def read(self) -> Checkpoint | None:
        """The last checkpoint, if there is one that can be gone on from."""
        try:
            return msgspec.json.decode((self.folder / _CHECKPOINT).read_bytes(), type=Checkpoint)
        except (FileNotFoundError, msgspec.MsgspecError):  # of another Homeport
            return None

    def begin(self, plan: Plan, found: Checkpoint | None) -> None:
        """Go on where a checkpoint of this plan ends, or anew."""
        self._plan, self.progress = plan, found.progress if found else Progress()
        if self.progress.complete:  # its files may be on their way
            return
        lengths = found.lengths if found else {}
        for name in (ROWS, FOOTERS, ERRORS):
            with (self.folder / name).open("ab") as file:
                file.truncate(lengths.get(name, 0))
        if found is None:
            self.commit(self.progress)
            fsync_directory(self.folder.parent)

    def path(self, name: str) -> Path:
        """One of its files."""
        return self.folder / name

    def append(self, name: str, contents: Iterable[Any]) -> None:
        """Add to a file, one after the other, what has bytes."""
        with (self.folder / name).open("ab") as file:
            for content in contents:
                file.write(content)

    def commit(self, progress: Progress) -> None:
        """What the files have now counts."""
        lengths = {}
        for name in (ROWS, FOOTERS, ERRORS):
            with (self.folder / name).open("rb") as file:
                os.fsync(file.fileno())
                lengths[name] = os.fstat(file.fileno()).st_size
        replace_file(self.folder / _CHECKPOINT, msgspec.json.encode(Checkpoint(self._plan, progress, lengths)))
        self.progress = progress

    def remove(self) -> None:
        """The batch is finished."""
        (self.folder / _CHECKPOINT).unlink(missing_ok=True)  # first: what is half removed is no batch
        shutil.rmtree(self.folder)
