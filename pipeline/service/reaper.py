"""Finds runs whose process is gone, marks them, and lets them go on from the steps that are finished.

Prefect hears nothing of a process that was killed together with its worker, and leaves the run Running.
Here the lock on the run's folder tells (`pipeline.steps.record`): it ends with the process.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import EngineAway
from pipeline.service.engine import Engine, Run
from pipeline.steps.record import RunFolder

log = logging.getLogger("homeport.pipeline")

TAG = "homeport"  # of all runs of pipelines
LOOK_SECONDS = 2.0
STARTING_SECONDS = 15.0  # from a worker's word that it starts a process to the lock, the first thing that process does
ENDING_SECONDS = 5.0  # a process that has ended well lets the lock go before its last word arrives
RESUMES = 3  # in a row; a run that kills its process each time is given up

_GIVEN_UP = f"Its process ended without a word {RESUMES + 1} times: too little memory? The service's log may say more."


async def watch(engine: Engine, data: Path) -> None:
    """Look for lost runs until cancelled."""
    while True:
        try:
            await look(engine, data)
        except EngineAway as away:
            log.debug("%s", away)
        await asyncio.sleep(LOOK_SECONDS)


async def look(engine: Engine, data: Path) -> None:
    """Look once. Raises EngineAway."""
    for run in await engine.runs([TAG], ["PENDING", "RUNNING", "CANCELLING", "CRASHED"]):
        folder = RunFolder(data, run["id"])
        if folder.is_held() or not _is_lost(run):
            continue
        if run["state_type"] == "CANCELLING":
            await engine.set_state(run["id"], "CANCELLED", "Cancelled", "Its process has ended.")
        elif folder.resumes >= RESUMES:
            log.error("run %s is given up", run["id"])
            await engine.set_state(run["id"], "FAILED", "Failed", _GIVEN_UP)
        else:
            folder.resumes += 1
            log.warning("run %s: its process is gone; it goes on (%s of %s)", run["id"], folder.resumes, RESUMES)
            if run["state_type"] != "CRASHED":
                await engine.set_state(run["id"], "CRASHED", "Crashed", "Its process is gone.")
            await engine.set_state(run["id"], "SCHEDULED", "AwaitingRetry", "It goes on from the finished steps.")


def _is_lost(run: Run) -> bool:
    """Whether it has had the time to take, or to let go, its lock."""
    since = datetime.fromisoformat(run["state"]["timestamp"])
    patience = {"PENDING": STARTING_SECONDS, "CRASHED": 0.0}.get(run["state_type"], ENDING_SECONDS)
    return (datetime.now(UTC) - since).total_seconds() > patience
