"""A file that is not whole and right must be refused before anything native reads it."""

import io
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import BundleCorrupt
from bundle.compiled import Compiled
from bundle.forest import Forest, read_forest
from tests.bundle.test_compiled import COLUMNS, a_forest, forest_of

FOREST = a_forest()
CONTENT = FOREST.dumps()
LEAF = [1.0]


def test_it_survives_a_round_trip():
    again = read_forest(CONTENT, COLUMNS, 2)
    for field in fields(Forest):
        assert np.array_equal(getattr(again, field.name), getattr(FOREST, field.name))
    assert again.dumps() == CONTENT


def test_right_children_follow_from_the_leaves():
    cut = (0.0, 0, False)
    forest = forest_of([([cut, cut, LEAF, LEAF, cut, LEAF, LEAF], 0, 1), ([LEAF], 0, 1)], [0.0], ["logistic"], [1.0], 2)
    assert forest.shape.start.tolist() == [0, 7, 8]
    assert forest.shape.right.tolist() == [4, 3, 0, 0, 6, 0, 0, 0]
    assert forest.shape.leaf.tolist() == [0, 0, 0, 1, 2, 2, 3, 4, 5]


WRONG = {
    "reads beyond": {"feature": np.where(FOREST.feature == 0, COLUMNS, FOREST.feature)},
    "no whole trees": {
        "feature": np.where(np.arange(len(FOREST.feature)) == len(FOREST.feature) - 1, 0, FOREST.feature)
    },
    "nodes are incomplete": {"threshold": FOREST.threshold[:-1]},
    "or no number": {"threshold": np.full_like(FOREST.threshold, np.nan)},
    "threshold is infinite": {"threshold": np.full_like(FOREST.threshold, np.inf)},
    "'values' is finite": {"values": FOREST.values * np.float32(np.inf)},
    "'base' is finite": {"base": np.array([np.nan])},
    "number of leaf values": {"values": FOREST.values[:-1]},
    "number of trees": {"slot": FOREST.slot[:-1]},
    "adds to no slot": {"slot": FOREST.slot + 1},
    "adds to no slot ": {"width": FOREST.width * 0},
    "adds to no slot  ": {"slot": FOREST.slot - 1},
    "members are incomplete": {"weight": np.zeros(0)},
    "has no link": {"link": np.array([4])},
    "other outputs": {"outputs": np.array(3)},
    "number of slots": {"base": np.zeros(2)},
    "table is of no column": {"derived": np.array([COLUMNS]), "table_start": np.array([0, 1]), "tables": np.zeros(1)},
    "tables are incomplete": {"derived": np.array([0]), "table_start": np.array([0, 2]), "tables": np.zeros(1)},
    "tables are incomplete ": {"derived": np.array([0]), "table_start": np.array([0]), "tables": np.zeros(0)},
    "table is empty": {"derived": np.array([0, 0]), "table_start": np.array([0, 0, 1]), "tables": np.zeros(1)},
    "'tables' is finite": {"derived": np.array([0]), "table_start": np.array([0, 1]), "tables": np.array([np.nan])},
    "other arrays": {"weight": np.zeros((1, 1))},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_is_said(message):
    typed = {name: array.astype(getattr(FOREST, name).dtype) for name, array in WRONG[message].items()}
    with pytest.raises(BundleCorrupt, match=rf"forest\.npz is no forest of this model.*{message.strip()}"):
        read_forest(replace(FOREST, **typed).dumps(), COLUMNS, 2)


def test_a_tree_beyond_16_bits_is_refused():
    feature = np.array([0, -1] * 32_769 + [-1], dtype=np.int32)
    leaves = int((feature < 0).sum())
    large = replace(
        forest_of([([LEAF], 0, 1)], [0.0], ["logistic"], [1.0], 2),
        feature=feature,
        threshold=np.zeros(len(feature), np.float32),
        missing_left=np.zeros(len(feature), np.bool_),
        values=np.zeros(leaves, np.float32),
    )
    with pytest.raises(BundleCorrupt, match="too large"):
        read_forest(large.dumps(), COLUMNS, 2)


def test_objects_are_not_unpickled():
    with pytest.raises(BundleCorrupt):
        read_forest(replace(FOREST, weight=np.array([print], dtype=object)).dumps(), COLUMNS, 2)


@settings(max_examples=300)
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255), st.booleans())
def test_damaged_bytes_are_refused_or_run(place, change, cut):
    damaged = bytearray(CONTENT[: place + 1] if cut else CONTENT)
    damaged[place] ^= change
    run(bytes(damaged))


@settings(max_examples=300)
@given(
    st.sampled_from(["threshold", "feature", "missing_left", "values", "slot", "width", "base", "link", "outputs"]),
    st.integers(0, 10**6),
    st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 5),
)
def test_changed_numbers_are_refused_or_run(name, place, value):
    array = np.atleast_1d(getattr(FOREST, name)).copy()
    array[place % len(array)] = value
    run(replace(FOREST, **{name: array.reshape(getattr(FOREST, name).shape)}).dumps())


def run(content):
    """What passes the checks must be safe to run: it gives numbers, and comes back."""
    try:
        forest = read_forest(content, COLUMNS, 2)
    except BundleCorrupt:
        return
    kernel = Compiled(forest, COLUMNS)
    for count in (1, 70):
        assert kernel(np.full((count, COLUMNS), np.nan, np.float32)).shape == (count, 2)


def test_a_forest_of_an_earlier_version_has_no_derived_features_and_no_logarithm():
    content = io.BytesIO()
    names = [field.name for field in fields(FOREST)]
    later = ("logarithm", "derived", "table_start", "tables")
    np.savez_compressed(content, **{name: getattr(FOREST, name) for name in names if name not in later})
    forest = read_forest(content.getvalue(), COLUMNS, 2)
    assert (bool(forest.logarithm), len(forest.derived), len(forest.tables)) == (False, 0, 0)
