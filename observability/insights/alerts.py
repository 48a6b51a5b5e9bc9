"""Looks at the rules again and again; each time one begins or ceases to fire, that is an event, told once.

Which rules fire is read back from the events at a start, so that neither a restart nor a kill tells one twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import duckdb

from observability.insights.batch import Batch
from observability.insights.counters import ROLE
from observability.insights.errors import Full, QueryRefused
from observability.insights.reader import Cursor, Reader
from observability.insights.rules import Rule
from observability.insights.tables import as_json
from observability.insights.writer import Writer

FIRED, RESOLVED = "alert.fired", "alert.resolved"
_EVENTS = f"""
SELECT customDimensions ->> '$.rule', arg_max(name, timestamp), max(timestamp) FROM customEvents
WHERE name IN ('{FIRED}', '{RESOLVED}') AND cloud_RoleName = '{ROLE}' GROUP BY ALL
"""  # noqa: S608 (our own words)
log = logging.getLogger("homeport.insights")


@dataclass(frozen=True)
class AlertState:
    """A rule as it was at the last look."""

    rule: Rule
    value: float | None = None  # None: there is too little to say
    firing: bool = False
    since: datetime | None = None  # UTC, when it last began or ceased to fire


class Alerts:
    """Evaluates rules from `start` until `close`; `tell` gets each change once it is stored."""

    def __init__(
        self,
        rules: list[Rule],
        reader: Reader,
        writer: Writer,
        seconds: float,
        tell: Callable[[AlertState], None] | None,
    ) -> None:
        self._reader, self._writer, self._seconds, self._tell = reader, writer, seconds, tell
        self._states = [AlertState(rule) for rule in rules]
        self._end = Event()
        self._thread = Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        """Read what fires already, and look. Raises QueryRefused."""
        self._states = self._reader.read(self._known)
        self._thread.start()

    def close(self) -> None:
        """End after the look under way; call it before the reader's and the writer's."""
        self._end.set()
        self._thread.join()

    def states(self) -> list[AlertState]:
        """All rules, in the order of their file."""
        return list(self._states)

    def _run(self) -> None:
        while not self._end.is_set():
            for place, before in enumerate(self._states):
                try:
                    self._states[place] = self._look(before)
                except (QueryRefused, Full, duckdb.Error, CancelledError) as error:
                    log.warning("Alert rule '%s' could not be evaluated: %s", before.rule.name, error)
            self._end.wait(self._seconds)

    def _known(self, cursor: Cursor) -> list[AlertState]:
        events = {rule: (name, time) for rule, name, time in cursor.execute(_EVENTS).fetchall()}
        return [
            AlertState(state.rule, None, name == FIRED, time.replace(tzinfo=UTC) if time else None)
            for state in self._states
            for name, time in [events.get(state.rule.name, (RESOLVED, None))]
        ]

    def _look(self, before: AlertState) -> AlertState:
        rule = before.rule
        value = self._reader.read(rule.measure)
        firing = rule.fires(value)
        if firing == before.firing:
            return AlertState(rule, value, firing, before.since)
        now = AlertState(rule, value, firing, datetime.now(UTC))
        self._writer.submit(_event(now)).result()  # first: what is told and then forgotten would be told again
        said = log.warning if firing else log.info
        said("Alert '%s' %s: %s %s", rule.name, "fires" if firing else "is over", value, rule.unit)
        if self._tell:
            self._tell(now)
        return now


def described(state: AlertState) -> dict[str, Any]:
    """A state as `/api/alerts` answers it."""
    rule = state.rule
    return {
        "rule": rule.name,
        "signal": rule.signal,
        "state": "firing" if state.firing else "no data" if state.value is None else "ok",
        "value": state.value,
        "threshold": rule.threshold,
        "direction": "below" if rule.above is None else "above",
        "unit": rule.unit,
        "minutes": rule.minutes,
        "severity": rule.severity,
        "since": state.since.isoformat() if state.since else None,
    }


def _event(state: AlertState) -> Batch:
    assert state.since
    batch = Batch()
    common = (as_json(described(state)), None, None, None, ROLE, None, 1)
    batch.add("customEvents", (int(state.since.timestamp() * 1e6), FIRED if state.firing else RESOLVED, *common))
    return batch.seal()
