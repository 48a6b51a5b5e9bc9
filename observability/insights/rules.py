"""Alert rules: a file of thresholds, and the value of each at the moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from observability.insights.errors import RulesInvalid
from observability.insights.overview import overview
from observability.insights.reader import Cursor

DEFAULT = Path(__file__).with_name("alerts.toml")
Signal = Literal["failed_share", "response_time_p95", "drift", "availability"]
_UNITS: dict[str, str] = {"failed_share": "%", "response_time_p95": "ms", "drift": "", "availability": "%"}
_AVAILABILITY = """
SELECT 100 * avg(CAST(success AS INTEGER)), count(*) FROM availabilityResults WHERE timestamp >= ?
"""
_DRIFT = """
SELECT max(psi), sum(points) FROM (
    SELECT arg_max(value, timestamp) AS psi, count(*) AS points FROM customMetrics
    WHERE name = 'ml.feature.drift.psi' AND timestamp >= ? GROUP BY customDimensions ->> '$."ml.feature"')
"""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule; `alerts.toml` says what its fields mean."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    signal: Signal
    minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)]
    above: float | None = None
    below: float | None = None
    at_least: Annotated[int, msgspec.Meta(ge=1)] = 1
    severity: Annotated[int, msgspec.Meta(ge=0, le=4)] = 2

    @property
    def threshold(self) -> float:
        """The value past which it fires."""
        found = self.below if self.above is None else self.above
        assert found is not None
        return found

    @property
    def unit(self) -> str:
        """Of its value."""
        return _UNITS[self.signal]

    def fires(self, value: float | None) -> bool:
        """Whether a value is past the threshold; what is not known is not."""
        if value is None:
            return False
        return value > self.threshold if self.above is not None else value < self.threshold

    def measure(self, cursor: Cursor) -> float | None:
        """The value now, None if there is too little to say."""
        if self.signal in {"failed_share", "response_time_p95"}:
            found = overview(cursor, self.minutes)
            count = found["requests"]
            share = 100 * found["failures"] / count if count else None
            value = share if self.signal == "failed_share" else found["p95"]
        else:
            query = _DRIFT if self.signal == "drift" else _AVAILABILITY
            start = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=self.minutes)
            ((value, count),) = cursor.execute(query, [start]).fetchall()
        return value if (count or 0) >= self.at_least else None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    rules: list[Rule]


def read_rules(path: Path | None) -> list[Rule]:
    """The rules of a file, or the default ones. Raises RulesInvalid."""
    path = path or DEFAULT
    try:
        rules = msgspec.toml.decode(path.read_bytes(), type=_File).rules
    except OSError as error:
        raise RulesInvalid(f"{path} cannot be read ({error.strerror}). HOMEPORT_INSIGHTS_ALERTS names it.") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise RulesInvalid(f"{path} holds no alert rules: {error}. {DEFAULT} is an example.") from error
    names = [rule.name for rule in rules]
    for rule in rules:
        if (rule.above is None) == (rule.below is None):
            raise RulesInvalid(f"{path}, rule '{rule.name}': give it either 'above' or 'below'.")
        if names.count(rule.name) > 1:
            raise RulesInvalid(f"{path}: two rules are called '{rule.name}'. Name them apart.")
    return rules
