import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.errors import TableError
from trainer.guardrails import Inspected
from trainer.split import TEST_SHARE, by_digest, by_time, row_digests, split
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
    train, test = by_digest(frame, target, seed)
    assert sorted([*train, *test]) == list(range(rows))
    for place in range(len(target.classes)):
        count = int((target.values == place).sum())
        assert (target.values[test] == place).sum() == round(TEST_SHARE * count)


def test_a_table_that_has_grown_keeps_its_untouched_rows():
    frame, target = table(12_000), labels(12_000)
    before = set(by_digest(frame.iloc[:8_000], labels_of(target, 8_000), 0)[1])
    after = {place for place in by_digest(frame, target, 0)[1] if place < 8_000}
    assert len(before ^ after) < 0.02 * 8_000
    other = {place for place in by_digest(frame, target, 1)[1] if place < 8_000}
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
    train, test = by_digest(frame, target, 0)
    twice = {place % 300 for place in train} & {place % 300 for place in test}
    assert len(twice) <= len(target.classes), "but for the one row at the bound of a class"


@pytest.mark.parametrize("task", ["regression"])
def test_a_regression_has_one_bound(task):
    frame = table(1_000)
    target = read_target(pd.Series(np.arange(1_000) / 7, name="y"), task, None)
    _, test = by_digest(frame, target, 0)
    assert len(test) == 200
    assert abs(target.values[test].mean() - target.values.mean()) < 10


instants = st.lists(st.integers(0, 60), min_size=30, max_size=300).filter(lambda given: len(set(given)) > 1)


@given(times=instants)
def test_in_time_every_row_is_on_one_side_and_no_instant_on_both(times):
    times = np.array(times, dtype="float64")
    train, test = by_time(times, 0)
    assert sorted([*train, *test]) == list(range(len(times)))
    assert len(test)
    assert times[train].max() < times[test].min()
    latest = (times == times.max()).sum()
    assert len(test) <= max(round(TEST_SHARE * len(times)), latest), "ties at the bound train"
    further = times[test].min()
    assert len(test) + (times[train] == times[train].max()).sum() > round(TEST_SHARE * len(times)), further


@given(times=instants, number=st.integers(1, 3))
def test_each_repeat_ends_where_the_one_before_begins(times, number):
    times = np.array(times, dtype="float64")
    try:
        train, test = by_time(times, number)
    except TableError:
        return
    before, _ = by_time(times, number - 1)
    assert sorted([*train, *test]) == before.tolist()
    assert times[train].max() < times[test].min()


@given(times=instants, more=st.lists(st.integers(61, 90), max_size=200))
def test_what_was_learned_from_is_never_untouched_in_a_table_that_has_grown_at_its_end(times, more):
    train, _ = by_time(np.array(times, dtype="float64"), 0)
    _, test = by_time(np.array(times + more, dtype="float64"), 0)
    assert not set(train) & set(test)


def test_windows_of_a_day_each_and_where_history_ends():
    times = np.arange(100).astype("datetime64[D]")[::-1]
    for number, last in ((0, 79), (1, 59), (2, 39), (3, 19)):
        train, test = by_time(times, number)
        assert times[train].max() == times[-1] + last
        assert len(test) == 20
    with pytest.raises(TableError, match=r"not enough history for 4 repeats.*1970-01-20"):
        by_time(times, 4)


def timed(values, times, given=None):
    target = read_target(pd.Series(values, name="y"), None, None)
    return Inspected(table(len(values)), target, (), None if times is None else np.array(times, dtype="float64"), given)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a"] * 85 + ["b"] * 15, r"The rows up to 79, to learn from, have 0 of the class 'b'"),
        (["a", "b"] * 40 + ["b"] * 20, r"All 20 rows after 79 are 'b'"),
        (["a", "b"] * 16, r"There are 26 rows up to 25 to learn from; it takes at least 30"),
    ],
)
def test_a_side_that_says_too_little_is_refused(values, message):
    with pytest.raises(TableError, match=message):
        split(timed(values, range(len(values))), 0)


def test_given_rows_are_untouched_in_every_repeat():
    given = np.arange(100) >= 70
    inspected = timed(["a", "b"] * 50, None, given)
    train, test = split(inspected, 0)
    assert (train.tolist(), test.tolist()) == (list(range(70)), list(range(70, 100)))
    train, test = split(inspected, 1)
    assert sorted([*train, *test]) == list(range(70))
    assert len(test) == 14
    assert split(inspected, 2)[1].tolist() != test.tolist()
    with pytest.raises(TableError, match="of the training table, to learn from, have 0 of the class 'b'"):
        split(timed(["a"] * 70 + ["b"] * 20 + ["a"] * 10, None, given), 0)
