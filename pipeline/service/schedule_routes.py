"""The routes of schedules and triggers. They only speak HTTP: `schedules`, `triggers` and `agenda` do the work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter, Depends

from pipeline.errors import CheckFailed, NotOnAgenda, PipelineError, ScheduleInvalid
from pipeline.service.agenda import Agenda
from pipeline.service.clock import Clock
from pipeline.service.schedule_models import (
    AccuracyAsked,
    DataAsked,
    DriftAsked,
    Problem,
    ScheduleBody,
    Schedules,
    ScheduleShown,
    TriggerBody,
    Triggers,
    TriggerShown,
    show_schedule,
    show_trigger,
)
from pipeline.service.schedules import read_schedule
from pipeline.service.triggers import METRICS, AccuracyTrigger, DataTrigger, DriftTrigger, Trigger

STATUS: Mapping[type[PipelineError], int] = {ScheduleInvalid: 422, CheckFailed: 422, NotOnAgenda: 404}
Authorize = Callable[..., Awaitable[str]]  # a dependency that takes a name, and gives the pipeline's


def schedule_router(agenda: Agenda, clock: Clock, authorize: Authorize) -> APIRouter:
    """The routes; `authorize` is a dependency that takes the name and gives the pipeline's.

    Whoever includes it answers errors with the status in `STATUS`.
    """
    router = APIRouter(
        prefix="/pipelines/{name}",
        responses={401: {"model": Problem}, 404: {"model": Problem}, 422: {"model": Problem}},
    )
    _add_schedules(router, agenda, clock, authorize)
    _add_triggers(router, agenda, clock, authorize)
    return router


def _add_schedules(router: APIRouter, agenda: Agenda, clock: Clock, authorize: Authorize) -> None:
    @router.get("/schedules", tags=["schedules"], summary="The schedules of a pipeline.")
    async def schedules(pipeline: str = Depends(authorize)) -> Schedules:
        return Schedules(schedules=[show_schedule(record) for record in agenda.schedules.of(pipeline)])

    @router.post("/schedules", status_code=201, tags=["schedules"], summary="Run a pipeline by the clock.")
    async def plan(asked: ScheduleBody, pipeline: str = Depends(authorize)) -> ScheduleShown:
        if asked.run_now and not asked.enabled:
            raise ScheduleInvalid("RunNow is true and Enabled false: leave one of them out.")
        schedule = read_schedule(
            clock.now(),
            every=asked.every,
            cron=asked.cron,
            time_zone=asked.time_zone,
            start=asked.start,
            misfire=asked.misfire,
            overlap=asked.overlap,
        )
        added = agenda.plan(
            pipeline, schedule, asked.parameter_assignments, run_now=asked.run_now, enabled=asked.enabled
        )
        clock.wake()
        return show_schedule(added)

    @router.delete("/schedules/{id}", status_code=204, tags=["schedules"], summary="Cancel a schedule.")
    async def cancel(id: str, pipeline: str = Depends(authorize)) -> None:  # noqa: A002
        agenda.schedules.remove(pipeline, id)

    @router.post("/schedules/{id}/enable", tags=["schedules"], summary="Let a schedule fire again.")
    async def enable(id: str, pipeline: str = Depends(authorize)) -> ScheduleShown:  # noqa: A002
        """What would have come while it was disabled is not made up for."""
        enabled = agenda.enable(pipeline, id, clock.now())
        clock.wake()
        return show_schedule(enabled)

    @router.post("/schedules/{id}/disable", tags=["schedules"], summary="Let a schedule fire no more.")
    async def disable(id: str, pipeline: str = Depends(authorize)) -> ScheduleShown:  # noqa: A002
        """A run of it that waits for another to end is given up, too."""
        return show_schedule(agenda.disable(pipeline, id))


def _add_triggers(router: APIRouter, agenda: Agenda, clock: Clock, authorize: Authorize) -> None:
    @router.get("/triggers", tags=["triggers"], summary="The triggers of a pipeline.")
    async def triggers(pipeline: str = Depends(authorize)) -> Triggers:
        return Triggers(triggers=[show_trigger(record) for record in agenda.triggers.of(pipeline)])

    @router.post("/triggers", status_code=201, tags=["triggers"], summary="Run a pipeline when something happens.")
    async def watch(asked: TriggerBody, pipeline: str = Depends(authorize)) -> TriggerShown:
        trigger = _read_trigger(asked)
        memory = await clock.watcher.begin(trigger)
        added = agenda.watch(pipeline, trigger, asked.parameter_assignments, memory, clock.now())
        clock.wake()
        return show_trigger(added)

    @router.delete("/triggers/{id}", status_code=204, tags=["triggers"], summary="Cancel a trigger.")
    async def cancel(id: str, pipeline: str = Depends(authorize)) -> None:  # noqa: A002
        agenda.triggers.remove(pipeline, id)


def _read_trigger(asked: DataAsked | DriftAsked | AccuracyAsked) -> Trigger:
    if isinstance(asked, DataAsked):
        return DataTrigger(asked.path, asked.every_seconds)
    if isinstance(asked, DriftAsked):
        return DriftTrigger(asked.above, asked.every_seconds)
    if asked.metric not in METRICS:
        raise ScheduleInvalid(f"There is no metric '{asked.metric[:100]}': give one of {', '.join(METRICS)}.")
    return AccuracyTrigger(asked.path, asked.metric, asked.below, asked.every_seconds)
