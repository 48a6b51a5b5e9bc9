"""Runs of published pipelines: begun, shown, followed, cancelled, gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import PipelineDisabled, RunNotOver, RunUnknown
from pipeline.service.contract import Line, Log, Run, RunStatus, show_step
from pipeline.service.engine import Engine
from pipeline.service.reaper import TAG
from pipeline.service.registry import Published
from pipeline.service.settings import Settings
from pipeline.steps.record import RunFolder

UNDER_WAY = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")
_STATUS: Mapping[str, RunStatus] = {
    "SCHEDULED": "Queued",
    "PENDING": "Queued",
    "PAUSED": "Queued",
    "RUNNING": "Running",
    "CANCELLING": "Running",
    "COMPLETED": "Completed",
    "FAILED": "Failed",
    "CRASHED": "Queued",  # the reaper lets it go on, or gives it up as Failed
    "CANCELLED": "Canceled",
}
_LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}


class Runs:
    """All runs, as Prefect and the runs' folders know them."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine, self._settings = engine, settings

    async def start(
        self,
        published: Published,
        cause: str,
        experiment: str,
        assignments: Mapping[str, Any],
        idempotency_key: str | None = None,
    ) -> str:
        """Begin a run; its id. Raises PipelineDisabled, JobUnusable, EngineAway."""
        if published.status == "DISABLED":
            raise PipelineDisabled(
                f"Pipeline {published.name} {published.version} is DISABLED and takes no runs. Enable it: "
                f"`homeport pipeline enable {published.name}`."
            )
        job = published.job.assigned(assignments)
        parameters = {
            "pipeline": published.name,
            "pipeline_id": published.id,
            "experiment": experiment or published.name,
            "cause": cause,
            "assignments": dict(assignments),
            "job": job.model_dump(mode="json", by_alias=True),
        }
        run = await self._engine.start(published.name, parameters, [TAG, _tag(published.name)], idempotency_key)
        return str(run["id"])

    async def is_under_way(self, pipeline: str) -> bool:
        """Whether a run of a pipeline is queued or running."""
        return bool(await self._engine.runs([TAG, _tag(pipeline)], [*UNDER_WAY, "CRASHED"]))

    async def list(self, pipeline: str) -> list[Run]:
        """The runs of a pipeline without their steps, the newest first."""
        return [self._show(run, steps=False) for run in await self._engine.runs([TAG, _tag(pipeline)])]

    async def show(self, pipeline: str, run: str) -> Run:
        """One run. Raises RunUnknown, EngineAway."""
        return self._show(await self._find(pipeline, run))

    async def log(self, pipeline: str, run: str, after: int) -> Log:
        """Lines of its log from that place on. Raises RunUnknown, EngineAway."""
        await self._find(pipeline, run)
        found = await self._engine.logs(run, after)
        steps = await self._engine.task_names(run) if found else {}
        lines = [
            Line(
                at=line["timestamp"],
                level=_LEVELS.get(line["level"], str(line["level"])),
                step=steps.get(line["task_run_id"] or "", ""),
                message=line["message"],
            )
            for line in found
        ]
        return Log(lines=lines, next=after + len(lines))

    async def folder(self, pipeline: str, run: str) -> RunFolder:
        """What its steps have left. Raises RunUnknown, EngineAway."""
        await self._find(pipeline, run)
        return RunFolder(self._settings.data, run)

    async def cancel(self, pipeline: str, run: str) -> Run:
        """End it; the process that runs it is told by the worker. Raises RunUnknown, RunNotOver, EngineAway."""
        found = await self._find(pipeline, run)
        if found["state_type"] in ("COMPLETED", "FAILED", "CANCELLED"):
            raise RunNotOver(f"Run {run} has ended already ({_STATUS[found['state_type']]}).")
        waits = found["state_type"] in ("SCHEDULED", "CRASHED")
        kind, name = ("CANCELLED", "Cancelled") if waits else ("CANCELLING", "Cancelling")
        await self._engine.set_state(run, kind, name, "It was cancelled.")
        return await self.show(pipeline, run)

    async def rerun(self, pipeline: str, run: str) -> Run:
        """Let it go on from the step that failed. Raises RunUnknown, RunNotOver, EngineAway."""
        found = await self._find(pipeline, run)
        if found["state_type"] not in ("FAILED", "CANCELLED"):
            raise RunNotOver(
                f"Run {run} is {_STATUS[found['state_type']]}: only one that failed or was canceled can go on. "
                "Start a new one."
            )
        folder = RunFolder(self._settings.data, run)
        folder.resumes = 0
        folder.begin()
        await self._engine.set_state(run, "SCHEDULED", "AwaitingRetry", "It goes on from the step that failed.")
        return await self.show(pipeline, run)

    async def _find(self, pipeline: str, run: str) -> dict[str, Any]:
        found = await self._engine.run(run) if _is_id(run) else None
        if found is None or _tag(pipeline) not in found["tags"]:
            raise RunUnknown(f"Pipeline {pipeline} has no run '{run}'. List them: `homeport pipeline runs {pipeline}`.")
        return found

    def _show(self, run: dict[str, Any], *, steps: bool = True) -> Run:
        given, state = run["parameters"], run["state"]
        records = RunFolder(self._settings.data, run["id"]).steps()
        known = {record.name: record for record in records}
        candidate = known["train"].output or {}
        over = run["state_type"] in ("COMPLETED", "FAILED", "CANCELLED")
        failed = next((record.message for record in records if record.status == "Failed"), "")
        return Run(
            id=run["id"],
            pipeline=given["pipeline"],
            pipeline_id=given["pipeline_id"],
            experiment_name=given["experiment"],
            parameter_assignments=given["assignments"],
            cause=given["cause"],
            status=_STATUS[run["state_type"]],
            message=(state["message"] or "") if run["state_type"] == "COMPLETED" or not failed else failed,
            created=run["created"],
            started=run["start_time"],
            ended=run["end_time"] if over else None,
            seconds=round(float(run["estimated_run_time"] or 0.0), 3),
            promoted=known["promote"].status == "Completed" if over else None,
            model_version=candidate.get("version"),
            page=f"{self._settings.prefect_page or self._settings.prefect_url}/runs/flow-run/{run['id']}",
            steps=[show_step(record) for record in records] if steps else [],
        )


def _tag(pipeline: str) -> str:
    return f"pipeline:{pipeline}"


def _is_id(text: str) -> bool:
    return len(text) == 36 and all(letter in "0123456789abcdef-" for letter in text)
