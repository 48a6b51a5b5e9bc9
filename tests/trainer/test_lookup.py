"""Derived features: what a table says of a code, the same in training rows and in others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import Column
from trainer.lookup import MAX_HOT, Feature, Lookup, one_hot, target_means


def category(name, count):
    words = tuple(f"{name}{number}" for number in range(count))
    return Column(
        name=name, onnx_name=name, kind="category", required=True, missing_share=0, example="", categories=words
    )


NUMBER = Column(name="n", onnx_name="n", kind="number", required=True, missing_share=0, example=1)
COLUMNS = (category("a", 3), NUMBER, category("b", 2))


def coded(rng, rows=300):
    return np.stack([rng.integers(0, 3, rows), rng.normal(size=rows), rng.integers(0, 2, rows)], axis=1).astype(
        "float32"
    )


@given(st.lists(st.tuples(st.integers(0, 1), st.lists(st.floats(-5, 5, width=32), min_size=5, max_size=5)), max_size=4))
def test_each_feature_is_its_table_at_the_code(features):
    lookup = Lookup(tuple(Feature(column, np.array(table, dtype=np.float32)) for column, table in features))
    x = np.random.default_rng(0).integers(0, 5, (20, 2)).astype(np.float32)
    found = lookup(x)
    assert np.array_equal(found[:, :2], x)
    for place, (column, table) in enumerate(features):
        assert found[:, 2 + place].tolist() == [np.float32(table[int(code)]) for code in x[:, column]]


def test_one_hot_has_a_feature_for_each_category_and_for_what_is_missing():
    rng = np.random.default_rng(0)
    lookup, encoded = one_hot(COLUMNS)(coded(rng), np.zeros(300))
    assert encoded.shape == (300, 3 + 4 + 3)
    assert (encoded[:, [0, 2]] == 0).all()  # the codes are hidden
    unseen, missing = np.array([[3, 0.5, 2]], dtype=np.float32), np.array([[4, 0.5, 3]], dtype=np.float32)
    assert lookup(unseen)[0, 3:].tolist() == [0] * 7
    assert lookup(missing)[0, 3:].tolist() == [0, 0, 0, 1, 0, 0, 1]


def test_only_frequent_categories_are_hot():
    lookup, _ = one_hot((category("many", 200),))(np.zeros((5, 1), dtype=np.float32), np.zeros(5))
    assert len(lookup.features) == MAX_HOT + 1


@pytest.mark.parametrize(("task", "width"), [("binary", 1), ("multiclass", 3), ("regression", 1)])
def test_target_means_of_other_rows_are_those_of_all_training_rows(task, width):
    rng = np.random.default_rng(0)
    x = coded(rng, 3_000)
    y = {"binary": x[:, 0] == 1, "multiclass": x[:, 0], "regression": x[:, 0] * 2.0}[task]
    lookup, encoded = target_means(COLUMNS, task, 0)(x, y.astype("float64" if task == "regression" else "int64"))
    assert encoded.shape == (3_000, 3 + 2 * width)
    of_a = lookup(np.array([[1, 0, 0]], dtype=np.float32))[0, 3 : 3 + width]
    expected = {"binary": [1], "multiclass": [0, 1, 0], "regression": [2]}[task]
    np.testing.assert_allclose(of_a, expected, atol=0.02)
    unseen = lookup(np.array([[3, 0, 2]], dtype=np.float32))[0, 3:]
    overall = np.eye(3)[x[:, 0].astype(int)].mean(axis=0) if task == "multiclass" else [y.mean()]
    np.testing.assert_allclose(unseen, np.tile(overall, 2), atol=0.02)


def test_a_rows_own_target_is_not_in_its_encoding():
    """A category of one row each: its mean would be the target itself."""
    rng = np.random.default_rng(0)
    x = np.arange(200, dtype=np.float32)[:, np.newaxis]
    y = rng.integers(0, 2, 200)
    _, encoded = target_means((category("key", 200),), "binary", 0)(x, y)
    assert abs(np.corrcoef(encoded[:, 1], y)[0, 1]) < 0.3


def test_without_categories_nothing_is_derived():
    x = np.zeros((10, 1), dtype=np.float32)
    for encode in (one_hot((NUMBER,)), target_means((NUMBER,), "binary", 0)):
        lookup, encoded = encode(x, np.arange(10) % 2)
        assert lookup.features == ()
        assert np.array_equal(encoded, x)
