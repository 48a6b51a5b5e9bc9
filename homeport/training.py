"""`homeport train`: from what the user names to a training request."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from rich.console import Console

from bundle import Manifest, Store
from bundle.manifest import Task
from homeport.errors import HomeportError
from homeport.experiments import experiment_log
from homeport.stack import Stack

if TYPE_CHECKING:
    from observability.telemetry import Settings


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
    max_latency_us: float | None = None
    max_size_mb: float | None = None
    experiment: str | None = None
    log: bool = True
    time_column: str | None = None
    test: str | None = None


def run(options: Options, store: Store, stack: Stack, console: Console) -> Manifest:
    """Train, print the result, and tell insights if it runs.

    Raises HomeportError, TrainerError, BundleError.
    """
    with console.status("Loading the learners"):  # a few seconds of imports: not for other commands
        from observability.telemetry import TelemetryError
        from trainer.console import ConsoleWatcher, print_result
        from trainer.cost import Limit
        from trainer.dataset import DATASETS, Dataset, Resolved, read_dataset, resolve
        from trainer.experiments import train_logged
        from trainer.fit import Request
        from trainer.look import read_test
        from trainer.table import read_table

        telemetry = telemetry_settings(stack)  # what is wrong with it is said before the search

    if options.test and options.time_column:
        raise HomeportError("--time-column and --test both say which rows are untouched: give one of the two.")
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
        time_column=options.time_column,
        test=read_test(Path(options.test), found.table) if options.test else None,
        metric=options.metric,
        learners=options.learners,
        budget=options.budget,
        max_trials=options.max_trials,
        seed=options.seed,
        repeats=options.repeats,
        limit=Limit(options.max_latency_us or math.inf, (options.max_size_mb or math.inf) * 1e6),
        credit=dataset.credit,
        examples=found.examples if own_target and not options.drop else (),
    )
    to = experiment_log(stack, options.experiment or request.name) if options.log else None
    try:
        with ConsoleWatcher(console, request.budget, request.max_trials) as watcher:
            manifest = train_logged(request, store, watcher, telemetry, to)
    except TelemetryError as error:
        raise HomeportError(str(error)) from error
    print_result(console, manifest, str(store.path(manifest.name, manifest.version)))
    if to:
        console.print(f"Experiment log: {to.experiment}, in {to.hide(to.uri)}. `homeport experiments` opens its page.")
    return manifest


def telemetry_settings(stack: Stack) -> Settings:
    """Where telemetry goes: as the environment says, and otherwise to the stack's insights, if that runs.

    Raises HomeportError.
    """
    from pydantic import ValidationError

    from observability.telemetry import Settings

    try:
        settings = Settings()
    except ValidationError as error:
        wrong = error.errors()[0]
        raise HomeportError(f"HOMEPORT_TELEMETRY_{wrong['loc'][0]}".upper() + f": {wrong['msg']}.") from None
    if insights := stack.insights.running():
        own = {"endpoint": insights.url, "switch": stack.switch}
        settings = settings.model_copy(update={name: own[name] for name in own.keys() - settings.model_fields_set})
    return settings


def _name(path: Path) -> str:
    """A model name from a file's: `My Table (1).csv.gz` → `my-table-1`."""
    stem = path.name.split(".")[0].lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:63] or "model"
