"""Pipelines from a script or a notebook: publish, run, schedule and follow them.

>>> service = PipelineService.local()
>>> pipeline = service.publish("bank", Job("bank-marketing", budget=30), version="1.0")
>>> pipeline.submit("first-try").wait_for_completion()
'Completed'

Names and manners are those of Azure Machine Learning's SDK (`azureml.pipeline.core`) where there is one for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from homeport.errors import PipelineServiceError
from homeport.options import DEFAULT_STATE
from homeport.pipeline_records import Job, Published, Run, Schedule, Trigger
from homeport.pipeline_rest import Rest, path
from homeport.pipeline_run import PipelineRun
from homeport.processes import Service

__all__ = ["Job", "PipelineRun", "PipelineService", "PublishedPipeline", "Schedule", "Trigger"]

Assignments = Mapping[str, Any]  # name as in Job's JSON → value: {"Budget": 30}


class _Pipelines(msgspec.Struct, rename="pascal"):
    pipelines: list[Published]


class _Runs(msgspec.Struct, rename="pascal"):
    runs: list[Run]


class _Schedules(msgspec.Struct, rename="pascal"):
    schedules: list[Schedule]


class _Triggers(msgspec.Struct, rename="pascal"):
    triggers: list[Trigger]


class _Id(msgspec.Struct, rename="pascal"):
    id: str


class _Key(msgspec.Struct, rename="pascal"):
    key: str


class PipelineService:
    """The service that publishes pipelines and runs them.

    `key` is the service's own, which may do everything, or a pipeline's, which may show, run and follow that
    pipeline. All methods raise PipelineServiceError.
    """

    def __init__(self, url: str, key: str, poll_seconds: float = 1.0) -> None:
        self.rest = Rest(url, key, poll_seconds)

    @classmethod
    def local(cls, state: Path = DEFAULT_STATE, key: str | None = None) -> PipelineService:
        """The embedded stack's, whose state is in a folder, by default with its own key."""
        state = Path(state).absolute()
        running = Service(state, "pipeline", "HOMEPORT_PIPELINE", "--pipeline-port").running()
        if running is None:
            raise PipelineServiceError(f"No pipeline service runs here ({state}): `homeport up` starts it.")
        return cls(running.url, key or _service_key(state / "pipeline" / "service.key"))

    def publish(self, name: str, job: Job, version: str | None = None, description: str = "") -> PublishedPipeline:
        """Publish a pipeline, or a further version of it. Only the first has `keys`, and only here."""
        body: dict[str, Any] = {"Name": name, "Description": description, "Job": job}
        if version is not None:
            body["Version"] = version
        return PublishedPipeline(self.rest, self.rest.ask("POST", path("pipelines"), Published, body))

    def pipelines(self, all_versions: bool = False) -> list[PublishedPipeline]:
        """All pipelines, those published last first: of each name the newest version, or all of them."""
        query = {"all": "true"} if all_versions else {}
        found = self.rest.ask("GET", path("pipelines"), _Pipelines, **query).pipelines
        return [PublishedPipeline(self.rest, each, each.id if all_versions else each.name) for each in found]

    def pipeline(self, name: str) -> PublishedPipeline:
        """The newest version of a name, or the version with an Id."""
        return PublishedPipeline(self.rest, self.rest.ask("GET", path("pipelines", name), Published), name)


