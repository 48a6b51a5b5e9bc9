"""A challenger beside the champion: it scores a share of the traffic, off the answer's path.

The event loop only puts rows and answers into a queue; a thread scores them once more by the challenger
and adds to the sums of a `Comparison`, which is written to a file. Each worker has a file of its own;
`read_comparison` adds them up.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import secrets
import threading
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from random import random
from time import monotonic, perf_counter
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import astuple

from bundle.drift import SCORES, Baseline
from bundle.model import Outputs
from bundle.store import replace_file
from serving.errors import ServingError
from serving.scorer import Scorer

log = logging.getLogger("homeport.serving")

WAITING = 64  # requests in the queue; what comes on top is skipped and counted
ROWS = 1_000  # of one request
WRITE_SECONDS = 1.0
BOUNDS = tuple(1e-6 * 1.25**step for step in range(80))  # of latencies: 1 µs to 45 s, each a quarter above the last


class Comparison(msgspec.Struct):
    """Sums over the compared requests, so that those of several workers can be added."""

    model: str
    champion: str
    challenger: str
    requests: int = 0
    rows: int = 0
    skipped: int = 0  # requests that found the queue full
    failed: int = 0  # requests that the challenger could not score
    reason: str = ""  # of the first of them
    disagreements: int = 0  # rows whose label differs
    difference: float = 0.0  # sum over rows of the largest difference in probability, or of the value's
    largest: float = 0.0
    champion_seconds: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    challenger_seconds: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seen: dict[str, list[int]] = {}  # counts per bin of the champion's baseline: columns and scores

    def add(self, other: Comparison) -> None:
        """Add the sums of another worker."""
        for name in ("requests", "rows", "skipped", "failed", "disagreements", "difference"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reason = self.reason or other.reason
        self.largest = max(self.largest, other.largest)
        for name in ("champion_seconds", "challenger_seconds"):
            setattr(self, name, _sum(getattr(self, name), getattr(other, name)))
        for name, counts in other.seen.items():
            self.seen[name] = _sum(self.seen.get(name, [0] * len(counts)), counts)


class Shadow:
    """Offers a share of the champion's requests to a challenger."""

    def __init__(
        self, champion: Scorer, challenger: Scorer, share: float, baseline: Baseline | None, folder: Path
    ) -> None:
        names = champion.manifest, challenger.manifest
        self._challenger = challenger
        self._share = share
        self._baseline = baseline
        self._columns = champion.model.names
        self._labels = champion.model.labels, challenger.model.labels
        self._regression = champion.manifest.regression
        self.sums = Comparison(names[0].name, names[0].version, names[1].version)
        self._path = folder / f"{names[0].name}-{names[0].version}-{names[1].version}-{secrets.token_hex(4)}.json"
        self._queue: queue.Queue[tuple[Sequence[msgspec.Struct], Outputs, float] | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def offer(self, rows: Sequence[msgspec.Struct], outputs: Outputs, seconds: float) -> None:
        """Take a scored request, or leave it: quick, and never waits."""
        if random() < self._share:
            try:
                self._queue.put_nowait((rows[:ROWS], outputs[:ROWS], seconds))
            except queue.Full:
                self.sums.skipped += 1

    def stop(self) -> None:
        """Compare what waits, write the sums, and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        written = monotonic()
        dirty = False
        while True:
            with contextlib.suppress(queue.Empty):
                offered = self._queue.get(timeout=WRITE_SECONDS)
                if offered is None:
                    break
                self._compare(*offered)
                dirty = True
            if dirty and monotonic() - written >= WRITE_SECONDS:
                self._write()
                written, dirty = monotonic(), False
        self._write()

    def _compare(self, rows: Sequence[msgspec.Struct], outputs: Outputs, seconds: float) -> None:
        sums = self.sums
        values = [astuple(row) for row in rows]
        try:
            own = self._challenger.rows([dict(zip(self._columns, row, strict=True)) for row in values])
            started = perf_counter()
            others = self._challenger.outputs(own)
            taken = perf_counter() - started
            difference = np.abs(_aligned(others, outputs) - outputs).max(axis=1)
        except Exception as error:  # whatever is wrong with a challenger must not end the comparison
            sums.failed += 1
            sums.reason = sums.reason or f"{type(error).__name__}: {error}"
            return
        sums.requests += 1
        sums.rows += len(rows)
        sums.difference += float(difference.sum())
        sums.largest = max(sums.largest, float(difference.max()))
        if not self._regression:
            pairs = zip(self._labels[0](outputs), self._labels[1](others), strict=True)
            sums.disagreements += sum(ours != theirs for ours, theirs in pairs)
        sums.champion_seconds[bisect_left(BOUNDS, seconds)] += 1
        sums.challenger_seconds[bisect_left(BOUNDS, taken)] += 1
        if self._baseline is not None:
            self._count(self._baseline, values, outputs)

    def _count(self, baseline: Baseline, values: list[Any], outputs: Outputs) -> None:
        seen: dict[str, Sequence[Any]] = dict(zip(self._columns, zip(*values, strict=True), strict=True))
        for name, distribution in baseline.columns.items():
            counts = distribution.count(seen[name])
            self.sums.seen[name] = _sum(self.sums.seen.get(name, [0] * len(counts)), counts)
        counts = baseline.scores.count(outputs[:, -1])
        self.sums.seen[SCORES] = _sum(self.sums.seen.get(SCORES, [0] * len(counts)), counts)

    def _write(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, msgspec.json.encode(self.sums))
        except OSError as error:
            log.error("the comparison with the challenger cannot be written: %s", error)


def read_comparison(folder: Path, model: str, champion: str, challenger: str) -> Comparison:
    """The sums of all workers. Raises ServingError if there are none yet, or one is damaged."""
    total = Comparison(model, champion, challenger)
    for path in sorted(folder.glob(f"{model}-{champion}-{challenger}-*.json")):
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Comparison)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ServingError(f"{path} is damaged ({error}). Delete it.") from error
        # the files of shop-1 look like those of shop: 'shop-1-2-3-…'
        if (found.model, found.champion, found.challenger) == (model, champion, challenger):
            total.add(found)
    if not total.requests + total.failed + total.skipped:
        raise ServingError(
            f"Nothing was compared yet between {model} {champion} and {challenger} (looked into {folder}). "
            "Send requests to the endpoint; the report follows within a second."
        )
    return total


def quantile(counts: Sequence[int], share: float) -> float:
    """A quantile in seconds from counts between `BOUNDS`, the upper end of its bin."""
    target = share * sum(counts)
    reached = 0
    for place, count in enumerate(counts):
        reached += count
        if reached >= target:
            return BOUNDS[min(place, len(BOUNDS) - 1)]
    return 0.0


def _aligned(others: Outputs, outputs: Outputs) -> Outputs:
    if others.shape != outputs.shape:
        raise ServingError(f"it gives {others.shape[1]} numbers a row, the champion {outputs.shape[1]}")
    return others


def _sum(left: Sequence[int], right: Sequence[int]) -> list[int]:
    return [a + b for a, b in zip(left, right, strict=True)]
