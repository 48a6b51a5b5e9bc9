import numpy as np
import pandas as pd
import pytest

from tests.conftest import shop_frame
from trainer.errors import TableError
from trainer.guardrails import inspect


def look(frame, target="buys", task=None, positive=None, drop=(), time_column=None):
    inspected = inspect(frame, target, task, positive, drop, time_column)
    return inspected, {finding.check: finding for finding in inspected.findings}


def frame_with(**columns):
    frame = shop_frame(400)
    frame["colour"] = frame["colour"].astype(object)
    frame["is member"] = frame["is member"].astype("boolean")
    for name, values in columns.items():
        frame[name] = values
    return frame


def test_a_clean_table_passes():
    _, found = look(frame_with())
    assert found["Constant columns"].outcome == "passed"


@pytest.mark.parametrize(
    ("check", "values"),
    [
        ("Constant columns", "same"),
        ("Constant columns", None),
        ("Dates", pd.date_range("2024-01-01", periods=400, freq="h")),
        ("Dates", [f"2024-{month % 12 + 1:02}-{month % 28 + 1:02}" for month in range(400)]),
        ("Identifiers and text", [f"row {number}" for number in range(400)]),
        ("Identifiers and text", np.arange(400.0)),
    ],
)
def test_what_says_nothing_is_left_out(check, values):
    inspected, found = look(frame_with(extra=values))
    assert found[check].outcome == "fixed"
    assert "extra" in found[check].detail
    assert "extra" not in inspected.frame.columns


def test_a_measurement_with_distinct_values_is_no_identifier():
    inspected, _ = look(frame_with(extra=np.random.default_rng(0).normal(size=400)))
    assert "extra" in inspected.frame.columns


def test_imbalance_raises_an_alert():
    _, found = look(frame_with(buys=["yes"] * 30 + ["no"] * 370))
    assert found["Class balance"].outcome == "alert"


def test_duplicates_are_counted():
    frame = frame_with()
    _, found = look(pd.concat([frame, frame.head(50)], ignore_index=True))
    assert found["Duplicate rows"].outcome == "alert"
    assert found["Duplicate rows"].detail.startswith("50 ")


def test_timestamps_are_rebased_and_high_cardinality_is_pooled():
    rng = np.random.default_rng(0)
    frame = pd.concat([frame_with()] * 50, ignore_index=True)
    frame["seen at"] = 1_700_000_000.0 + rng.integers(0, 5_000_000, len(frame))
    frame["town"] = [f"town {number}" for number in rng.integers(0, 300, len(frame))]
    _, found = look(frame)
    assert "seen at" in found["Timestamps and large numbers"].detail
    assert "town" in found["High cardinality"].detail


def test_rows_without_a_target_and_tiny_classes_are_left_out():
    frame = frame_with(buys=["yes"] * 200 + ["no"] * 190 + ["maybe"] * 5 + [None] * 5)
    inspected, found = look(frame)
    assert len(inspected.frame) == len(inspected.target.values) == 390
    assert found["Target"].outcome == "fixed"
    assert "maybe" in found["Target"].detail


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        ([True, False] * 200, "binary", (False, True)),
        ([0.0, 1.0] * 200, "binary", (0, 1)),
        (["b", "a", "c", "a"] * 100, "multiclass", ("a", "b", "c")),
        (np.linspace(0, 1, 400), "regression", ()),
        (np.arange(400.0), "regression", ()),
        (list(range(10)) * 40, "multiclass", tuple(range(10))),
    ],
)
def test_the_task_is_what_the_target_looks_like(values, task, classes):
    frame = frame_with(buys=values)
    if classes and classes[0] is False:
        frame["buys"] = frame["buys"].astype("boolean")
    inspected, _ = look(frame)
    assert inspected.target.task == task
    assert inspected.target.classes == classes
    assert [type(label) for label in inspected.target.classes] == [type(label) for label in classes]


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"target": "buy"}, "Did you mean 'buys'"),
        ({}, {"drop": ("buys",)}, "also among the columns to drop"),
        ({}, {"time_column": "seen"}, "no column 'seen'. Did you mean 'seen at'"),
        ({}, {"time_column": "buys"}, "target 'buys' is also the time column"),
        ({"buys": pd.date_range("2024-01-01", periods=400)}, {}, "holds dates"),
        ({"buys": np.linspace(1, 2, 400) * 1e200}, {}, "scale it to ordinary numbers"),
        ({"buys": [f"{n}%" for n in range(400)]}, {}, "text such as '0%'"),
        ({}, {"drop": ("nothing",)}, "not in the table: nothing"),
        ({"buys": "yes"}, {}, "nothing to predict"),
        ({}, {"task": "regression"}, "use --task multiclass"),
        ({}, {"positive": "perhaps"}, "positive class 'perhaps'"),
        ({}, {"drop": ("age", "spend.total", "is member", "colour", "seen at")}, "No column is left"),
    ],
)
def test_what_cannot_be_learned_is_refused_with_a_remedy(changes, options, message):
    with pytest.raises(TableError, match=message):
        look(frame_with(**changes), **options)


@pytest.mark.parametrize(
    ("values", "asked", "positive"),
    [([True, False], "true", True), ([True, False], "1", True), ([0.0, 1.0], "1.0", 1), (["a", "b"], "a", "a")],
)
def test_the_positive_class_in_any_spelling(values, asked, positive):
    frame = frame_with(buys=values * 200)
    frame["buys"] = frame["buys"].astype("boolean" if values[0] is True else frame["buys"].dtype)
    inspected, _ = look(frame, positive=asked)
    assert inspected.target.positive == positive
    assert type(inspected.target.positive) is type(positive)


def test_classes_that_are_no_whole_numbers_are_text():
    inspected, _ = look(frame_with(buys=[0.5, 1.0] * 200), task="multiclass")
    assert inspected.target.classes == ("0.5", "1.0")


def test_numbers_beyond_float32_become_the_largest_it_has():
    inspected, _ = look(frame_with(extra=np.random.default_rng(0).normal(size=400) * 1e300))
    assert inspected.frame["extra"].abs().max() < 3.5e38


@pytest.mark.parametrize(
    ("name", "values", "kept"),
    [
        ("userId", np.random.default_rng(0).permutation(400) * 7.0, False),
        ("amount", np.random.default_rng(0).permutation(400) * 1.0, True),
        ("version", [f"{n % 3}.{n % 7}.0" for n in range(400)], True),
    ],
)
def test_what_looks_like_a_key_or_a_date_and_is_none_stays(name, values, kept):
    inspected, _ = look(frame_with(**{name: values}))
    assert (name in inspected.frame.columns) == kept


def test_the_time_column_orders_the_kept_rows_and_is_no_feature():
    frame = frame_with(buys=["yes"] * 200 + ["no"] * 190 + ["maybe"] * 5 + [None] * 5)
    frame["seen at"] = np.arange(400.0)[::-1]
    frame.loc[397:, "seen at"] = None  # of rows that are left out anyway
    inspected, _ = look(frame, time_column="seen at")
    assert "seen at" not in inspected.frame.columns
    assert inspected.times.tolist() == list(range(399, 9, -1))


def test_a_table_of_one_column_is_refused():
    with pytest.raises(TableError, match="read as one column"):
        look(frame_with()[["buys"]])


def test_too_few_rows_are_refused():
    with pytest.raises(TableError, match="at least 30"):
        look(frame_with().head(25))