class PublishedPipeline:
    """A pipeline of a service: of its name the newest version, or the one whose Id was asked for.

    It has the attributes of `Published`, as last seen. All methods raise PipelineServiceError.
    """

    def __init__(self, rest: Rest, published: Published, asked: str | None = None) -> None:
        self.rest = rest
        self.path = ("pipelines", asked or published.name)
        self._take(published)
        self.keys = published.keys

    def __repr__(self) -> str:
        return f"PublishedPipeline(name={self.name!r}, version={self.version!r}, status={self.status!r})"

    def _take(self, published: Published) -> None:
        self.id, self.name, self.version = published.id, published.name, published.version
        self.description, self.status, self.created = published.description, published.status, published.created
        self.endpoint, self.job = published.endpoint, published.job

    def enable(self) -> None:
        """Let it be run."""
        self._take(self.rest.ask("POST", path(*self.path, "enable"), Published))

    def disable(self) -> None:
        """Refuse all runs, also those of schedules and triggers, until it is enabled."""
        self._take(self.rest.ask("POST", path(*self.path, "disable"), Published))

    def regenerate_key(self, name: Literal["primary", "secondary"]) -> str:
        """Make one of its keys anew and return it; the old one ends at once."""
        return self.rest.ask("POST", path(*self.path, "keys", name), _Key).key

    def submit(self, experiment_name: str = "", pipeline_parameters: Assignments | None = None) -> PipelineRun:
        """Run it, with other values of its job if there are any: `{"Budget": 30}`."""
        body: dict[str, Any] = {"ParameterAssignments": dict(pipeline_parameters or {})}
        if experiment_name:
            body["ExperimentName"] = experiment_name
        return PipelineRun(self, self.rest.ask("POST", path(*self.path, "runs"), _Id, body).id)

    def runs(self) -> list[PipelineRun]:
        """Its runs, the latest first."""
        found = self.rest.ask("GET", path(*self.path, "runs"), _Runs).runs
        return [PipelineRun(self, run.id, run) for run in found]

    def run(self, run_id: str | None = None) -> PipelineRun:
        """One run of it; by default the latest."""
        if run_id is not None:
            run = PipelineRun(self, run_id)
            run.get_details()
            return run
        if runs := self.runs():
            return runs[0]
        raise PipelineServiceError(f"{self.name} has not run yet: `homeport pipeline run {self.name}`.")

    def schedule(
        self,
        *,
        every: str | None = None,
        cron: str | None = None,
        start: datetime | str | None = None,
        time_zone: str | None = None,
        misfire: Literal["once", "skip"] = "once",
        overlap: Literal["skip", "queue"] = "skip",
        run_now: bool = False,
        pipeline_parameters: Assignments | None = None,
    ) -> Schedule:
        """Run it `every` so often, such as 30m, 2h or 1d, or by five fields of `cron`. Nothing runs now by itself."""
        body = {
            "Every": every,
            "Cron": cron,
            "Start": start.isoformat() if isinstance(start, datetime) else start,
            "TimeZone": time_zone,
            "Misfire": misfire,
            "Overlap": overlap,
            "RunNow": run_now,
            "ParameterAssignments": dict(pipeline_parameters or {}),
        }
        given = {name: value for name, value in body.items() if value is not None}
        return self.rest.ask("POST", path(*self.path, "schedules"), Schedule, given)

    def schedules(self) -> list[Schedule]:
        """Its schedules."""
        return self.rest.ask("GET", path(*self.path, "schedules"), _Schedules).schedules

    def unschedule(self, schedule_id: str) -> None:
        """Delete a schedule."""
        self.rest.tell("DELETE", path(*self.path, "schedules", schedule_id))

    def enable_schedule(self, schedule_id: str) -> None:
        """Let a schedule run it."""
        self.rest.tell("POST", path(*self.path, "schedules", schedule_id, "enable"))

    def disable_schedule(self, schedule_id: str) -> None:
        """Let a schedule run it no more, until it is enabled."""
        self.rest.tell("POST", path(*self.path, "schedules", schedule_id, "disable"))

    def run_on_data(self, pattern: str, pipeline_parameters: Assignments | None = None) -> Trigger:
        """Run it whenever files that match `pattern` are new or have changed, once nobody writes them any more."""
        return self._trigger({"Kind": "data", "Path": pattern}, pipeline_parameters)

    def run_on_drift(self, above: float, pipeline_parameters: Assignments | None = None) -> Trigger:
        """Run it whenever the traffic drifts (PSI) by more than `above`."""
        return self._trigger({"Kind": "drift", "Above": above}, pipeline_parameters)

    def run_on_accuracy(
        self, labelled: str, metric: str, below: float, pipeline_parameters: Assignments | None = None
    ) -> Trigger:
        """Run it whenever `metric` of the champion on `labelled` rows is past the gate: above it for losses."""
        body = {"Kind": "accuracy", "Path": labelled, "Metric": metric, "Below": below}
        return self._trigger(body, pipeline_parameters)

    def triggers(self) -> list[Trigger]:
        """Its triggers."""
        return self.rest.ask("GET", path(*self.path, "triggers"), _Triggers).triggers

    def untrigger(self, trigger_id: str) -> None:
        """Delete a trigger."""
        self.rest.tell("DELETE", path(*self.path, "triggers", trigger_id))

    def _trigger(self, body: dict[str, Any], parameters: Assignments | None) -> Trigger:
        body["ParameterAssignments"] = dict(parameters or {})
        return self.rest.ask("POST", path(*self.path, "triggers"), Trigger, body)


def _service_key(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError as error:
        raise PipelineServiceError(
            f"The key of the pipeline service, {file}, cannot be read: {error.strerror}."
        ) from error
