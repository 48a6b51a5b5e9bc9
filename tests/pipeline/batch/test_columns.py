"""The encoding of Arrow columns is that of the bundle, to the bit, whatever their type."""

import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle import MISSING_WORDS, Encoder
from pipeline.batch.columns import Spelling, encoded, refused
from tests.bundle.test_encoding import COLOURS, column, tables

CSV = Spelling(trimmed=True)
_TYPES = {"number": pa.float64(), "boolean": pa.bool_(), "category": pa.string()}


def as_arrow(column, values):
    """Numbers as Arrow takes them: whole ones beyond int64 are floats."""
    if column.kind == "number":
        values = [None if value is None else float(value) for value in values]
    return pa.array(values, _TYPES[column.kind])


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first text takes a second
@given(tables(), st.sampled_from(["plain", "dictionary", "large", "view", "sliced"]))
def test_it_is_the_bundle_s_encoding(table, layout):
    columns, rows = table
    expected = Encoder(columns)(rows)
    for place, column_ in enumerate(columns):
        values = as_arrow(column_, [row[place] for row in rows])
        if layout == "dictionary":
            values = values.dictionary_encode()
        elif layout == "large" and column_.kind == "category":
            values = values.cast(pa.large_string())
        elif layout == "view" and column_.kind == "category":
            values = values.cast(pa.string_view())
        elif layout == "sliced":
            values = pa.concat_arrays([values, values]).slice(len(values))
        assert refused(column_, values.type) is None
        coded = encoded(column_, values, Spelling())
        assert coded.wrong is None
        assert coded.floats.tobytes() == expected[:, place].tobytes()


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)), st.sampled_from([0.0, 1.7e9]))
def test_whole_numbers_keep_their_bits(values, offset):
    number = column("number", offset=offset)
    assert encoded(number, pa.array(values, pa.int64()), Spelling()).floats.tobytes() == (
        Encoder([number])([(value,) for value in values]).tobytes()
    )


@given(st.lists(st.floats(-3e38, 3e38, allow_nan=False)))
def test_numbers_as_text_are_the_numbers(values):
    number = column("number")
    for spelt in (values, [f" {value!r}" for value in values], [*map(repr, values), "?"][: len(values)]):
        coded = encoded(number, pa.array(list(map(str, spelt)), pa.string()), CSV)
        assert coded.wrong is None
        assert coded.floats.tolist() == np.array(values, np.float32).tolist()


@pytest.mark.parametrize("word", [*MISSING_WORDS, " NA ", "inf", "-Infinity", "nan"])
@pytest.mark.parametrize("fill", [None, 7.0])
def test_missing_numbers_as_text_are_filled(word, fill):
    coded = encoded(column("number", fill=fill), pa.array(["1", word, None]), CSV)
    assert coded.wrong is None
    np.testing.assert_array_equal(coded.floats, np.array([1, *[np.nan if fill is None else fill] * 2], np.float32))


@pytest.mark.parametrize("value", ["old", "1_000", "0x10", "1 2", "--1", "1e", "１２", "1,5"])
def test_what_is_no_number_is_wrong_and_the_rest_is_not(value):
    coded = encoded(column("number"), pa.array(["1.5", value, "", "+2e1"]), CSV)
    assert coded.wrong.tolist() == [False, True, False, False]
    assert coded.floats[[0, 3]].tolist() == [1.5, 20.0]
    assert coded.reason == "is no number"


def test_a_decimal_comma_counts_where_the_file_may_have_one():
    coded = encoded(column("number"), pa.array(["1,5", "2.5", "?", "x,y"]), Spelling(True, decimal_comma=True))
    assert coded.wrong.tolist() == [False, False, False, True]
    assert coded.floats[:2].tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    "values", [pa.array([1e39, 1.0]), pa.array(["1e39", "1"]), pa.array(["1e39", "1"]).dictionary_encode()]
)
def test_numbers_beyond_float32_are_wrong(values):
    coded = encoded(column("number"), values, Spelling())
    assert coded.wrong.tolist() == [True, False]
    assert "3.4e38" in coded.reason


def test_a_word_that_no_row_has_is_not_wrong():
    values = pa.DictionaryArray.from_arrays(pa.array([0, 0, None], pa.int32()), pa.array(["1", "no number"]))
    assert encoded(column("number", fill=3.0), values, Spelling()).floats.tolist() == [1, 1, 3]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([True, False, None]), pa.array([1, 0, None]), pa.array([1.0, 0.0, float("nan")]),
        pa.array(["TRUE", " false ", "NA"]), pa.array(["1", "0", ""]), pa.array(["1.0", "0.0", None]),
        pa.array([decimal.Decimal(1), decimal.Decimal(0), None]),
    ],
)  # fmt: skip
def test_booleans_in_all_their_spellings(values):
    coded = encoded(column("boolean", fill=1.0), values, CSV)
    assert coded.wrong is None
    assert coded.floats.tolist() == [1, 0, 1]


@pytest.mark.parametrize("values", [pa.array(["yes", "1"]), pa.array([2, 1]), pa.array([0.5, 1.0])])
def test_what_is_no_boolean_is_wrong(values):
    assert encoded(column("boolean"), values, CSV).wrong.tolist() == [True, False]


def test_decimals_are_numbers():
    values = pa.array([decimal.Decimal("0.10"), None, decimal.Decimal("123456789.99")])
    coded = encoded(column("number", fill=0.0), values, Spelling())
    assert coded.floats.tolist() == np.array([0.1, 0, 123456789.99], np.float32).tolist()


def test_half_and_unsigned_numbers_are_numbers():
    for values in (pa.array([np.float16(1.5)]), pa.array([1.5], pa.float32())):
        assert encoded(column("number"), values, Spelling()).floats.tolist() == [1.5]
    assert encoded(column("number"), pa.array([2**64 - 1], pa.uint64()), Spelling()).floats.tolist() == [2.0**64]


def test_space_around_a_category_does_not_count_in_csv_only():
    values = pa.array([" green", "green", None, " NA"])
    assert encoded(COLOURS, values, CSV).floats.tolist() == [1, 1, 3, 3]
    assert encoded(COLOURS, values, Spelling()).floats.tolist() == [2, 1, 3, 2]


def test_whole_numbers_may_be_categories():
    assert encoded(column("category", categories=("7", "8")), pa.array([8, 9, None]), CSV).floats.tolist() == [1, 2, 3]


def test_a_column_of_nothing_is_missing():
    assert encoded(COLOURS, pa.nulls(2), CSV).floats.tolist() == [3, 3]
    assert encoded(column("number", fill=2.0), pa.nulls(1), CSV).floats.tolist() == [2]


@pytest.mark.parametrize(
    ("kind", "type_"),
    [
        ("number", pa.bool_()), ("number", pa.timestamp("us")), ("number", pa.list_(pa.float64())),
        ("number", pa.binary()), ("category", pa.float64()), ("category", pa.bool_()), ("boolean", pa.date32()),
        ("number", pa.dictionary(pa.int8(), pa.date32())),
    ],
)  # fmt: skip
def test_other_types_are_refused_by_name(kind, type_):
    assert "Column 'c' is of type" in refused(column(kind), type_)
