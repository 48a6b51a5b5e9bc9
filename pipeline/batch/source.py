"""The files of a batch: by a path, a folder, a pattern or an fsspec address, in sorted order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from fsspec import AbstractFileSystem
from fsspec.core import has_magic, url_to_fs
from fsspec.implementations.local import LocalFileSystem

from pipeline.errors import InputUnusable

Format = Literal["csv", "parquet"]
PARQUET_ENDINGS = (".parquet", ".pq")
CSV_ENDINGS = (".csv", ".tsv", ".txt")
COMPRESSED_ENDINGS = (".gz", ".bz2", ".xz", ".zip")
_MAGIC = b"PAR1"


@dataclass(frozen=True)
class File:
    """One file of the input."""

    system: AbstractFileSystem
    path: str
    name: str  # as people know it
    size: int
    stamp: str  # changes with the content: when it was written, or what its store says

    @property
    def local(self) -> str | None:
        """Its path, if it is on this machine."""
        return self.path if isinstance(self.system, LocalFileSystem) else None

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Its bytes. What goes wrong with them, here or inside the context, is raised as InputUnusable."""
        try:
            with self.system.open(self.path, "rb") as file:
                yield file
        except (OSError, EOFError) as error:
            raise InputUnusable(f"{self.name} cannot be read: {error}.") from error


def file_system(address: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an address, and the path in it. Raises InputUnusable."""
    try:
        system, path = url_to_fs(address)
    except (ImportError, ValueError, OSError) as error:  # no package for it, no such protocol, no credentials
        raise InputUnusable(f"{address} cannot be reached: {error}.") from error
    return system, str(path)


def find(address: str, output: str = "") -> list[File]:
    """The files of an address, sorted by path; of a folder or pattern the output and what is beside it is left out.

    >>> [file.name for file in find("s3://bucket/new/*.parquet")]
    ['s3://bucket/new/a.parquet', 's3://bucket/new/b.parquet']

    Raises InputUnusable if there are none.
    """
    system, path = file_system(address)
    try:
        if system.isfile(path):
            if path == output:
                raise InputUnusable(f"{address} is the output, too. Give the output another name.")
            return [_file(system, path)]
        if system.isdir(path):
            paths = [found for found in system.find(path) if _is_table(found[len(path) :])]
        else:
            found_all = system.glob(path) if has_magic(path) else []
            paths = [found for found in found_all if not Path(found).name.startswith(".") and system.isfile(found)]
        own = {output, f"{output}.errors.csv", f"{output}.batch.json"}
        paths = sorted(found for found in set(paths) - own if not found.startswith(f"{output}.batch/"))
        if not paths:
            raise InputUnusable(
                f"There is no file {address}. Give a CSV or Parquet file, a folder, a pattern such as 'new/*.parquet' "
                "in quotes, or an address such as s3://bucket/new.parquet."
            )
        return [_file(system, found) for found in paths]
    except OSError as error:
        raise InputUnusable(f"{address} cannot be read: {error}.") from error


def format_of(file: File) -> Format:
    """Whether a file is Parquet or CSV, by its first bytes. Raises InputUnusable."""
    with file.opened() as content:
        first = content.read(len(_MAGIC))
    if not first:
        raise InputUnusable(f"{file.name} is empty. Take it out, or give it a header line.")
    return "parquet" if first == _MAGIC else "csv"


def format_by_ending(path: str) -> Format | None:
    """The format that the ending of a path names, but for compression."""
    path = path.lower()
    for ending in COMPRESSED_ENDINGS:
        path = path.removesuffix(ending)
    return "parquet" if path.endswith(PARQUET_ENDINGS) else "csv" if path.endswith(CSV_ENDINGS) else None


def _is_table(inside: str) -> bool:
    """Whether a path inside a folder is one of its tables, and no by-product such as `_SUCCESS` or `.crc`."""
    return format_by_ending(inside) is not None and not any(part[:1] in "._" for part in inside.split("/") if part)


def _file(system: AbstractFileSystem, path: str) -> File:
    info: dict[str, Any] = system.info(path)
    changed = next(
        (info[key] for key in ("ETag", "etag", "md5", "mtime", "LastModified", "created") if key in info), ""
    )
    if isinstance(system, LocalFileSystem):
        changed = Path(path).stat().st_mtime_ns
        here = Path.cwd()
        name = str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path
    else:
        name = system.unstrip_protocol(path)
    return File(system, path, name, int(info.get("size") or 0), str(changed))


def digest(files: Sequence[File]) -> str:
    """SHA-256 of what tells whether files are still the same."""
    return hashlib.sha256(repr([(file.path, file.size, file.stamp) for file in files]).encode()).hexdigest()
