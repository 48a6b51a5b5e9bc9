"""ingest: the table and the champion as they are now, so that all further steps, also of a run that is
resumed, see the same. The table is kept under its digest.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from pathlib import Path

import msgspec
import platformdirs

from bundle.manifest import Label, Task, Value
from pipeline.errors import JobUnusable
from pipeline.steps.step import Context, Step
from pipeline.steps.version import Version, champion_of
from trainer.dataset import DATASETS, Dataset, Located, locate, read_dataset
from trainer.fit import Request
from trainer.table import read_table

log = logging.getLogger("homeport.pipeline")


class Named(msgspec.Struct, frozen=True):
    """What a job says of its table, and of which model."""

    model: str
    table: str
    target: str | None
    task: Task | None
    positive: Label | None
    drop: tuple[str, ...]
    time_column: str | None = None


class Data(msgspec.Struct, frozen=True):
    """A table, known by its content. `file` is below the folder of pipelines."""

    file: str
    sha256: str
    source: str
    target: str
    task: Task | None
    positive: Label | None
    drop: tuple[str, ...]
    credit: str
    examples: tuple[dict[str, Value], ...]
    time_column: str | None = None


class Ingested(msgspec.Struct, frozen=True):
    """What a run begins with."""

    data: Data
    champion: Version | None


def ingest(named: Named, context: Context) -> Ingested:
    """Find the table, downloading it if it is a data set of the internet, and keep a copy.

    Raises JobUnusable, DatasetError, BundleError.
    """
    dataset, found = _found(named, context)
    digest = _digest(found.path)
    kept = Path("tables") / digest[:32] / found.path.name
    path = context.places.data / kept
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}")
        shutil.copyfile(found.path, draft)
        if _digest(draft) != digest:
            draft.unlink()
            raise JobUnusable(f"{found.path} changed while it was read. Run again once it is whole.")
        draft.replace(path)
    own = named.target in (None, dataset.target)
    log.info("table %s, %s bytes, sha256 %s", found.title or found.path.name, f"{path.stat().st_size:,}", digest[:12])
    data = Data(
        file=str(kept),
        sha256=digest,
        source=found.title or found.path.name,
        target=named.target or dataset.target,
        task=named.task,
        positive=named.positive or (dataset.positive if own else None),
        drop=(*found.drop, *named.drop),
        credit=dataset.credit,
        examples=found.examples if own and not named.drop else (),
        time_column=named.time_column,
    )
    return Ingested(data, champion_of(context.store, named.model))


def request(data: Data, context: Context, model: str = "table", seed: int = 0) -> Request:
    """The table as the trainer takes it. Raises TableError."""
    table = read_table(context.places.data / data.file, data.source)
    return Request(
        table=table,
        target=data.target,
        name=model,
        task=data.task,
        positive=data.positive,
        drop=data.drop,
        time_column=data.time_column,
        seed=seed,
        credit=data.credit,
        examples=data.examples,
        first_is_champion=False,
    )


def _found(named: Named, context: Context) -> tuple[Dataset, Located]:
    path = Path(named.table)
    file = path if path.suffix == ".toml" else DATASETS / f"{named.table}.toml"
    if file.is_file():
        dataset = read_dataset(file)
        cache = context.places.cache or platformdirs.user_cache_path("homeport")
        return dataset, locate(dataset, file.parent, cache, log.info, progress=False)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in DATASETS.glob("*.toml")))
        raise JobUnusable(f"There is no file {path}, and no data set of that name (there are: {known}).")
    if named.target is None:
        raise JobUnusable("Name the column to predict: Target.")
    return Dataset(title=path.name, target=named.target), Located(path, None, (), ())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


INGEST = Step("ingest", ingest, Ingested, ("pipeline.steps.data",), "this run", retries=2, timeout=1800)
