"""What is published: a SQLite file of pipelines, their versions, and the digests of their keys."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
import uuid
from hmac import compare_digest
from pathlib import Path
from typing import Any, Literal

import msgspec

from pipeline.errors import NotPublished, VersionTaken
from pipeline.job import Job
from pipeline.steps.record import now

KEY_BYTES = 32
Slot = Literal["primary", "secondary"]
Status = Literal["ACTIVE", "DISABLED"]

_TABLES = """
CREATE TABLE IF NOT EXISTS pipelines (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, description TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('ACTIVE', 'DISABLED')), created TEXT NOT NULL, job TEXT NOT NULL,
  UNIQUE (name, version)
) STRICT;
CREATE TABLE IF NOT EXISTS keys (
  pipeline TEXT NOT NULL, slot TEXT NOT NULL CHECK (slot IN ('primary', 'secondary')), digest BLOB NOT NULL,
  PRIMARY KEY (pipeline, slot)
) STRICT;
"""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a pipeline. All but `status` never changes."""

    id: str
    name: str
    version: str
    description: str
    status: Status
    created: str
    job: Job


class Registry:
    """The file, opened; several threads may use it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def publish(self, name: str, job: Job, version: str, description: str) -> Published:
        """Publish a version; without a name of its own it is the next number. Raises VersionTaken."""
        with self._lock:
            versions = [row[0] for row in self._rows("SELECT version FROM pipelines WHERE name = ?", name)]
            version = version or str(len(versions) + 1)
            if version in versions:
                raise VersionTaken(
                    f"{name} has a version '{version}' already, and versions never change: give another."
                )
            made = Published(
                id=str(uuid.uuid4()), name=name, version=version, description=description, status="ACTIVE",
                created=now(), job=job,
            )  # fmt: skip
            self._database.execute(
                "INSERT INTO pipelines (id, name, version, description, status, created, job) VALUES (?,?,?,?,?,?,?)",
                (made.id, name, version, description, made.status, made.created, job.model_dump_json(by_alias=True)),
            )
        return made

    def pipelines(self, *, all_versions: bool = False) -> list[Published]:
        """What is published, newest first: each name's newest version, or all of them."""
        rows = self._rows("SELECT * FROM pipelines ORDER BY rowid DESC")
        found = [_published(row) for row in rows]
        return found if all_versions else list({one.name: one for one in reversed(found)}.values())[::-1]

    def find(self, name: str) -> Published:
        """The newest version of that name, or the version with that id. Raises NotPublished."""
        rows = self._rows("SELECT * FROM pipelines WHERE name = ? OR id = ? ORDER BY rowid DESC LIMIT 1", name, name)
        if not rows:
            known = ", ".join(sorted({one.name for one in self.pipelines()})) or "none"
            raise NotPublished(f"No pipeline '{name}' is published (there are: {known}).")
        return _published(rows[0])

    def set_status(self, name: str, status: Status) -> Published:
        """Enable or disable it. Raises NotPublished."""
        found = self.find(name)
        self._rows("UPDATE pipelines SET status = ? WHERE id = ?", status, found.id)
        return self.find(found.id)

    def make_key(self, name: str, slot: Slot) -> str:
        """Make one of a pipeline's keys, and forget the one before. Only its digest is kept."""
        key = secrets.token_urlsafe(KEY_BYTES)
        self._rows("INSERT OR REPLACE INTO keys (pipeline, slot, digest) VALUES (?,?,?)", name, slot, _digest(key))
        return key

    def has_keys(self, name: str) -> bool:
        """Whether keys were made for a name."""
        return bool(self._rows("SELECT 1 FROM keys WHERE pipeline = ?", name))

    def recognises(self, name: str, key: str) -> bool:
        """Whether it is one of the pipeline's keys; both are compared, in constant time."""
        sent = _digest(key)
        rows = self._rows("SELECT digest FROM keys WHERE pipeline = ?", name)
        return [compare_digest(sent, row[0]) for row in rows].count(True) > 0

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self._database.execute(statement, values).fetchall()


def _digest(key: str) -> bytes:
    """A key is 256 random bits: no salt, and no slow hash, would make it harder to guess."""
    return hashlib.sha256(key.encode()).digest()


def _published(row: tuple[Any, ...]) -> Published:
    *fields, job = row
    names = ("id", "name", "version", "description", "status", "created")
    return Published(**dict(zip(names, fields, strict=True)), job=Job.model_validate_json(job))
