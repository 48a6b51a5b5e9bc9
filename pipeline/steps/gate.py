"""The champion on a labelled file: `python -m pipeline.steps.gate FILE METRIC MODEL` prints its value as JSON.

A process of its own, so that the service needs none of what learns.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from bundle import BundleError, Store
from bundle.model import Model
from pipeline.steps.settings import Places
from trainer.errors import TrainerError
from trainer.judge import answers, labelled, metric_of, value
from trainer.table import read_table


class Gate(msgspec.Struct, frozen=True):
    """The metric's value, and the version that it is of."""

    value: float
    version: str


def gate(path: Path, metric: str, model: str, store: Store) -> Gate:
    """Raises TrainerError, BundleError."""
    champion = Model(store.champion_path(model))
    rows = labelled(read_table(path).frame, champion.manifest)
    return Gate(value(metric_of(rows, metric), rows, answers(champion, rows)), champion.manifest.version)


def main() -> int:
    """Print the value, or say on standard error why there is none."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.steps.gate", description=main.__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("metric")
    parser.add_argument("model")
    arguments = parser.parse_args()
    try:
        found = gate(arguments.file, arguments.metric, arguments.model, Store(Places().models))
    except (BundleError, TrainerError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
