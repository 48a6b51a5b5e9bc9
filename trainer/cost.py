"""What an answer costs, and what it may cost."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """`row_us`: µs a row on one thread, asked for 1,000 at once; `size`: bytes of the exported graph."""

    row_us: float
    size: int

    def __add__(self, other: Cost) -> Cost:
        """That of both in one vote."""
        return Cost(self.row_us + other.row_us, self.size + other.size)


@dataclass(frozen=True)
class Limit:
    """What a model may cost at most."""

    row_us: float = math.inf
    size: float = math.inf

    def __bool__(self) -> bool:
        return math.isfinite(min(self.row_us, self.size))

    def allows(self, cost: Cost) -> bool:
        """Whether it costs no more than that."""
        return cost.row_us <= self.row_us and cost.size <= self.size

    def below(self, cost: Cost) -> Limit:
        """A tighter one, after a model that should have kept to this one turned out to cost so much."""
        return Limit(
            self.row_us * min(0.9, 0.9 * self.row_us / cost.row_us), self.size * min(0.9, 0.9 * self.size / cost.size)
        )
