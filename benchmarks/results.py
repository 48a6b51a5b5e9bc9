"""What was measured, as it lies in `docs/benchmarks/serving.json`, and the bars it is held to."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from benchmarks.roster import AUTOML, AZURE, HOMEPORT, LIMIT


class Cost(msgspec.Struct):
    """Requests of one size to one server; the lists have an entry for each round."""

    rows: int
    requests: int  # in a round
    cpu: list[float] = []  # µs of the server's process tree for a request
    client: list[float] = []  # µs of the client for a request
    rate: list[float] = []  # requests a second


class Measured(msgspec.Struct):
    """One server."""

    name: str
    title: str
    settings: str
    versions: dict[str, str]
    first_answer: float  # seconds from its start
    uss: int = 0  # bytes after all rounds
    rss: int = 0
    costs: list[Cost] = []

    def cost(self, rows: int) -> Cost:
        """The requests of one size."""
        return next(cost for cost in self.costs if cost.rows == rows)


class Scaling(msgspec.Struct):
    """Homeport with a number of workers, asked with requests of one size."""

    rows: int
    workers: int
    rate: list[float]
    server_cores: list[float]  # cores that the server kept busy
    client_cores: list[float]


class Results(msgspec.Struct):
    """One run of the benchmark."""

    machine: str
    cores: int
    python: str
    load: float  # average of the last minute, before: what else the machine was doing
    model: str
    rounds: int
    connections: int
    servers: list[Measured] = []
    left_out: dict[str, str] = {}  # title → why
    scaling: list[Scaling] = []

    def server(self, name: str) -> Measured | None:
        """A server by its name, if it was measured."""
        return next((server for server in self.servers if server.name == name), None)

    def ratio(self, name: str, other: str, rows: int) -> float | None:
        """How many times the CPU of `other` a request costs on `name`: of the medians."""
        first, second = self.server(name), self.server(other)
        if first is None or second is None:
            return None
        return median(first.cost(rows).cpu) / median(second.cost(rows).cpu)


class Bar(msgspec.Struct, frozen=True):
    """A ratio of two servers' CPU, and the most or the least that it may be."""

    name: str
    other: str
    rows: int
    at_most: float | None = None
    at_least: float | None = None

    def text(self, results: Results) -> str | None:
        """One line: what was asked, what came out; None if one of the two was not measured."""
        first, second = results.server(self.name), results.server(self.other)
        ratio = results.ratio(self.name, self.other, self.rows)
        if first is None or second is None or ratio is None:
            return None
        met = ratio <= self.at_most if self.at_most is not None else ratio >= (self.at_least or 0)
        limit = f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"
        rows = f"{self.rows:,} row{'s' if self.rows > 1 else ''}"
        return f"{rows}: {first.title} costs {ratio:.3g} × {second.title} ({limit}): {'met' if met else 'not met'}"


BARS: Sequence[Bar] = (
    Bar(HOMEPORT, LIMIT, 1, at_most=2.3),
    Bar(AZURE, HOMEPORT, 1, at_least=10),
    Bar(AUTOML, HOMEPORT, 1, at_least=150),
    Bar(AZURE, HOMEPORT, 32, at_least=3.5),
    Bar(AZURE, HOMEPORT, 1_000, at_least=1.5),
)
