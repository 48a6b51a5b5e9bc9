"""Which rows are untouched: three ways, of which the table and the request choose one.

By digest, unless something else is asked for: a row's own values decide, so that the same row is on
the same side of any table, and a row that is there twice is on one side. A model of last month's
table and one of this month's, which has grown, are then compared on rows that neither has learned from.

By time: the latest rows, as the endpoint will be asked of what comes after all that was learned. A
table that grows at its end moves the bound forwards alone, so what an earlier model has learned from
stays on the side of the training rows.

Given: the rows of a file of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from trainer.columns import kind_of
from trainer.errors import TableError
from trainer.guardrails import MIN_ROWS, Inspected
from trainer.instants import shown
from trainer.metrics import Array
from trainer.target import Target

TEST_SHARE = 0.2
MIN_CLASS_ROWS = 5  # of each class in the training rows: one a fold


def split(inspected: Inspected, number: int) -> tuple[Array, Array]:
    """Places of the training and of the test rows, both rising. Each number is another split, 0 that of every model.

    Further splits are by digest; in time they are of earlier windows; beside given test rows they are
    by digest of the other rows. Raises TableError if the rows of one side are too few.
    """
    if inspected.times is not None:
        train, test = by_time(inspected.times, number)
        bound = shown(inspected.times[train].max())
        _check(inspected, train, test, f"up to {bound}", f"after {bound}")
        return train, test
    if inspected.given is None:
        return by_digest(inspected.frame, inspected.target, number)
    train, test = np.flatnonzero(~inspected.given), np.flatnonzero(inspected.given)
    if number == 0:
        _check(inspected, train, test, "of the training table", "of the test table")
        return train, test
    own = inspected.target.at(train)
    places = by_digest(inspected.frame.iloc[train], own, number)
    return train[places[0]], train[places[1]]


def by_digest(frame: pd.DataFrame, target: Target, number: int) -> tuple[Array, Array]:
    """The TEST_SHARE of each class (or of a regression's rows) with the lowest digests are the test rows.

    Exact in the share of each class, and in a table that has grown all but the rows next to that bound
    stay where they were (about 0.4 / √n of n rows of a class may not).
    """
    digests = row_digests(frame, number)
    groups = target.values if target.classes else np.zeros(len(frame), dtype=np.int64)
    test = np.zeros(len(frame), dtype=np.bool_)
    for group in np.unique(groups):
        places = np.flatnonzero(groups == group)
        lowest = places[np.argsort(digests[places], kind="stable")]
        test[lowest[: round(TEST_SHARE * len(places))]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


def by_time(times: Array, number: int) -> tuple[Array, Array]:
    """The latest TEST_SHARE of the rows are the test rows; each further number ends where the one before begins.

    So number 1 trains on the first 60 % and tests on the next 20 % (rolling origins). Rows of the same
    instant are on one side: those at the bound train, unless no test row would be left. Raises TableError
    where there is no such window.
    """
    window = max(1, round(TEST_SHARE * len(times)))
    before = np.sort(times)
    for _ in range(number + 1):
        end = before[-1]
        start = before[-window - 1] if len(before) > window else end
        if start == end and len(before) > window:  # the last instant has more rows than a window
            start = before[max(0, np.searchsorted(before, end) - 1)]
        if start == end:
            raise TableError(
                f"There is not enough history for {number} repeats: each takes the {TEST_SHARE:.0%} of the rows before "
                f"the last one's and learns from what is before those; the first rows are of {shown(end)}."
            )
        before = before[: np.searchsorted(before, start, side="right")]
    return np.flatnonzero(times <= start), np.flatnonzero((times > start) & (times <= end))


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


def _check(inspected: Inspected, train: Array, test: Array, train_words: str, test_words: str) -> None:
    """What a digest sees to by itself, and neither time nor a file does."""
    if len(train) < MIN_ROWS:
        raise TableError(f"There are {len(train)} rows {train_words} to learn from; it takes at least {MIN_ROWS}.")
    if len(test) < 2:
        raise TableError(f"There are {len(test)} rows {test_words}: too few to test a model on.")
    target = inspected.target
    if not target.classes:
        return
    counts = np.bincount(target.values[train], minlength=len(target.classes))
    if counts.min() < MIN_CLASS_ROWS:
        label = target.classes[int(counts.argmin())]
        raise TableError(
            f"The rows {train_words}, to learn from, have {counts.min()} of the class '{label}'; it takes at least "
            f"{MIN_CLASS_ROWS}. Leave the rows of that class out, or give more of them."
        )
    present = np.unique(target.values[test])
    if len(present) < 2:
        label = target.classes[int(present[0])]
        raise TableError(f"All {len(test):,} rows {test_words} are '{label}': no model can be told from another there.")
