"""`homeport train`: from what the user names to a training request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from rich.console import Console

from bundle import Manifest, Store
from bundle.manifest import Task
from homeport.errors import HomeportError


@dataclass(frozen=True)
class Options:
    """The options of `homeport train`; None is not given."""

    table: str
    file: str | None = None
    target: str | None = None
    name: str | None = None
    task: Task | None = None
    positive: str | None = None
    drop: tuple[str, ...] = ()
    metric: str | None = None
    learners: tuple[str, ...] = ()
    budget: float = 60.0
    max_trials: int | None = None
    seed: int = 0
    repeats: int = 0


def run(options: Options, store: Store, console: Console) -> Manifest:
    """Train and print the result. Raises HomeportError, TrainerError, BundleError."""
    with console.status("Loading the learners"):  # a few seconds of imports: not for other commands
        from trainer.console import ConsoleWatcher, print_result
        from trainer.dataset import DATASETS, Dataset, Resolved, read_dataset, resolve
        from trainer.fit import Request
        from trainer.job import train
        from trainer.table import read_table

    path = Path(options.table)
    dataset_file = path if path.suffix == ".toml" else DATASETS / f"{options.table}.toml"
    if dataset_file.is_file():
        dataset = read_dataset(dataset_file)
        cache = platformdirs.user_cache_path("homeport")
        given = Path(options.file) if options.file else None
        found = resolve(dataset, dataset_file.parent, cache, lambda line: console.print(line, highlight=False), given)
        name = dataset_file.stem
    elif path.exists():
        if options.target is None:
            raise HomeportError("Name the column to predict: --target COLUMN.")
        dataset = Dataset(title=path.name, target=options.target)
        found = Resolved(read_table(path), (), ())
        name = _name(path)
    else:
        known = ", ".join(sorted(file.stem for file in DATASETS.glob("*.toml")))
        raise HomeportError(f"There is no file {path}, and no data set of that name (there are: {known}).")
    own_target = options.target in (None, dataset.target)
    request = Request(
        table=found.table,
        target=options.target or dataset.target,
        name=options.name or name,
        task=options.task,
        positive=options.positive or (dataset.positive if own_target else None),
        drop=(*found.drop, *options.drop),
        metric=options.metric,
        learners=options.learners,
        budget=options.budget,
        max_trials=options.max_trials,
        seed=options.seed,
        repeats=options.repeats,
        credit=dataset.credit,
        examples=found.examples if own_target and not options.drop else (),
    )
    with ConsoleWatcher(console, request.budget, request.max_trials) as watcher:
        manifest = train(request, store, watcher)
    print_result(console, manifest, str(store.path(manifest.name, manifest.version)))
    return manifest


def _name(path: Path) -> str:
    """A model name from a file's: `My Table (1).csv.gz` → `my-table-1`."""
    stem = path.name.split(".")[0].lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:63] or "model"
