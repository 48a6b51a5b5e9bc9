import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import FLOAT32_MAX, MISSING_WORDS, Column, Encoder


def column(kind, **options):
    return Column(name="c", onnx_name="c", kind=kind, required=False, missing_share=0.0, example=None, **options)


COLOURS = column("category", categories=("red", "green"))


def test_a_category_is_its_place_then_unseen_then_missing():
    encode = Encoder([COLOURS])
    assert encode([("red",), ("green",), ("mauve",), (None,)]).ravel().tolist() == [0, 1, 2, 3]
    assert set(encode([(word,) for word in MISSING_WORDS]).ravel().tolist()) == {3}


def test_a_category_that_is_spelt_like_a_missing_word_stays_a_category():
    encode = Encoder([column("category", categories=("None", "some"))])
    assert encode([("None",), ("some",), (None,)]).ravel().tolist() == [0, 1, 3]


def test_booleans_and_missing_numbers():
    encode = Encoder([column("boolean"), column("number")])
    given_rows = encode([(True, 1), (False, 2.5), (None, None)])
    assert given_rows[:2].tolist() == [[1, 1], [0, 2.5]]
    assert np.isnan(given_rows[2]).all()


@given(st.integers(1_600_000_000, 1_800_000_000))
def test_a_rebased_timestamp_keeps_its_seconds(moment):
    encode = Encoder([column("number", offset=1_700_000_000.0)])
    near = encode([(moment,), (moment + 64,)]).ravel()
    assert near[1] > near[0]


@given(st.lists(st.tuples(st.floats(allow_nan=False, width=32), st.text()), min_size=1))
def test_any_row_encodes_to_one_row(rows):
    encoded = Encoder([column("number"), COLOURS])(rows)
    assert encoded.shape == (len(rows), 2)
    assert encoded.dtype == np.float32
    assert [row[0] for row in rows] == encoded[:, 0].tolist()
    assert all(not math.isnan(code) for code in encoded[:, 1])


def by_definition(columns, rows):
    """The table of the module, cell by cell."""

    def cell(column, value):
        if column.kind == "category":
            if value in column.categories:
                return column.categories.index(value)
            return len(column.categories) + (value is None or value in MISSING_WORDS)
        value = column.fill if value is None else value
        return np.nan if value is None else value - column.offset

    cells = [[cell(column, value) for column, value in zip(columns, row, strict=True)] for row in rows]
    return np.array(cells, dtype=np.float64).reshape(len(rows), len(columns)).astype(np.float32)


_FLOATS = st.floats(-FLOAT32_MAX, FLOAT32_MAX, allow_nan=False)
_WORDS = st.text(max_size=3) | st.sampled_from(["red", "green", "NA", "?"])
_OF_KIND = {
    "number": (_FLOATS | st.integers(-(2**60), 2**60), {"fill": st.none() | _FLOATS}),
    "moved": (
        st.floats(-1e12, 1e12),
        {"fill": st.none() | st.floats(-1e12, 1e12), "offset": st.floats(-1e12, 1e12)},
    ),
    "boolean": (st.booleans(), {"fill": st.sampled_from([None, 0.0, 1.0])}),
    "category": (_WORDS, {"categories": st.lists(_WORDS, max_size=4, unique=True).map(tuple)}),
}


@st.composite
def tables(draw):
    kinds = draw(st.lists(st.sampled_from(sorted(_OF_KIND)), min_size=1, max_size=5))
    columns = [
        column("number" if kind == "moved" else kind, **{n: draw(s) for n, s in _OF_KIND[kind][1].items()})
        for kind in kinds
    ]
    row = st.tuples(*(st.none() | _OF_KIND[kind][0] for kind in kinds))
    return columns, draw(st.lists(row, max_size=8)) * draw(st.sampled_from([1, 10]))


@given(tables())
def test_few_rows_and_many_are_encoded_by_the_table(table):
    columns, rows = table
    encode, expected = Encoder(columns), by_definition(columns, rows)
    assert encode(iter(rows)).tobytes() == expected.tobytes()
    assert encode(rows).shape == (len(rows), len(columns))
    assert b"".join(encode([row]).tobytes() for row in rows) == expected.tobytes()


@pytest.mark.parametrize("count", [1, 100])
def test_the_matrix_is_contiguous(count):
    encoded = Encoder([COLOURS, column("number")])([("red", None)] * count)
    assert encoded.flags.c_contiguous
    assert encoded.flags.writeable
