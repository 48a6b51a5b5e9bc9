import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bundle import MISSING_WORDS, Column, Encoder


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
