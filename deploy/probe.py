"""Whether an endpoint answers as it should: its model, with the key, and not without."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from deploy.errors import EndpointUnready
from deploy.spec import DeploymentSpec
from deploy.target import Status

_CRASHES = 3
_LOOK_EVERY = 5  # tries between two looks at the containers


@dataclass(frozen=True)
class Scored:
    """What the endpoint answered to a row of its own description."""

    row: Mapping[str, Any]
    result: Any
    without_key: int
    """Status of the same request without a key."""


class Probe:
    """Waits for one endpoint, and scores a row.

    >>> Probe(address, seconds=900, pause=3).wait(spec, target.status).result
    'no'
    """

    def __init__(self, address: str, seconds: float, pause: float) -> None:
        self._seconds, self._pause = seconds, pause
        self.address = address

    def wait(self, spec: DeploymentSpec, look: Callable[[], Status | None]) -> Scored:
        """Until it serves the wanted version and takes the wanted keys. Raises EndpointUnready, which says why not."""
        deadline = time.monotonic() + self._seconds
        tries = 0
        with httpx.Client(base_url=self.address, timeout=30) as client:
            while True:
                try:
                    why, scored = self._try(client, spec)
                except httpx.TransportError as error:
                    why, scored = f"no answer ({error})", None
                if scored is not None:
                    return scored
                tries += 1
                if tries % _LOOK_EVERY == 0:
                    self._see_crashes(look())
                if time.monotonic() > deadline:
                    raise EndpointUnready(f"{self.address} was not ready after {self._seconds:.0f} s: {why}.")
                time.sleep(self._pause)

    def _try(self, client: httpx.Client, spec: DeploymentSpec) -> tuple[str, Scored | None]:
        ready = client.get("/health/ready")
        said = _json(ready)
        if ready.status_code != 200:
            return f"readiness answers {ready.status_code}, {said.get('reason', 'without a reason')}", None
        if (said.get("model"), said.get("version")) != (spec.model, spec.version):
            return f"it still serves {said.get('model')} {said.get('version')}", None
        row = _json(client.get("/swagger.json"))["definitions"]["Row"]["example"]
        result = None
        for name, key in (("primary", spec.keys.primary), ("secondary", spec.keys.secondary)):
            answer = client.post("/score", json={"data": [row]}, headers={"Authorization": f"Bearer {key}"})
            if answer.status_code != 200:
                return f"with the {name} key /score answers {answer.status_code}", None
            result = _json(answer)["result"][0]
        refused = client.post("/score", json={"data": [row]}).status_code
        if refused != 401:
            raise EndpointUnready(f"{self.address} scores without a key (status {refused}): take it away by `destroy`.")
        return "", Scored(row, result, refused)

    def _see_crashes(self, status: Status | None) -> None:
        for one in status.containers if status else ():
            if one.restarts >= _CRASHES:
                raise EndpointUnready(
                    f"The container {one.name} ends again and again ({one.detail or one.state}, {one.restarts} "
                    "restarts). `logs` says why; `rollback` returns to the release before."
                )


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        raise EndpointUnready(
            f"{answer.request.url} answered {answer.status_code} with no JSON: something else has that address."
        ) from None
    return content if isinstance(content, dict) else {}
