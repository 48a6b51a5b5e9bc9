"""Which rows are untouched: a row's own values decide, so that the same row is on the same side of any table.

A model of last month's table and one of this month's, which has grown, are then compared on rows that
neither has learned from; a row that is there twice is on one side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from trainer.columns import kind_of
from trainer.metrics import Array
from trainer.target import Target

TEST_SHARE = 0.2


def split(frame: pd.DataFrame, target: Target, number: int) -> tuple[Array, Array]:
    """Places of the training and of the test rows, both rising. Each number is another split, 0 that of every model.

    Of each class (or of a regression's rows) the TEST_SHARE with the lowest digests are the test rows: exact
    in the share of each class, and in a table that has grown all but the rows next to that bound stay
    where they were (about 0.4 / √n of n rows of a class may not).
    """
    digests = row_digests(frame, number)
    groups = target.values if target.classes else np.zeros(len(frame), dtype=np.int64)
    test = np.zeros(len(frame), dtype=np.bool_)
    for group in np.unique(groups):
        places = np.flatnonzero(groups == group)
        lowest = places[np.argsort(digests[places], kind="stable")]
        test[lowest[: round(TEST_SHARE * len(places))]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


def row_digests(frame: pd.DataFrame, number: int) -> Array:
    """A uint64 for each row from its values: the same in any table that has these columns, in any order."""
    names: Sequence[str] = sorted(frame.columns)
    plain = {
        name: frame[name].astype("string").fillna("").astype(object)
        if kind_of(frame[name]) == "category"
        else frame[name].to_numpy(dtype="float64", na_value=np.nan)  # whole numbers too: next month one is missing
        for name in names
    }
    key = f"homeport{number % 10**8:08d}"
    hashed = pd.util.hash_pandas_object(pd.DataFrame(plain, index=frame.index), index=False, hash_key=key)
    return hashed.to_numpy()
