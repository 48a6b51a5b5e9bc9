"""From the values of a row to one row of the float matrix that `scorer.onnx` takes.

| kind | value | float |
| --- | --- | --- |
| number | v | float32(v - offset) |
| boolean | false, true | 0, 1 |
| category | the category at place i | i |
| category | one that training did not see | number of categories |
| category | missing | number of categories + 1 |
| number, boolean | missing, as in some training rows | NaN |
| number, boolean | missing, as in no training row | the column's `fill` |

A missing value is null or, in a category, one of `MISSING_WORDS`. `model.onnx` holds the same table
as graph nodes; the parity gate compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.manifest import Column, Value

Matrix = npt.NDArray[np.float32]

# A table that spells a missing category with one of these words, and a client that sends null,
# mean the same.
MISSING_WORDS = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "?")

FLOAT32_MAX = float(np.finfo(np.float32).max)

_BOOLEAN: dict[Value, float | None] = {False: 0.0, True: 1.0, None: None}


class _Codes(dict[Any, float]):
    """Category → code; what is not a key is unseen."""

    def __init__(self, categories: Sequence[str]) -> None:
        missing = float(len(categories) + 1)
        super().__init__(dict.fromkeys((None, *MISSING_WORDS), missing))
        self.update((category, float(code)) for code, category in enumerate(categories))
        self.unseen = float(len(categories))

    def __missing__(self, key: object) -> float:
        return self.unseen


def _lookup(column: Column) -> Callable[[Any], float | None] | None:
    """The function that encodes a value of the column; None where the value is the float already."""
    if column.kind == "category":
        return _Codes(column.categories).__getitem__
    if column.kind == "boolean":
        return _BOOLEAN.__getitem__
    if column.offset:
        return lambda value: None if value is None else value - column.offset
    return None


class Encoder:
    """Encodes rows given as tuples in the order of the columns.

    >>> Encoder(manifest.columns)([(41, "admin."), (None, "pilot")])
    array([[41.,  0.], [nan, 12.]], dtype=float32)
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._lookups = tuple(_lookup(column) for column in columns)
        self._fills = tuple(None if column.fill is None else column.fill - column.offset for column in columns)

    def __call__(self, rows: Iterable[Sequence[Value]]) -> Matrix:
        """Return a matrix of shape (rows, columns). Values must be of their column's type."""
        lookups = self._lookups
        encoded = []
        for row in rows:
            values = [value if code is None else code(value) for code, value in zip(lookups, row, strict=True)]
            if None in values:
                values = [fill if value is None else value for fill, value in zip(self._fills, values, strict=True)]
            encoded.append(values)
        return np.array(encoded, dtype=np.float32)  # numpy turns None into NaN
