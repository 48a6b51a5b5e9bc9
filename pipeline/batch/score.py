"""The step of a batch: rows as Arrow in, answers as Arrow out. The same function scores here and on Dask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bundle import Manifest
from bundle.decision import decision_of
from bundle.manifest import Label
from bundle.model import Model, Outputs
from pipeline.batch.columns import Spelling, encoded

FAILURES = pa.schema([("row", pa.int64()), ("column", pa.string()), ("value", pa.string()), ("reason", pa.string())])
_SHOWN = 200  # letters of a value that is wrong


class Scored(NamedTuple):
    """The answers to the rows that could be scored, in order, and what was wrong with the others."""

    answers: pa.RecordBatch  # see `answer_fields`
    failures: pa.RecordBatch  # see FAILURES; `row` is the place in the batch


def answer_fields(manifest: Manifest, taken: Sequence[str] = ()) -> list[pa.Field]:
    """The columns that are appended to a row: `prediction`, and for each class `probability_<class>`.

    Where the input has such a column already, ours gets a number: `prediction_2`.
    """
    if manifest.regression:
        kinds = {"prediction": pa.float64()}
    else:
        kinds = {"prediction": pa.array(manifest.classes).type}
        kinds |= {f"probability_{spelt(label)}": pa.float32() for label in manifest.classes}
    fields: list[pa.Field] = []
    for name, kind in kinds.items():
        used = {*taken, *(field.name for field in fields)}
        free = (candidate for n in range(1, len(used) + 2) if (candidate := name if n == 1 else f"{name}_{n}"))
        fields.append(pa.field(next(candidate for candidate in free if candidate not in used), kind))
    return fields


def answer_types(manifest: Manifest) -> list[pa.DataType]:
    """The types of those columns as they come: a class that is text comes as a dictionary."""
    first, *others = [field.type for field in answer_fields(manifest)]
    return [pa.dictionary(pa.int32(), first) if pa.types.is_string(first) else first, *others]


def spelt(label: Label) -> str:
    """A class as part of a name."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def score(model: Model, rows: pa.RecordBatch, spelling: Spelling) -> Scored:
    """Score rows that have columns of the model, by name; one that is absent is missing in all of them.

    >>> score(model, pa.record_batch({"age": [41, 35]}), Spelling()).answers.to_pylist()
    [{'prediction': 'no', 'probability_no': 0.93, 'probability_yes': 0.07}, …]
    """
    columns = model.manifest.columns
    matrix = np.empty((rows.num_rows, len(columns)), dtype=np.float32)
    bad = np.zeros(rows.num_rows, dtype=np.bool_)
    failures = []
    for place, column in enumerate(columns):
        found = rows.schema.get_field_index(column.name)
        values = rows.column(found) if found >= 0 else pa.nulls(rows.num_rows)
        coded = encoded(column, values, spelling)
        matrix[:, place] = coded.floats
        if coded.wrong is not None:
            bad |= coded.wrong
            failures.append(_failures(column.name, values, coded.wrong, coded.reason))
    outputs = model.outputs(matrix[~bad] if failures else matrix)
    return Scored(_answers(model.manifest, outputs), in_order(failures))


def in_order(failures: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Failures as one batch, by row."""
    if not failures:
        return pa.RecordBatch.from_pylist([], FAILURES)
    together = pa.concat_batches(failures)
    return together.take(pc.sort_indices(together, [("row", "ascending")]))  # which is stable


def _answers(manifest: Manifest, outputs: Outputs) -> pa.RecordBatch:
    names = [field.name for field in answer_fields(manifest)]
    kinds = answer_types(manifest)
    if manifest.regression:
        return pa.record_batch([pa.array(outputs[:, 0], kinds[0])], names=names)
    places = pa.array(decision_of(manifest)(outputs), pa.int32())
    labels = pa.DictionaryArray.from_arrays(places, pa.array(manifest.classes))
    if not pa.types.is_dictionary(kinds[0]):
        labels = labels.dictionary_decode()
    probabilities = [pa.array(np.ascontiguousarray(column), pa.float32()) for column in outputs.T]
    return pa.record_batch([labels, *probabilities], names=names)


def _failures(column: str, values: pa.Array, wrong: np.ndarray, reason: str) -> pa.RecordBatch:
    places = np.flatnonzero(wrong)
    shown = [str(value)[:_SHOWN] for value in values.take(pa.array(places)).to_pylist()]
    return pa.record_batch([pa.array(places), [column] * len(places), shown, [reason] * len(places)], schema=FAILURES)
