"""From a column of Arrow to a column of the matrix that the model takes, without a Python value in between.

It gives what `bundle.encoding` gives for the same values, to the bit. A file spells more than JSON does, so there is
more to understand: numbers and booleans as text, numbers as booleans (0, 1), whole numbers as categories, dictionaries.
As where the trainer reads a table, NaN and infinity are missing, and so is a number or boolean spelt as one of
`MISSING_WORDS`.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bundle import FLOAT32_MAX, MISSING_WORDS, Column

Floats: TypeAlias = npt.NDArray[np.float32]
Mask: TypeAlias = npt.NDArray[np.bool_]

_MISSING = pa.array(MISSING_WORDS, pa.string())
_TRUTH = pa.array(["false", "true", "0", "1", "0.0", "1.0"])  # the place's last bit is the value
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Spelling(NamedTuple):
    """How a file spells its values."""

    trimmed: bool = False  # space around a category does not count, as in CSV
    decimal_comma: bool = False


class Coded(NamedTuple):
    """One column, encoded; `wrong` marks values that cannot be, None if there are none."""

    floats: Floats
    wrong: Mask | None
    reason: str = ""


def refused(column: Column, kind: pa.DataType) -> str | None:
    """Why values of an Arrow type cannot be those of a column, or None."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if _is_text(kind) or pa.types.is_null(kind) or pa.types.is_integer(kind):
        return None
    if column.kind != "category" and (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return None
    if column.kind == "boolean" and pa.types.is_boolean(kind):
        return None
    wanted = {"number": "numbers", "boolean": "true and false", "category": "text"}[column.kind]
    return f"Column '{column.name}' is of type {kind}, and the model takes {wanted}."


def encoded(column: Column, values: pa.Array, spelling: Spelling) -> Coded:
    """Encode values of a type that is not `refused`."""
    if pa.types.is_dictionary(values.type):
        words = pa.concat_arrays([values.dictionary, pa.nulls(1, values.type.value_type)])  # the last one is missing
        coded = encoded(column, words, spelling)
        places = pc.fill_null(values.indices.cast(pa.int64()), len(words) - 1).to_numpy()
        wrong = None if coded.wrong is None else coded.wrong[places]
        return Coded(coded.floats[places], wrong if wrong is not None and wrong.any() else None, coded.reason)
    if column.kind == "category":
        return Coded(_category(column, values, spelling), None)
    if column.kind == "boolean":
        return _boolean(column, values)
    return _number(column, values, spelling)


def _category(column: Column, values: pa.Array, spelling: Spelling) -> Floats:
    text = values.cast(pa.string())
    if spelling.trimmed:
        text = pc.utf8_trim_whitespace(text)
    known = (*column.categories, *(word for word in MISSING_WORDS if word not in column.categories))
    unseen, missing = len(column.categories), len(column.categories) + 1
    codes = np.full(len(known) + 2, missing, dtype=np.float32)
    codes[:unseen] = np.arange(unseen)
    codes[len(known)] = unseen
    places = pc.fill_null(pc.index_in(text, pa.array(known, pa.string())), len(known))
    places = pc.if_else(pc.is_valid(text), places, len(known) + 1)
    coded: Floats = codes[places.to_numpy(zero_copy_only=False)]
    return coded


def _boolean(column: Column, values: pa.Array) -> Coded:
    if _is_text(values.type):
        text = pc.utf8_trim_whitespace(values.cast(pa.string()))
        places = pc.index_in(pc.utf8_lower(text), _TRUTH)
        numbers = pc.bit_wise_and(places, 1).cast(pa.float64()).to_numpy(zero_copy_only=False)
        missing = pc.or_(pc.is_null(text), pc.is_in(text, _MISSING)).to_numpy(zero_copy_only=False)
        wrong = np.isnan(numbers) & ~missing
    else:
        numbers = _float64(values)
        numbers = np.where(np.isfinite(numbers), numbers, np.nan)
        wrong = ~np.isnan(numbers) & (numbers != 0) & (numbers != 1)
    return _filled(column, numbers, wrong, "is not true or false")


def _number(column: Column, values: pa.Array, spelling: Spelling) -> Coded:
    if _is_text(values.type) or pa.types.is_decimal(values.type):
        numbers, wrong = _parsed(values.cast(pa.string()), spelling.decimal_comma)
        if wrong.any():
            return _filled(column, numbers, wrong, "is no number")
    else:
        numbers = _float64(values)
    with np.errstate(over="ignore"):
        floats: Floats = (numbers - column.offset if column.offset else numbers).astype(np.float32)
    if np.isfinite(floats).all():  # the usual case: nothing is missing
        return Coded(floats, None)
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    wrong = (np.abs(numbers) > FLOAT32_MAX) | np.isinf(floats) & ~np.isnan(numbers)
    return _filled(column, numbers, wrong, "is not within ±3.4e38")


def _parsed(text: pa.Array, decimal_comma: bool) -> tuple[npt.NDArray[np.float64], Mask]:
    """Numbers, NaN where there is none, and where there should be."""
    try:
        return _float64(text), np.zeros(len(text), dtype=np.bool_)
    except pa.ArrowInvalid:
        pass
    text = pc.utf8_trim_whitespace(text)
    text = pc.if_else(pc.is_in(text, _MISSING), None, text)
    spelt = pc.replace_substring(text, ",", ".") if decimal_comma else text
    try:
        return _float64(spelt), np.zeros(len(text), dtype=np.bool_)
    except pa.ArrowInvalid:
        words = spelt.dictionary_encode()
        found = [float(word) if _NUMBER.fullmatch(word) else np.nan for word in words.dictionary.to_pylist()]
        none = len(found)
        numbers = np.array([*found, np.nan])[pc.fill_null(words.indices, none).to_numpy(zero_copy_only=False)]
        wrong = np.isnan(numbers) & text.is_valid().to_numpy(zero_copy_only=False)
        return numbers, wrong


def _filled(column: Column, numbers: npt.NDArray[np.float64], wrong: Mask, reason: str) -> Coded:
    """Encode numbers of which NaN is missing, and nothing matters where they are wrong."""
    fill = np.nan if column.fill is None else column.fill
    numbers = np.where(wrong, 0.0, np.where(np.isnan(numbers), fill, numbers))
    return Coded((numbers - column.offset).astype(np.float32), wrong if wrong.any() else None, reason)


def _float64(values: pa.Array) -> npt.NDArray[np.float64]:
    floats: Any = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return floats  # type: ignore[no-any-return]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
