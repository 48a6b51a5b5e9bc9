"""Schedules, triggers and how far each of them is, in a SQLite file.

A run that is to begin is written down, with its key, before anybody is asked to start it. Who is killed in between
asks again with the same key after a restart, so nothing is lost and nothing is run twice.
"""

from __future__ import annotations

import sqlite3
import threading
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar
from uuid import uuid4

import msgspec

from pipeline.errors import AgendaUnusable, NotOnAgenda
from pipeline.service.schedules import Schedule
from pipeline.service.triggers import Memory, Trigger

Stage = Literal["due", "waiting", "starting"]  # waiting: for a run under way to end


class Fire(msgspec.Struct, frozen=True):
    """A run that is to begin."""

    time: datetime
    key: str  # who starts it again with the same key gets the same run
    cause: str
    stage: Stage
    outcome: str = "Started."  # what is told once it has begun


def fire_of(identity: str, time: datetime, cause: str, outcome: str = "Started.", stage: Stage = "due") -> Fire:
    """What begins a run for a time of a schedule or a trigger."""
    return Fire(time, f"{identity}@{time.isoformat()}", cause, stage, outcome)


class Last(msgspec.Struct, frozen=True):
    """What came of the last fire time or look."""

    at: datetime
    run_id: str | None
    outcome: str


class Scheduled(msgspec.Struct, frozen=True):
    """A schedule of a pipeline; `handled` is the last fire time that was dealt with."""

    id: str
    pipeline: str
    schedule: Schedule
    assignments: dict[str, Any]
    run_now: bool
    enabled: bool
    handled: datetime
    fire: Fire | None = None
    last: Last | None = None

    @property
    def cause(self) -> str:
        """Of its runs."""
        return f"schedule {self.id} ({self.schedule.text})"


class Watched(msgspec.Struct, frozen=True):
    """A trigger of a pipeline."""

    id: str
    pipeline: str
    created: datetime
    trigger: Trigger
    assignments: dict[str, Any]
    memory: Memory
    fire: Fire | None = None
    last: Last | None = None

    @property
    def cause(self) -> str:
        """Of its runs."""
        return f"trigger {self.id} ({self.trigger.text})"


_Record = TypeVar("_Record", Scheduled, Watched)


class Table(Generic[_Record]):
    """Records of one kind, each replaced as a whole; any thread may use it."""

    def __init__(self, connection: sqlite3.Connection, lock: threading.Lock, name: str, kind: type[_Record]) -> None:
        self._connection, self._lock, self._name = connection, lock, name
        self._kind: type[_Record] = kind
        self._encode = msgspec.json.Encoder().encode
        self._run(
            f"CREATE TABLE IF NOT EXISTS {name} (id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, record BLOB NOT NULL)"
        )

    def add(self, record: _Record) -> _Record:
        """Put it at the end."""
        with self._lock:
            row = record.id, record.pipeline, self._encode(record)
            self._run(f"INSERT INTO {self._name} VALUES (?, ?, ?)", *row)  # noqa: S608 (our own names)
        return record

    def all(self) -> list[_Record]:
        """All, the oldest first."""
        with self._lock:
            rows = self._run(f"SELECT record FROM {self._name} ORDER BY rowid")  # noqa: S608
        return [msgspec.json.decode(record, type=self._kind) for (record,) in rows]

    def of(self, pipeline: str) -> list[_Record]:
        """Those of a pipeline, the oldest first."""
        return [record for record in self.all() if record.pipeline == pipeline]

    def change(self, identity: str, **fields: Any) -> _Record | None:
        """Change fields of a record, and give it as it is then; None if it has been removed."""
        with self._lock:
            rows = self._run(f"SELECT record FROM {self._name} WHERE id = ?", identity)  # noqa: S608
            if not rows:
                return None
            record = msgspec.structs.replace(msgspec.json.decode(rows[0][0], type=self._kind), **fields)
            self._run(f"UPDATE {self._name} SET record = ? WHERE id = ?", self._encode(record), identity)  # noqa: S608
        return record

    def swap(self, record: _Record, **fields: Any) -> _Record | None:
        """The same, but None and nothing done if anything of the record has been changed meanwhile."""
        changed = msgspec.structs.replace(record, **fields)
        with self._lock:
            found = self._run(
                f"UPDATE {self._name} SET record = ? WHERE id = ? AND record = ? RETURNING id",  # noqa: S608
                self._encode(changed), record.id, self._encode(record),
            )  # fmt: skip
        return changed if found else None

    def get(self, pipeline: str, identity: str) -> _Record:
        """One of a pipeline's. Raises NotOnAgenda."""
        for record in self.of(pipeline):
            if record.id == identity:
                return record
        raise NotOnAgenda(
            f"Pipeline '{pipeline}' has no '{identity}' among its {self._name}. It may have been removed."
        )

    def remove(self, pipeline: str, identity: str) -> None:
        """It fires no more from now on. Raises NotOnAgenda."""
        self.get(pipeline, identity)
        with self._lock:
            self._run(f"DELETE FROM {self._name} WHERE id = ?", identity)  # noqa: S608

    def _run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values).fetchall()


class Agenda:
    """The file, which may hold other tables too. Raises AgendaUnusable."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # each statement is a transaction of its own
            self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, error) from error
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")  # a power cut forgets no run that has begun
            lock = threading.Lock()
            self.schedules = Table(self._connection, lock, "schedules", Scheduled)
            self.triggers = Table(self._connection, lock, "triggers", Watched)
        except sqlite3.Error as error:
            self.close()
            raise _unusable(path, error) from error

    def close(self) -> None:
        """No method may be called after."""
        self._connection.close()

    def plan(
        self, pipeline: str, schedule: Schedule, assignments: dict[str, Any], *, run_now: bool, enabled: bool
    ) -> Scheduled:
        """Add a schedule, which fires first when its time comes, or at once."""
        created = schedule.created
        record = Scheduled(str(uuid4()), pipeline, schedule, assignments, run_now, enabled, created)
        fire = fire_of(record.id, created, record.cause) if run_now else None
        return self.schedules.add(msgspec.structs.replace(record, fire=fire))

    def watch(
        self, pipeline: str, trigger: Trigger, assignments: dict[str, Any], memory: Memory, now: datetime
    ) -> Watched:
        """Add a trigger."""
        return self.triggers.add(Watched(str(uuid4()), pipeline, now, trigger, assignments, memory))

    def enable(self, pipeline: str, identity: str, now: datetime) -> Scheduled:
        """Let a schedule fire again; what would have come meanwhile is not missed. Raises NotOnAgenda."""
        found = self.schedules.get(pipeline, identity)
        return found if found.enabled else self._changed(found, enabled=True, handled=now)

    def disable(self, pipeline: str, identity: str) -> Scheduled:
        """Let a schedule fire no more, not even what waits. Raises NotOnAgenda."""
        return self._changed(self.schedules.get(pipeline, identity), enabled=False, fire=None)

    def _changed(self, found: Scheduled, **fields: Any) -> Scheduled:
        return self.schedules.change(found.id, **fields) or found


def _unusable(path: Path, error: Exception) -> AgendaUnusable:
    return AgendaUnusable(f"The schedules in {path} cannot be opened ({error}). Give a file that can be written.")
