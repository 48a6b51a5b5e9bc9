"""`/invocations` as MLflow's scoring server speaks it.

Formats, errors and media types follow `mlflow.pyfunc.scoring_server` 3.17, but for Parquet; values are
held to the strict rules of the other dialects, where MLflow would cast them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast, get_args

import msgspec

from bundle import Column
from serving.errors import InvalidRequest, MediaUnsupported
from serving.exchange import Answer, Dialect, Request, worded
from serving.nan import nan_as_null
from serving.scorer import Method, Scorer, shown

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_CODES = {
    401: "UNAUTHENTICATED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL_ERROR",
    501: "NOT_IMPLEMENTED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").fullmatch
_BOOLEANS = {"": None, "true": True, "false": False, "1": True, "0": False}

Records = list[dict[str, Any]]


class Invocations(Dialect):
    """The four JSON formats, and CSV."""

    name = "mlflow"

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._names = [column.name for column in scorer.manifest.columns]
        self._columns = {column.name: column for column in scorer.manifest.columns}

    def answer(self, request: Request) -> Answer:
        """Rows in any of the formats → labels or probabilities."""
        method: Method = "predict"
        if _media(request.headers.get(b"content-type", b"")) == "text/csv":
            records = self._from_csv(request.body)
        else:
            records, method = self._from_json(request.body)
        rows = self._scorer.rows(records)
        predictions = self._scorer.score(rows, method, request.deadline)
        return Answer(msgspec.json.encode({"predictions": predictions}), rows=len(rows))

    @classmethod
    def refusal(cls, status: int, message: str) -> bytes:
        """MLflow's error."""
        return worded({"error_code": _CODES.get(status, "BAD_REQUEST"), "message": message})

    def _from_json(self, body: bytes) -> tuple[Records, Method]:
        content = _decoded(body)
        if not isinstance(content, dict):
            raise InvalidRequest(f"The body should be a JSON object with one of {', '.join(FORMATS)}.")
        given = [name for name in FORMATS if name in content]
        if len(given) != 1:
            raise InvalidRequest(f"Give exactly one of {', '.join(FORMATS)}; got {', '.join(given) or 'none'}.")
        unknown = sorted(set(content) - {given[0], "params"})
        if unknown:
            raise InvalidRequest(f"Unknown field {shown(unknown[0])}. Known are: {', '.join(FORMATS)}; and params.")
        value = content[given[0]]
        match given[0], value:
            case "dataframe_split", {"columns": list(columns), "data": list(data), **rest} if set(rest) <= {"index"}:
                records = self._from_rows(columns, data)
            case "dataframe_split", _:
                raise InvalidRequest(
                    f"'dataframe_split' should be an object with lists 'columns' and 'data', got {shown(value)}."
                )
            case (("instances" | "inputs"), dict()):
                records = self._from_columns(value)
            case (("instances" | "inputs"), [list(), *_]):
                records = self._from_rows(self._names, value)
            case _, list():
                records = value
            case name, _:
                raise InvalidRequest(f"'{name}' should be a list of rows, got {shown(value)}.")
        return records, _method(content.get("params"))

    def _from_rows(self, columns: list[Any], data: list[Any]) -> Records:
        self._scorer.admit(len(data))
        for name in columns:
            if not isinstance(name, str):
                raise InvalidRequest(f"'columns' should hold the names of columns, got {shown(name)}.")
        _refuse_twins(columns)
        for number, row in enumerate(data):
            if not isinstance(row, list) or len(row) != len(columns):
                raise InvalidRequest(
                    f"Row {number} should be a list of {len(columns)} values ({', '.join(columns)}), got {shown(row)}."
                )
        return [dict(zip(columns, row, strict=True)) for row in data]

    def _from_columns(self, columns: dict[str, Any]) -> Records:
        count = None
        for name, values in columns.items():
            if not isinstance(values, list):
                raise InvalidRequest(f"Column {shown(name)} should be a list of values, got {shown(values)}.")
            count = len(values) if count is None else count
            if len(values) != count:
                raise InvalidRequest(
                    f"Column {shown(name)} has {len(values)} values, {shown(next(iter(columns)))} has {count}."
                )
        self._scorer.admit(count or 0)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _from_csv(self, body: bytes) -> Records:
        """Rows of a table with a header; what is no value of its column stays text, and is complained of as such."""
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"The CSV is not in UTF-8: {error}.") from error
        lines = _lines(text)
        _, header = next(lines, (0, []))
        if not header:
            raise InvalidRequest(f"The CSV is empty. Expected a header: {','.join(self._names)}.")
        _refuse_twins(header)
        cells = [(name, self._columns.get(name)) for name in header]
        records: Records = []
        for line, row in lines:
            if len(row) != len(header):
                raise InvalidRequest(f"Line {line} of the CSV has {len(row)} cells, its header {len(header)}.")
            records.append({name: _value(cell, column) for (name, column), cell in zip(cells, row, strict=True)})
            self._scorer.admit(len(records))
        return records


def _media(declared: bytes) -> str:
    """The media type. Raises MediaUnsupported on what cannot be read."""
    media, *parameters = (part.strip().lower() for part in declared.decode("latin-1").split(";"))
    if media not in ("application/json", "text/csv"):
        raise MediaUnsupported(
            f"Expects Content-Type to be application/json or text/csv, got {shown(declared.decode('latin-1'))}."
        )
    for parameter in parameters:
        if parameter and parameter.replace('"', "") not in ("charset=utf-8", "header=present"):
            raise MediaUnsupported(f"Expects UTF-8 and no other parameter in Content-Type, got {shown(parameter)}.")
    return media


def _decoded(body: bytes) -> Any:
    try:
        return nan_as_null(msgspec.json.decode, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The body could not be decoded as JSON: {error}.") from error


def _method(params: object) -> Method:
    if params is None:
        return "predict"
    if isinstance(params, dict) and set(params) <= {"method"}:
        for method in get_args(Method):
            if params.get("method", "predict") == method:
                return cast("Method", method)
    raise InvalidRequest(
        f"'params' should be an object with 'method' alone, 'predict' or 'predict_proba', got {shown(params)}."
    )


def _refuse_twins(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidRequest(f"Column {shown(name)} is there twice.")
        seen.add(name)


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines of a CSV that are not empty, each with its number. Raises InvalidRequest."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise InvalidRequest(f"Line {reader.line_num} is no CSV: {error}.") from error


def _value(cell: str, column: Column | None) -> Any:
    if column is None or column.kind == "category":
        return cell  # the encoder knows the words that stand for a missing one
    if column.kind == "boolean":
        return _BOOLEANS.get(cell.lower(), cell)
    if not cell:
        return None
    return float(cell) if _NUMBER(cell) else cell
