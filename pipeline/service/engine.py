"""Prefect, by the few calls of its REST API that are needed (https://docs.prefect.io/v3/api-ref/rest-api).

A flow run is the one truth about a run: what it is of rides in its parameters and tags.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from pipeline.errors import EngineAway

POOL = "homeport"
FLOW = "homeport-pipeline"  # pipeline.flow, which takes seconds to import
ENTRY = "pipeline.flow.run_pipeline"
PAGE = 200  # the most that Prefect lists at once
_BUSY = (429, 503)

Run = dict[str, Any]


class Engine:
    """A client of one Prefect server.

    >>> run = await engine.start("bank", parameters, tags=["pipeline:bank"])
    """

    def __init__(self, url: str, credential: str) -> None:
        """`credential` is `user:password`, as PREFECT_SERVER_API_AUTH_STRING has it."""
        user, _, password = credential.partition(":")
        self._client = httpx.AsyncClient(base_url=f"{url}/api", auth=(user, password), timeout=15, trust_env=False)
        self._deployments: dict[str, str] = {}

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def is_ready(self) -> bool:
        """Whether the server answers."""
        try:
            return (await self._client.get("/health")).is_success
        except httpx.TransportError:
            return False

    async def start(
        self, pipeline: str, parameters: dict[str, Any], tags: Sequence[str], idempotency_key: str | None = None
    ) -> Run:
        """Create a flow run, which the worker takes up. With a key that was used the run of then is returned."""
        body = {
            "parameters": parameters,
            "tags": list(tags),
            "idempotency_key": idempotency_key,
            "enforce_parameter_schema": False,
            "state": {"type": "SCHEDULED"},
        }
        deployment = await self._deployment(pipeline)
        created: Run = await self._call("POST", f"/deployments/{deployment}/create_flow_run", body)
        return created

    async def run(self, run: str) -> Run | None:
        """One flow run, if there is one."""
        found: Run | None = await self._call("GET", f"/flow_runs/{run}", missing=True)
        return found

    async def runs(self, tags: Sequence[str], states: Sequence[str] = ()) -> list[Run]:
        """Flow runs with all of these tags, the newest first; of these types of state, or of any."""
        wanted: dict[str, Any] = {"tags": {"all_": list(tags)}}
        if states:
            wanted["state"] = {"type": {"any_": list(states)}}
        body = {"flow_runs": wanted, "sort": "EXPECTED_START_TIME_DESC", "limit": PAGE}
        found: list[Run] = await self._call("POST", "/flow_runs/filter", body)
        return found

    async def set_state(self, run: str, kind: str, name: str, message: str) -> None:
        """Put a run into a state, whatever its own rules say."""
        details = {"scheduled_time": datetime.now(UTC).isoformat()} if kind == "SCHEDULED" else {}
        state = {"type": kind, "name": name, "message": message, "state_details": details}
        await self._call("POST", f"/flow_runs/{run}/set_state", {"state": state, "force": True})

    async def logs(self, run: str, after: int) -> list[dict[str, Any]]:
        """Lines of a run from that place on, the oldest first."""
        body = {
            "logs": {"flow_run_id": {"any_": [run]}},
            "sort": "TIMESTAMP_ASC",
            "offset": after,
            "limit": PAGE,
        }
        found: list[dict[str, Any]] = await self._call("POST", "/logs/filter", body)
        return found

    async def task_names(self, run: str) -> dict[str, str]:
        """The id of each task run → the name of its step."""
        body = {"flow_runs": {"id": {"any_": [run]}}, "limit": PAGE}
        found = await self._call("POST", "/task_runs/filter", body)
        return {one["id"]: one["name"].rpartition("-")[0] for one in found}  # `train-4f1`

    async def _deployment(self, pipeline: str) -> str:
        """The id of the pipeline's deployment, made if it is not there."""
        if pipeline not in self._deployments:
            await self._call("POST", "/work_pools/", {"name": POOL, "type": "process"}, exists=True)
            flow = await self._call("POST", "/flows/", {"name": FLOW})
            made = await self._call(
                "POST",
                "/deployments/",
                {
                    "name": pipeline,
                    "flow_id": flow["id"],
                    "entrypoint": ENTRY,
                    "work_pool_name": POOL,
                    "job_variables": {"command": f"{sys.executable} -m pipeline.start", "working_dir": "/tmp"},  # noqa: S108
                    "enforce_parameter_schema": False,
                },
            )
            self._deployments[pipeline] = made["id"]
        return self._deployments[pipeline]

    async def _call(
        self, method: str, path: str, body: object = None, *, missing: bool = False, exists: bool = False
    ) -> Any:
        response = await self._asked(method, path, body)
        if (missing and response.status_code == 404) or (exists and response.status_code == 409):
            return None
        if not response.is_success:
            raise EngineAway(f"Prefect answered {method} {path} with {response.status_code}: {response.text[:300]}")
        return response.json() if response.content else None

    async def _asked(self, method: str, path: str, body: object) -> httpx.Response:
        """Ask again where the server says that its database is busy, as SQLite's is at times; nothing was done then."""
        for patience in (0.2, 0.5, 1.0, 2.0, 4.0, None):
            try:
                response = await self._client.request(method, path, json=body)
            except httpx.TransportError as error:
                raise EngineAway(
                    f"Prefect does not answer at {self._client.base_url} ({error or type(error).__name__}). It takes "
                    "some seconds to start; the service's log says more."
                ) from error
            if response.status_code not in _BUSY or patience is None:
                break
            await asyncio.sleep(patience)
        return response
