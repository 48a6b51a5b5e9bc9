"""The export gate: both ONNX graphs, and the compiled kernel where there is one, must answer as the Python
estimators do, on rows made to break them.

Clean rows are the table's own. Damaged rows have cells emptied or filled with what training never
saw. Adversarial rows have numbers on, just below and just above the thresholds of the trees, the
extremes of float32, and strings that are hard to carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
import onnx
import pandas as pd

from bundle import FLOAT32_MAX, Column, Encoder, Matrix
from bundle.agreement import TOLERANCE
from bundle.compiled import Compiled
from bundle.forest import Forest
from bundle.manifest import Label, Parity, Value
from bundle.model import inference_session
from trainer.columns import matrix, rows
from trainer.errors import ParityError
from trainer.measure import kernel_of
from trainer.metrics import Array
from trainer.vote import Ensemble

ROWS = 10_000  # at least, of all three kinds together
CLEAN_ROWS = 10_000
MADE_ROWS = 4_000  # damaged, and as many adversarial

_STRANGE = (
    "",
    " ",
    "NA",
    "?",
    "null",
    "zzz-unseen",
    "ÄÖÜ ß",
    "日本語",
    "🙂",
    "a\nb",
    '"',
    "'",
    "\\",
    "x" * 5_000,
    "0",
    "-1e9",
)


class Graphs(NamedTuple):
    """What a bundle answers from: two serialised graphs, and the forest if the model is one."""

    model: bytes
    scorer: bytes
    forest: Forest | None = None


@dataclass(frozen=True)
class Reference:
    """The Python side of the comparison."""

    ensemble: Ensemble
    columns: tuple[Column, ...]
    classes: tuple[Label, ...]

    def outputs(self, frame: pd.DataFrame) -> Array:
        """Probabilities (rows, classes), or values (rows, 1) in the target's units."""
        return self.ensemble.outputs(matrix(frame, self.columns)).reshape(len(frame), -1)


