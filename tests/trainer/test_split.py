import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.split import TEST_SHARE, row_digests, split
from trainer.target import read_target


def table(rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, rows).astype("float64"),
            "price": rng.normal(size=rows),
            "job": pd.Series(rng.choice(["clerk", "cook", None], rows), dtype=object),
            "member": rng.choice([True, False], rows),
        }
    )


def labels(rows: int, seed: int = 0):
    return read_target(
        pd.Series(np.random.default_rng(seed).choice(["a", "b"], rows, p=[0.9, 0.1]), name="y"), None, None
    )


@given(rows=st.integers(60, 400), seed=st.integers(0, 2**40))
def test_every_row_is_on_one_side_and_each_class_gives_its_share(rows, seed):
    frame, target = table(rows), read_target(pd.Series(["a", "b", "b"] * rows, name="y")[:rows], None, None)
    train, test = split(frame, target, seed)
    assert sorted([*train, *test]) == list(range(rows))
    for place in range(len(target.classes)):
        count = int((target.values == place).sum())
        assert (target.values[test] == place).sum() == round(TEST_SHARE * count)


def test_a_table_that_has_grown_keeps_its_untouched_rows():
    frame, target = table(12_000), labels(12_000)
    before = set(split(frame.iloc[:8_000], labels_of(target, 8_000), 0)[1])
    after = {place for place in split(frame, target, 0)[1] if place < 8_000}
    assert len(before ^ after) < 0.02 * 8_000
    other = {place for place in split(frame, target, 1)[1] if place < 8_000}
    assert len(before ^ other) > 0.2 * 8_000, "another seed is another split"


def labels_of(target, rows):
    return type(target)(
        target.name, target.task, target.classes, target.positive, target.values[:rows], target.kept[:rows], ()
    )


def test_order_of_rows_and_columns_and_a_missing_value_elsewhere_change_nothing():
    frame = table(500)
    digests = row_digests(frame, 3)
    shuffled = frame[["job", "member", "price", "age"]].iloc[::-1]
    assert (row_digests(shuffled, 3)[::-1] == digests).all()
    whole = frame.assign(age=frame["age"].astype("int64"))
    assert (row_digests(whole, 3) == digests).all()


def test_a_row_that_is_there_twice_is_on_one_side():
    frame = pd.concat([table(300), table(300)], ignore_index=True)
    values = labels(300).values
    target = read_target(pd.Series(np.concatenate([values, values]), name="y"), None, None)
    train, test = split(frame, target, 0)
    twice = {place % 300 for place in train} & {place % 300 for place in test}
    assert len(twice) <= len(target.classes), "but for the one row at the bound of a class"


@pytest.mark.parametrize("task", ["regression"])
def test_a_regression_has_one_bound(task):
    frame = table(1_000)
    target = read_target(pd.Series(np.arange(1_000) / 7, name="y"), task, None)
    _, test = split(frame, target, 0)
    assert len(test) == 200
    assert abs(target.values[test].mean() - target.values.mean()) < 10
