"""A column's test rows in a few bins: categories, quantiles of numbers, the missing ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bundle import Column
from trainer.metrics import Array
from trainer.report.scored import Scored


@dataclass(frozen=True)
class Bins:
    """`place` (rows,) says in which bin a row is, -1 in none; `typical` (bins,) is an encoded value of each bin."""

    labels: tuple[str, ...]
    place: Array
    typical: Array


def bins(scored: Scored, number: int, most: int, ranges: bool) -> Bins:
    """Bins of column `number`, at most `most` and one for missing values; rarer categories are in none.

    `ranges` labels a bin of numbers by its bounds instead of its median.
    """
    column, encoded = scored.columns[number], scored.x[:, number].astype(np.float64)
    missing = scored.frame[column.name].isna().to_numpy()
    if column.kind == "number":
        labels, place, typical = _numbers(column, encoded, missing, most, ranges)
    else:
        labels, place, typical = _categories(column, encoded, missing, most)
    if missing.any():
        place = np.where(missing, len(labels), place)
        labels, typical = [*labels, "missing"], [*typical, float(encoded[missing][0])]
    return Bins(tuple(labels), place, np.array(typical))


def _categories(column: Column, encoded: Array, missing: Array, most: int) -> tuple[list[str], Array, list[float]]:
    codes, counts = np.unique(encoded[~missing], return_counts=True)
    if column.kind == "boolean":
        kept = codes
    else:
        known = codes < len(column.categories)
        codes, counts = codes[known], counts[known]
        kept = codes[np.argsort(-counts, kind="stable")][:most]
    place = np.full(len(encoded), -1)
    for number, code in enumerate(kept):
        place[~missing & (encoded == code)] = number
    if column.kind == "boolean":
        return ["true" if code else "false" for code in kept], place, kept.tolist()
    return [column.categories[int(code)] for code in kept], place, kept.tolist()


def _numbers(
    column: Column, encoded: Array, missing: Array, most: int, ranges: bool
) -> tuple[list[str], Array, list[float]]:
    present = encoded[~missing]
    distinct = np.unique(present)
    if len(distinct) <= most:
        place = np.where(missing, -1, np.searchsorted(distinct, encoded))
        return [number(value + column.offset) for value in distinct], place, distinct.tolist()
    cuts = np.unique(np.quantile(present, np.linspace(0, 1, most + 1)[1:-1], method="lower"))
    cuts = np.unique(np.minimum(cuts, distinct[-2]))  # the last bin holds rows, and where most have it only its own
    place = np.where(missing, -1, np.searchsorted(cuts, encoded, side="left"))
    inside = [present[np.searchsorted(cuts, present, side="left") == number] for number in range(len(cuts) + 1)]
    typical = [float(np.quantile(part, 0.5, method="lower")) for part in inside]
    bounds = [(float(part.min()) + column.offset, float(part.max()) + column.offset) for part in inside]
    if ranges:
        labels = [number(low) if low == high else f"{number(low)} to {number(high)}" for low, high in bounds]
    else:
        labels = [number(value + column.offset) for value in typical]
    return labels, place, typical


def number(value: float) -> str:
    """A number as short as it can be and still be told from its neighbours."""
    if value == round(value) and abs(value) < 1e15:
        return f"{int(value):,}" if abs(value) >= 10_000 else str(int(value))
    return f"{value:,.0f}" if 10_000 <= abs(value) < 1e15 else f"{value:.4g}"
