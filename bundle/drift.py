"""How far what is seen has moved from what training saw: the population stability index.

PSI = Σ (seen - expected) · ln(seen / expected) over bins (Siddiqi, Credit Risk Scorecards, 2006): below
0.1 hardly any, from 0.25 a lot. The expected shares come from the bundle's `baseline.json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bundle.encoding import MISSING_WORDS
from bundle.errors import BundleCorrupt
from bundle.manifest import BASELINE

SCORES = "scores"
_FLOOR = 1e-4  # stands for the share of an empty bin, whose logarithm would be infinite


class Distribution(msgspec.Struct, frozen=True):
    """A column's distribution in training: bins between `edges`, or categories; and the missing share."""

    missing: float
    edges: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    categories: dict[str, float] | None = None

    @property
    def expected(self) -> list[float]:
        """The share of each bin: those of the values, what training did not see, missing."""
        values = self.shares if self.categories is None else self.categories.values()
        return [*values, 0.0, self.missing]

    def count(self, values: Sequence[Any] | npt.NDArray[Any]) -> list[int]:
        """How many values fall into each bin of `expected`."""
        if self.categories is None:
            numbers = np.array(values, dtype=np.float64)  # None becomes NaN
            present = numbers[~np.isnan(numbers)]
            found = np.bincount(np.searchsorted(self.edges, present, side="left"), minlength=len(self.shares))
            return [*found.tolist(), 0, len(numbers) - len(present)]
        counted = Counter(value if value is None else str(value) for value in values)
        known = [counted.pop(category, 0) for category in self.categories]
        missing = sum(counted.pop(word, 0) for word in (None, *MISSING_WORDS))
        return [*known, counted.total(), missing]


class Baseline(msgspec.Struct, frozen=True):
    """The distributions of a bundle; `scores` are the model's outputs (of the last class)."""

    rows: int
    columns: dict[str, Distribution]
    scores: Distribution


def read_baseline(bundle: Path) -> Baseline | None:
    """The baseline of a bundle; None if it has none. Raises BundleCorrupt."""
    path = bundle / BASELINE
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Baseline)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleCorrupt(
            f"{path} holds no distributions: {error}. Copy the bundle anew from where it was written, or train again."
        ) from error


def psi(expected: Sequence[float], counts: Sequence[int]) -> float:
    """The population stability index of counts per bin against expected shares; 0 without any counts."""
    total = sum(counts)
    if not total:
        return 0.0
    before = np.maximum(np.array(expected), _FLOOR)
    now = np.maximum(np.array(counts) / total, _FLOOR)
    both_empty = (before == _FLOOR) & (now == _FLOOR)
    return float(np.where(both_empty, 0.0, (now - before) * np.log(now / before)).sum())