def gate(reference: Reference, graphs: Graphs, frame: pd.DataFrame, seed: int) -> Parity:
    """Compare on at least ROWS rows made from `frame`. Raises ParityError with the rows that differ."""
    rng = np.random.default_rng(seed)
    columns = reference.columns
    clean = _sample(frame, min(CLEAN_ROWS, len(frame)), rng, replace=False)
    made = max(MADE_ROWS, (ROWS - len(clean) + 1) // 2)
    damaged = _damaged(_sample(frame, made, rng), columns, rng)
    adversarial = _adversarial(_sample(frame, made, rng), columns, _thresholds(graphs.scorer), rng)
    tried = pd.concat([clean, damaged, adversarial], ignore_index=True)

    expected = reference.outputs(tried)
    sent = rows(tried, columns)
    unit = reference.ensemble.scale.unit
    difference = np.zeros(len(tried))
    flipped = np.zeros(len(tried), dtype=bool)
    tied, decided = _decided(reference.ensemble, expected) if reference.classes else (np.zeros(len(tried), bool), None)
    encoded = Encoder(columns)([tuple(row.values()) for row in sent])
    answers = [_run_scorer(graphs.scorer, encoded, reference), _run_model(graphs.model, sent, reference)]
    if kernel := kernel_of(graphs.forest, len(columns), len(reference.classes) or 1):  # without one each load compares
        answers += _run_kernel(kernel, encoded, reference)
    for outputs, labels in answers:
        gap = np.abs(outputs - expected).max(axis=1) / unit
        difference = np.maximum(difference, np.where(np.isfinite(gap), gap, np.inf))
        if labels is not None:
            flipped |= (labels != decided) & ~tied

    wrong = flipped | (difference > TOLERANCE)
    if wrong.any():
        raise ParityError(_complaint(wrong, difference, flipped, sent, (len(clean), made), reference.ensemble))
    return Parity(
        clean_rows=len(clean),
        damaged_rows=made,
        adversarial_rows=made,
        flips=int(flipped.sum()),
        ties=int(tied.sum()),
        max_difference=float(difference.max()),
        tolerance=TOLERANCE,
    )


def _decided(ensemble: Ensemble, expected: Array) -> tuple[Array, Array]:
    """Which rows are too close to call, and the answered classes."""
    if ensemble.threshold is None:
        top = np.sort(expected, axis=1)[:, -2:]
        close = top[:, -1] - top[:, 0]
    else:
        close = np.abs(expected[:, ensemble.positive] - ensemble.threshold)
    return close < TOLERANCE, ensemble.decide(expected)


def feeds(sent: Sequence[dict[str, Value]], columns: Sequence[Column]) -> dict[str, Array]:
    """Rows as the input tensors of `model.onnx`, each of shape (rows, 1)."""
    tensors: dict[str, Array] = {}
    for column in columns:
        values = [row.get(column.name) for row in sent]
        if column.kind == "category":
            array: Array = np.array(["" if value is None else value for value in values], dtype=object)
        else:
            array = np.array(values, dtype=np.float64 if column.offset else np.float32)
        tensors[column.onnx_name] = array.reshape(-1, 1)
    return tensors


def _run_kernel(kernel: Compiled, encoded: Matrix, reference: Reference) -> list[tuple[Array, Array | None]]:
    alone = np.concatenate([kernel(row) for row in encoded[:, np.newaxis]])  # it has a way of its own for few rows
    return [(outputs, _places(outputs, reference)) for outputs in (kernel(encoded), alone)]


def _run_scorer(graph: bytes, encoded: Matrix, reference: Reference) -> tuple[Array, Array | None]:
    (outputs,) = inference_session(graph).run(None, {"matrix": encoded})
    return outputs, _places(outputs, reference)


def _places(outputs: Array, reference: Reference) -> Array | None:
    return reference.ensemble.decide(outputs) if reference.classes else None


def _run_model(graph: bytes, sent: Sequence[dict[str, Value]], reference: Reference) -> tuple[Array, Array | None]:
    *labels, outputs = inference_session(graph).run(None, feeds(sent, reference.columns))
    if not labels:
        return outputs, None
    places = {label: place for place, label in enumerate(reference.classes)}
    return outputs, np.array([places[label] for label in labels[0].tolist()])


def _sample(frame: pd.DataFrame, count: int, rng: np.random.Generator, replace: bool = True) -> pd.DataFrame:
    return frame.iloc[rng.choice(len(frame), count, replace=replace)].reset_index(drop=True)


def _with_cells(
    frame: pd.DataFrame, columns: Sequence[Column], share: float, rng: np.random.Generator, pools: Sequence[list[Any]]
) -> pd.DataFrame:
    """Replace a share of each column's cells by values drawn from the column's pool."""
    result = {}
    for column, pool in zip(columns, pools, strict=True):
        dtype = {"category": "object", "boolean": "boolean", "number": "float64"}[column.kind]
        values = frame[column.name].astype(object).where(frame[column.name].notna(), None).to_numpy(copy=True)
        hit = np.flatnonzero(rng.random(len(frame)) < share)
        for place, drawn in zip(hit, rng.integers(len(pool), size=len(hit)), strict=True):
            values[place] = pool[drawn]
        result[column.name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(result)


def _damaged(frame: pd.DataFrame, columns: Sequence[Column], rng: np.random.Generator) -> pd.DataFrame:
    pools: list[list[Any]] = [[None, *_STRANGE] if column.kind == "category" else [None] for column in columns]
    return _with_cells(frame, columns, 0.2, rng, pools)


def _adversarial(
    frame: pd.DataFrame, columns: Sequence[Column], thresholds: dict[int, Array], rng: np.random.Generator
) -> pd.DataFrame:
    extremes = [0.0, -0.0, 1e-40, -1e-40, 1e-35, 1.0, -1.0, 1e10, -1e10, 1e30, -1e30, FLOAT32_MAX, -FLOAT32_MAX]
    pools: list[list[Any]] = []
    for place, column in enumerate(columns):
        if column.kind == "category":
            pools.append(
                [*_STRANGE, *(change(c) for c in column.categories[:20] for change in (str.upper, "{} ".format))]
            )
        elif column.kind == "boolean":
            pools.append([True, False, None])
        else:
            near = thresholds.get(place, np.zeros(0, dtype=np.float32))
            with np.errstate(over="ignore"):  # CatBoost's first border is the largest float32
                near = np.concatenate(
                    [near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(-np.inf))]
                )
            values = [
                *extremes,
                column.minimum,
                column.maximum,
                *(near[np.isfinite(near)].astype(float) + column.offset),
            ]
            pools.append([round(value) if column.integer else value for value in values if value is not None])
    return _with_cells(frame, columns, 0.4, rng, pools)


def _thresholds(graph: bytes) -> dict[int, Array]:
    """Matrix column → the distinct thresholds of all trees on it."""
    found: dict[int, list[Array]] = {}
    for node in onnx.load_from_string(graph).graph.node:
        if node.op_type.startswith("TreeEnsemble"):
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            places = np.array(attributes["nodes_featureids"])
            values = np.array(attributes["nodes_values"], dtype=np.float32)
            inner = np.array([mode != b"LEAF" for mode in attributes["nodes_modes"]])
            for place in np.unique(places[inner]):
                found.setdefault(int(place), []).append(np.unique(values[inner & (places == place)]))
    return {place: np.unique(np.concatenate(values)) for place, values in found.items()}


def _complaint(
    wrong: Array,
    difference: Array,
    flipped: Array,
    sent: Sequence[dict[str, Value]],
    sizes: tuple[int, int],
    ensemble: Ensemble,
) -> str:
    clean, made = sizes
    parts = (wrong[:clean].sum(), wrong[clean : clean + made].sum(), wrong[clean + made :].sum())
    worst = [int(place) for place in np.argsort(-(difference + flipped))[:3]]
    listed = "\n".join(
        f"  difference {difference[i]:.2g}: {msgspec.json.encode(sent[i]).decode()[:600]}" for i in worst
    )
    learners = ", ".join(sorted({member.learner for member in ensemble.members}))
    return (
        f"The exported graph differs from the Python model on {wrong.sum()} of {len(wrong)} rows ({parts[0]} clean, "
        f"{parts[1]} damaged, {parts[2]} adversarial; {flipped.sum()} with another label). The worst:\n{listed}\n"
        f"No bundle was written. Train again without a learner that is in this model ({learners}) by naming the "
        f"others with --learners, or with another --seed."
    )
