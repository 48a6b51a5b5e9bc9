"""Posts alerts to an address, in Azure Monitor's common alert schema, from a thread that nothing waits for."""

from __future__ import annotations

import logging
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from queue import Full, Queue
from threading import Event, Thread
from typing import Any

import httpx

from observability.insights.alerts import AlertState

TRIES_AFTER_SECONDS = (0.0, 1.0, 5.0)
TIMEOUT_SECONDS = 10.0
WAITING = 100
log = logging.getLogger("homeport.insights")


class Webhook:
    """Takes states and posts each, with three tries. Its address may hold a secret: it is never logged."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._queue: Queue[AlertState | None] = Queue(WAITING)
        self._end = Event()
        self._thread = Thread(target=self._run, name="webhook", daemon=True)

    def start(self) -> None:
        """Post what comes from now on."""
        self._thread.start()

    def close(self) -> None:
        """End; what waits is not posted any more, the events are stored."""
        self._end.set()
        with suppress(Full):  # then it does not wait
            self._queue.put_nowait(None)

    def tell(self, state: AlertState) -> None:
        """Take a state; it never waits."""
        try:
            self._queue.put_nowait(state)
        except Full:
            log.error("The webhook is too slow: alert '%s' was not posted.", state.rule.name)

    def _run(self) -> None:
        with httpx.Client(timeout=TIMEOUT_SECONDS) as client:
            while (state := self._queue.get()) and not self._end.is_set():
                body = common_alert(state)
                if not any(self._post(client, body, pause) for pause in TRIES_AFTER_SECONDS):
                    log.error("The webhook did not take alert '%s', after several tries.", state.rule.name)

    def _post(self, client: httpx.Client, body: dict[str, Any], pause: float) -> bool:
        if self._end.wait(pause):
            return False
        try:
            return client.post(self._address, json=body).is_success
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            return False


def common_alert(state: AlertState) -> dict[str, Any]:
    """The body, of the schema that Azure Monitor documents as azureMonitorCommonAlertSchema."""
    rule, now = state.rule, (state.since or datetime.now(UTC)).isoformat()
    return {
        "schemaId": "azureMonitorCommonAlertSchema",
        "data": {
            "essentials": {
                "alertId": str(uuid.uuid4()),
                "alertRule": rule.name,
                "severity": f"Sev{rule.severity}",
                "signalType": "Metric",
                "monitorCondition": "Fired" if state.firing else "Resolved",
                "monitoringService": "Homeport insights",
                "firedDateTime" if state.firing else "resolvedDateTime": now,
                "description": f"{rule.signal} over {rule.minutes} minutes",
                "essentialsVersion": "1.0",
                "alertContextVersion": "1.0",
            },
            "alertContext": {
                "condition": {
                    "windowSize": f"PT{rule.minutes}M",
                    "allOf": [
                        {
                            "metricName": rule.signal,
                            "operator": "LessThan" if rule.above is None else "GreaterThan",
                            "threshold": str(rule.threshold),
                            "metricValue": state.value,
                        }
                    ],
                }
            },
        },
    }
