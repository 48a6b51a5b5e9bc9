"""Data-set files (`datasets/*.toml`) and where their data comes from.

In this order: a file that the user gives, the cache, the sources of the data-set file (given up when
none answers within `CONNECT_SECONDS`), the sample that is embedded in the project.
"""

from __future__ import annotations

import hashlib
import threading
import time
import tomllib
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pooch
import requests

from bundle.manifest import Label, Value
from trainer.errors import DatasetError
from trainer.table import Table, read_table

CONNECT_SECONDS = 5.0
DATASETS = Path(__file__).parent.parent / "datasets"

Notify = Callable[[str], None]


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One place to download the table from; `members` leads through nested zip archives."""

    title: str
    url: str
    sha256: str
    members: tuple[str, ...] = ()


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table that the project carries, for machines without the internet."""

    title: str
    file: str
    sha256: str
    drop: tuple[str, ...] = ()
    examples: tuple[dict[str, Value], ...] = ()


class Dataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data-set file."""

    title: str
    target: str
    credit: str = ""
    positive: Label | None = None
    drop: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    sample: Sample | None = None
    examples: tuple[dict[str, Value], ...] = ()


class Located(msgspec.Struct, frozen=True):
    """The file that was found, with what goes with that very file; `title` None: its own name will do."""

    path: Path
    title: str | None
    drop: tuple[str, ...]
    examples: tuple[dict[str, Value], ...]


class Resolved(msgspec.Struct, frozen=True):
    """The same, read."""

    table: Table
    drop: tuple[str, ...]
    examples: tuple[dict[str, Value], ...]


def read_dataset(path: Path) -> Dataset:
    """Read a data-set file. Raises DatasetError."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), Dataset)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is no data-set file: {error}.") from error


def resolve(
    dataset: Dataset, directory: Path, cache: Path, notify: Notify, given: Path | None = None, progress: Any = True
) -> Resolved:
    """`locate`, and read what was found. Raises TableError if it cannot be read, beside what that raises."""
    found = locate(dataset, directory, cache, notify, given, progress)
    return Resolved(read_table(found.path, found.title), found.drop, found.examples)


def locate(
    dataset: Dataset, directory: Path, cache: Path, notify: Notify, given: Path | None = None, progress: Any = True
) -> Located:
    """Find the data of a data-set file whose folder is `directory`; a `given` file is taken as it is.

    `notify` is told in one line what is used. `progress` goes to pooch (True: a bar on the terminal,
    or an object with tqdm's `total`, `update`, `reset` and `close`). Raises DatasetError if there is
    no data at all.
    """
    if given is not None:
        notify(f"Data: {given}, as given.")
        return Located(given, None, dataset.drop, dataset.examples)
    for source in dataset.sources:
        cached = _cached(cache, source)
        if cached.is_file() and _digest(cached.read_bytes()) == source.sha256:
            notify(f"Data: {source.title}, from {cached}.")
            return Located(cached, source.title, dataset.drop, dataset.examples)
    failures = []
    reachable = _reachable([source.url for source in dataset.sources])
    for source in dataset.sources:
        if source.url not in reachable:
            failures.append(f"{source.url}: no answer within {CONNECT_SECONDS:.0f} s")
            continue
        try:
            path = _download(source, cache, progress)
        except (OSError, requests.RequestException, DatasetError, ValueError, zipfile.BadZipFile, KeyError) as error:
            failures.append(f"{source.url}: {error}")
            continue
        notify(f"Data: {source.title}, downloaded to {path}.")
        return Located(path, source.title, dataset.drop, dataset.examples)
    if dataset.sample is None:
        raise DatasetError("The data could not be downloaded:\n  " + "\n  ".join(failures))
    sample = dataset.sample
    path = directory / sample.file
    if not path.is_file() or _digest(path.read_bytes()) != sample.sha256:
        raise DatasetError(f"{path} is not the sample that the data-set file names: restore it from the project.")
    notify(
        f"Data: {sample.title}, because nothing could be downloaded ({'; '.join(failures)}). For all of it, run again "
        f"with the internet, or put the file from {dataset.sources[0].url} at {_cached(cache, dataset.sources[0])}."
        if dataset.sources
        else f"Data: {sample.title}."
    )
    return Located(path, sample.title, (*dataset.drop, *sample.drop), sample.examples)


def _cached(cache: Path, source: Source) -> Path:
    name = source.members[-1] if source.members else source.url
    return cache / f"{source.sha256[:12]}-{name.rstrip('/').rsplit('/', 1)[-1]}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _reachable(urls: list[str]) -> set[str]:
    """Those that answer within CONNECT_SECONDS, asked side by side (a time-out of requests leaves out DNS)."""
    answered: set[str] = set()

    def ask(url: str) -> None:
        try:
            requests.head(url, timeout=CONNECT_SECONDS, allow_redirects=True)
            answered.add(url)
        except requests.RequestException:
            pass

    threads = [threading.Thread(target=ask, args=(url,), daemon=True) for url in urls]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + CONNECT_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return set(answered)


def _download(source: Source, cache: Path, progress: Any) -> Path:
    """Download through pooch, unpack, hold to the digest, and only then give it its name in the cache."""
    path = _cached(cache, source)
    archive = pooch.retrieve(
        source.url,
        known_hash=None if source.members else source.sha256,
        fname=f"{path.name}.zip" if source.members else path.name,
        path=cache,
        downloader=pooch.HTTPDownloader(progressbar=progress, timeout=CONNECT_SECONDS),
    )
    if not source.members:
        return Path(archive)
    content = Path(archive).read_bytes()
    Path(archive).unlink()
    for member in source.members:
        with zipfile.ZipFile(BytesIO(content)) as zipped:
            content = zipped.read(member)
    if _digest(content) != source.sha256:
        raise DatasetError(f"the file has SHA-256 {_digest(content)[:12]}…, expected {source.sha256[:12]}…")
    temporary = path.with_suffix(".part")
    temporary.write_bytes(content)
    temporary.replace(path)
    return path
