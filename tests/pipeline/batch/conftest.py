"""A batch of the shop's model, what it should answer, and a watcher that can end it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bundle.model import Model
from pipeline.batch.run import Request, run
from tests.conftest import shop_frame, write_csv
from trainer.table import read_table


class Ended(Exception):
    """The end of a batch before its end."""


@dataclass
class Watching:
    """Keeps what it is told; ends the batch when it has advanced so many times."""

    end: int | None = None
    begun: list = field(default_factory=list)
    steps: list = field(default_factory=list)

    def began(self, manifest, total, progress, differs):
        self.begun.append((manifest.version, total, progress, differs))

    def advanced(self, progress):
        self.steps.append(progress)
        if self.end is not None and len(self.steps) >= self.end:
            raise Ended


@pytest.fixture
def batch(shop_bundle):
    """Runs a batch; returns its result."""

    def go(source, output, watcher=None, **options):
        options.setdefault("bundle", shop_bundle)
        return run(Request(str(source), str(output), **options), watcher or Watching())

    return go


@pytest.fixture(scope="session")
def model(shop_bundle):
    return Model(shop_bundle)


@pytest.fixture
def new_csv(tmp_path):
    """500 rows to score, with the target among them."""
    return write_csv(shop_frame(500, seed=3), tmp_path / "new.csv")


def answers(model, frame: pd.DataFrame) -> np.ndarray:
    """What the endpoint's way, row by row, answers."""
    values = [
        frame[name].astype(object).where(frame[name].notna(), None) if name in frame else [None] * len(frame)
        for name in model.names
    ]
    return model.outputs(model.encode(list(zip(*values, strict=True))))


def as_trained(path: Path, model) -> pd.DataFrame:
    """A table as the trainer reads it."""
    text = {column.name for column in model.manifest.columns if column.kind == "category"}
    return read_table(path, text=text).frame


def held(model, scored: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Fails unless a table has these rows, in order, with the model's answers."""
    expected = answers(model, rows)
    assert scored["prediction"].tolist() == model.labels(expected)
    for place, label in enumerate(model.manifest.classes):
        # to the bit, also where it went through text
        assert scored[f"probability_{label}"].astype("float32").tolist() == expected[:, place].tolist()
