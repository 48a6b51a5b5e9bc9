"""What the model knows of its columns, and tables as the matrix that every learner sees."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from bundle import FLOAT32_MAX, MISSING_WORDS, Column, Matrix
from bundle.manifest import Kind, Value

RESERVED = "hp__"  # starts the names inside of the graphs, and no column's
MAX_CATEGORIES = 255  # rarer ones share the code of unseen categories


def describe(frame: pd.DataFrame) -> tuple[Column, ...]:
    """Describe the columns of the training rows."""
    names = _onnx_names(frame.columns)
    return tuple(_describe(frame[name], onnx_name) for name, onnx_name in zip(frame.columns, names, strict=True))


def kind_of(series: pd.Series) -> Kind:
    """The kind of a column that `read_table` made."""
    if pd.api.types.is_bool_dtype(series.dtype):
        return "boolean"
    return "number" if pd.api.types.is_numeric_dtype(series.dtype) else "category"


def rebase_offset(values: npt.NDArray[np.float64]) -> float:
    """What to take off a column's values so that float32 keeps them apart; 0 where it does anyway.

    A second in a Unix timestamp is lost in float32 (128 s between neighbours at 1.7e9). Differences
    below a millionth of the standard deviation do not count: they are noise of the source.
    """
    values = values[np.isfinite(values)]
    spread = values.std() if len(values) else 0.0
    if not spread:
        return 0.0
    apart = len(np.unique(np.round((values - np.median(values)) / spread, 6)))
    if len(np.unique(values.astype(np.float32))) >= 0.99 * apart:
        return 0.0
    return float(np.floor(np.median(values)))


def matrix(frame: pd.DataFrame, columns: Sequence[Column]) -> Matrix:
    """Encode a table as `bundle.encoding` encodes rows: shape (rows, columns)."""
    encoded = np.empty((len(frame), len(columns)), dtype=np.float32)
    for place, column in enumerate(columns):
        series = frame[column.name]
        if column.kind == "category":
            encoded[:, place] = _codes(series, column.categories)
        else:
            numbers = series.to_numpy(dtype="float64", na_value=np.nan)
            if column.fill is not None:
                numbers = np.where(np.isnan(numbers), column.fill, numbers)
            encoded[:, place] = np.clip(numbers - column.offset, -FLOAT32_MAX, FLOAT32_MAX)
    return encoded


def _codes(series: pd.Series, categories: Sequence[str]) -> npt.NDArray[np.float32]:
    """The place of each category; what is unseen comes after the last one, then what is missing."""
    unseen, words = len(categories), pa.array([*categories, *MISSING_WORDS, None], pa.large_string())
    codes = np.full(len(words) + 1, unseen + 1, dtype=np.float32)
    codes[:unseen] = np.arange(unseen)
    codes[-1] = unseen
    text = pa.array(series, pa.large_string(), from_pandas=True)  # pandas' own ways take ten times as long
    found: npt.NDArray[np.float32] = codes[pc.fill_null(pc.index_in(text, words), len(words)).to_numpy()]
    return found


def rows(frame: pd.DataFrame, columns: Sequence[Column]) -> list[dict[str, Value]]:
    """A table as the rows that a client would send."""
    values = [[_value(value, column) for value in frame[column.name]] for column in columns]
    names = [column.name for column in columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _value(value: object, column: Column) -> Value:
    if pd.isna(value):  # type: ignore[call-overload]
        return None
    if column.kind == "category":
        return str(value)
    if column.kind == "boolean":
        return bool(value)
    number = float(value)  # type: ignore[arg-type]
    return int(number) if column.integer else number


def _describe(series: pd.Series, onnx_name: str) -> Column:
    kind = kind_of(series)
    present = series.dropna()
    column = Column(
        name=str(series.name),
        onnx_name=onnx_name,
        kind=kind,
        required=len(present) == len(series),
        missing_share=round(1 - len(present) / len(series), 6),
        example=None,
    )
    if kind == "category":
        counts = present.value_counts()
        # most frequent first, equal counts by name, so that the same rows give the same codes
        order = sorted(counts.index, key=lambda category: (-int(counts[category]), category))
        return replace(column, example=order[0], categories=tuple(order[:MAX_CATEGORIES]))
    if kind == "boolean":
        common = bool(present.mode().iloc[0])
        return replace(column, example=common, fill=float(common) if column.required else None)
    numbers = present.to_numpy(dtype="float64")
    integer = bool((numbers == np.round(numbers)).all()) and float(np.abs(numbers).max()) < 2**53
    middle = float(np.sort(numbers)[len(numbers) // 2])
    return replace(
        column,
        example=int(middle) if integer else middle,
        integer=integer,
        minimum=float(numbers.min()),
        maximum=float(numbers.max()),
        offset=rebase_offset(numbers),
        fill=middle if column.required else None,
    )


def _onnx_names(names: Iterable[str]) -> list[str]:
    """ONNX takes C90 identifiers; two columns that would share one get their place appended."""
    taken: set[str] = {"label", "probabilities", "value", "matrix"}
    result = []
    for place, name in enumerate(names):
        base = re.sub(r"[^A-Za-z0-9_]", "_", name)
        if not re.match(r"[A-Za-z_]", base) or not base.strip("_") or base.startswith(RESERVED):
            base = f"column_{base.strip('_')}" if base.strip("_") else f"column_{place}"
        unique = base if base not in taken else f"{base}_{place}"
        while unique in taken:
            unique += "_"
        taken.add(unique)
        result.append(unique)
    return result
