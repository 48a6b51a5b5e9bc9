"""Rows in, labels or probabilities out. Knows the model, and no HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from time import monotonic, perf_counter
from typing import Annotated, Any, Literal, cast

import msgspec
import numpy as np
from msgspec.structs import astuple

from bundle import FLOAT32_MAX, Column, Manifest
from bundle.model import Model, Outputs
from serving.errors import DeadlineExceeded, InvalidRequest, TooManyRows

Method = Literal["predict", "predict_proba"]
Observer = Callable[[Sequence[msgspec.Struct], Outputs, float], None]  # rows, outputs, seconds
CHUNK = 4_096  # rows between two looks at the clock: some 30 ms

_Number = Annotated[float, msgspec.Meta(ge=-FLOAT32_MAX, le=FLOAT32_MAX)]
_TYPES: dict[str, Any] = {"number": _Number | None, "boolean": bool | None, "category": str | None}
_EXPECTED = {
    "number": "a number within ±3.4e38, or null",
    "boolean": "true, false or null",
    "category": "a string or null",
}


def row_type(columns: Sequence[Column]) -> type[msgspec.Struct]:
    """A struct that decodes one row strictly; its fields are in the order of the columns.

    A column that was ever missing in training may be absent; any value may be null.
    """
    names = [f"column_{place}" for place in range(len(columns))]  # a column's own name may be no identifier
    return msgspec.defstruct(
        "Row",
        [
            (name, _TYPES[column.kind]) if column.required else (name, _TYPES[column.kind], None)
            for name, column in zip(names, columns, strict=True)
        ],
        rename={name: column.name for name, column in zip(names, columns, strict=True)},
        forbid_unknown_fields=True,
        frozen=True,
        kw_only=True,
        gc=False,
    )


class Scorer:
    """The model of one bundle behind its row type.

    >>> scorer = Scorer(Path("models/bank-marketing/1"))
    >>> scorer.score(msgspec.json.decode(body, type=list[scorer.Row]), "predict")
    ['no', 'yes']
    """

    def __init__(self, bundle: Path, max_rows: int | None = None, compiled: bool = True) -> None:
        """Load and check the bundle; `compiled` lets the kernel score where it may. Raises BundleError."""
        self.bundle = bundle
        self.model = Model(bundle, compiled)
        self.manifest: Manifest = self.model.manifest
        self.Row = row_type(self.manifest.columns)
        self._rows: Any = list[self.Row]  # type: ignore[name-defined]
        self._max_rows = max_rows
        self.observers: tuple[Observer, ...] = ()  # are told of each request that was scored

    def rows(self, values: list[dict[str, Any]]) -> list[Any]:
        """Rows from plain values, held to the same rules as rows that come as JSON. Raises InvalidRequest."""
        try:
            rows: list[Any] = msgspec.convert(values, self._rows)
            return rows
        except msgspec.ValidationError:
            self.complain(values)
            raise

    def admit(self, count: int) -> None:
        """Raises TooManyRows. For those who read rows from something smaller than the rows are."""
        if self._max_rows is not None and count > self._max_rows:
            raise TooManyRows(
                f"The request has {count:,} rows; the endpoint takes {self._max_rows:,}. Send fewer at a time."
            )

    def outputs(self, rows: Sequence[msgspec.Struct], deadline: float = inf) -> Outputs:
        """Probabilities of shape (rows, classes); for regression values of shape (rows, 1).

        Raises TooManyRows, and DeadlineExceeded once `time.monotonic()` is past `deadline`.
        """
        observers = self.observers  # one look: a comparison may end meanwhile
        if not observers:
            return self._outputs(rows, deadline)
        started = perf_counter()
        outputs = self._outputs(rows, deadline)
        seconds = perf_counter() - started
        for observe in observers:
            observe(rows, outputs, seconds)
        return outputs

    def _outputs(self, rows: Sequence[msgspec.Struct], deadline: float) -> Outputs:
        count = len(rows)
        self.admit(count)
        if count <= CHUNK:
            return self.model.outputs(self.model.encode(map(astuple, rows)))
        parts = []
        for start in range(0, count, CHUNK):
            if monotonic() > deadline:
                raise DeadlineExceeded(f"Time was up after {start:,} of {count:,} rows. Send fewer at a time.")
            parts.append(self.model.outputs(self.model.encode(map(astuple, rows[start : start + CHUNK]))))
        return cast("Outputs", np.concatenate(parts))

    def score(self, rows: Sequence[msgspec.Struct], method: Method, deadline: float = inf) -> list[Any]:
        """Labels (or a regression's values), or lists of probabilities in the order of the classes.

        Raises InvalidRequest, TooManyRows, DeadlineExceeded.
        """
        if not rows:
            return []
        outputs = self.outputs(rows, deadline)
        if method == "predict":
            return self.model.labels(outputs)
        if self.manifest.regression:
            raise InvalidRequest("The model is a regression: it has no probabilities. Use the method 'predict'.")
        probabilities: list[Any] = outputs.tolist()
        return probabilities

    def complain(self, rows: object) -> None:
        """Say what is wrong with rows that did not decode. Slow: for the one request that failed.

        Raises InvalidRequest naming the first wrong row, its column, what was got and what is expected.
        """
        if not isinstance(rows, list):
            raise InvalidRequest(f"'data' should be a list of rows (objects), got {shown(rows)}.")
        columns = {column.name: column for column in self.manifest.columns}
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise InvalidRequest(f"Row {number} should be an object of column names and values, got {shown(row)}.")
            for name in row:
                if name not in columns:
                    raise InvalidRequest(f"Row {number}: unknown column {shown(name)}. Expected: {', '.join(columns)}.")
            for name, column in columns.items():
                if name not in row and column.required:
                    raise InvalidRequest(f"Row {number}: column '{name}' is missing. Expected {_expected(column)}.")
                if not _fits(row.get(name), column):
                    raise InvalidRequest(
                        f"Row {number}, column '{name}': got {shown(row[name])}, expected {_expected(column)}."
                    )


def _fits(value: object, column: Column) -> bool:
    try:
        msgspec.convert(value, _TYPES[column.kind])
    except msgspec.ValidationError:
        return False
    return True


def _expected(column: Column) -> str:
    return f"{_EXPECTED[column.kind]}, such as {shown(column.example)}"


def shown(value: object) -> str:
    """A value as JSON for a message, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
