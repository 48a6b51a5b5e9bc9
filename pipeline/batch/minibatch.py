"""Mini-batches: as many rows of one file at a time, each with the number that it has in the file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.batch.columns import Spelling


class Rejected(NamedTuple):
    """A row that is none, such as one with too many values."""

    number: int  # in its file; the first row below the header is 1
    value: str
    reason: str


@dataclass(frozen=True)
class MiniBatch:
    """Rows of one file, in its order, and those between them that are none."""

    file: str
    spelling: Spelling
    rows: pa.RecordBatch
    first: int  # number of the first row, also of a rejected one
    rejected: tuple[Rejected, ...] = ()
    position: float = 0.0  # share of the file that has been read

    @property
    def count(self) -> int:
        """Rows of the file that are done with it."""
        return int(self.rows.num_rows) + len(self.rejected)

    def numbers(self) -> np.ndarray:
        """The numbers of its rows."""
        every = np.arange(self.first, self.first + self.count)
        return every if not self.rejected else np.setdiff1d(every, [row.number for row in self.rejected])


class Piece(NamedTuple):
    """Some rows, as a reader gets them, and the share of the file that has been read."""

    rows: pa.RecordBatch
    position: float


def cut(
    file: str,
    spelling: Spelling,
    schema: pa.Schema,
    pieces: Iterable[Piece],
    size: int,
    rejected: deque[Rejected],
    first: int = 1,
) -> Iterator[MiniBatch]:
    """Cut pieces into mini-batches of `size` rows; only the last one may have fewer.

    The reader puts rows that it rejects into `rejected`, before the piece with the row that follows.
    Where the pieces are the same, so are the mini-batches, to the layout of their dictionaries.
    """
    waiting: deque[pa.RecordBatch] = deque()
    count, position = 0, 0.0

    def take(wanted: int, last: bool) -> MiniBatch:
        nonlocal count, first
        parts, missing = [], wanted
        while missing:
            part = waiting.popleft()
            if part.num_rows > missing:
                waiting.appendleft(part.slice(missing))
                part = part.slice(0, missing)
            parts.append(part)
            missing -= part.num_rows
        count -= wanted
        end, between = first + wanted, []
        while rejected and (last or rejected[0].number < end):
            between.append(rejected.popleft())
            end += 1
        batch = MiniBatch(file, spelling, _together(parts, schema), first, tuple(between), position)
        first = end
        return batch

    for piece in pieces:
        if piece.rows.num_rows:
            waiting.append(piece.rows)
            count += piece.rows.num_rows
        position = piece.position
        while count >= size:
            yield take(size, last=False)
    position = 1.0
    if count or rejected:
        yield take(count, last=True)


def _together(parts: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    if not parts:
        return pa.RecordBatch.from_pylist([], schema)
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)
