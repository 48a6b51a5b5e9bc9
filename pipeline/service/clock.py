"""Fires what is due: looks at the agenda, sleeps until the next time, and is woken when the agenda changes.

What the service does comes in from outside: how a run is started, whether one is under way, which model is made.
Each schedule and each trigger is attended to by itself, so one that takes long holds no other up.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from pipeline.errors import CheckFailed, PipelineError
from pipeline.service.agenda import Agenda, Fire, Last, Scheduled, Table, Watched, fire_of
from pipeline.service.schedules import Due, due, next_after
from pipeline.service.triggers import Look, Watcher

RETRY = timedelta(seconds=5)  # until a run that could not begin is tried again
LONGEST = timedelta(seconds=15)  # sleep: a clock that is set, or a machine that slept, is noticed after it
_SHORTEST = timedelta(milliseconds=10)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_BUSY = "a run of '{}' is queued or under way."
log = logging.getLogger("homeport.pipeline")

# Of a pipeline, for a cause, with assignments and a key: a run, the same for the same key, whose id it gives. Raises
# PipelineError if it may not run; after any other error it is asked again.
Start = Callable[[str, str, dict[str, Any], str], Awaitable[str]]
Ask = Callable[[str], Awaitable[bool]]  # whether a run of a pipeline is queued or under way
Name = Callable[[str], Awaitable[str]]  # of the model that a pipeline makes


class Clock:
    """Runs an agenda.

    >>> task = asyncio.create_task(Clock(agenda, watcher, start=start, busy=busy, model=model).run())
    """

    def __init__(
        self,
        agenda: Agenda,
        watcher: Watcher,
        *,
        start: Start,
        busy: Ask,
        model: Name,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.agenda, self.watcher, self.now = agenda, watcher, now
        self._start, self._busy, self._model = start, busy, model
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by the id of what is attended to
        self._again: dict[str, datetime] = {}  # when a trigger is looked at next, or a run that waits is tried
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by pipeline
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look at the agenda now: it changed, or a run ended."""
        self._woken.set()

    async def run(self) -> None:
        """Fire what is due until cancelled. What is cut short then is done after the next start."""
        try:
            while True:
                self._woken.clear()
                try:
                    self._begin()
                    pause = self._pause()
                except Exception:  # such as a full disk, which may pass
                    log.exception("The agenda cannot be read; it is tried again.")
                    pause = RETRY
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), pause.total_seconds())
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def tick(self) -> None:
        """Fire what is due now, and wait until it is done."""
        await asyncio.gather(*self._begin())

    def _begin(self) -> list[asyncio.Task[None]]:
        now, begun = self.now(), []
        for record, time in self._times():
            if time <= now:
                self._tasks[record.id] = task = asyncio.create_task(self._attend(record), name=record.id)
                task.add_done_callback(self._ended)
                begun.append(task)
        return begun

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task.get_name()]
        self.wake()

    def _pause(self) -> timedelta:
        now = self.now()
        return max(_SHORTEST, min([now + LONGEST, *(time for _, time in self._times())]) - now)

    def _times(self) -> list[tuple[Scheduled | Watched, datetime]]:
        """What is to be attended to next, and when, but for what is being attended to."""
        found: list[tuple[Scheduled | Watched, datetime]] = []
        for schedule in self.agenda.schedules.all():
            if schedule.enabled:
                time = _LONG_AGO if schedule.fire else next_after(schedule.schedule, schedule.handled)
                found.append((schedule, time))
        found += [(trigger, _LONG_AGO) for trigger in self.agenda.triggers.all()]
        self._again = {record.id: self._again[record.id] for record, _ in found if record.id in self._again}
        return [
            (record, max(time, self._again.get(record.id, time)))
            for record, time in found
            if record.id not in self._tasks
        ]

    async def _attend(self, record: Scheduled | Watched) -> None:
        try:
            await (self._follow(record) if isinstance(record, Scheduled) else self._look(record))
        except Exception as error:  # whatever it is, the others go on and it is tried again
            said = f"Not done, and tried again: {error!r}"
            if record.last is None or record.last.outcome != said:  # once is enough
                log.exception("Pipeline '%s', %s", record.pipeline, record.cause)
            now = self.now()
            self._again[record.id] = now + RETRY
            table = self.agenda.schedules if isinstance(record, Scheduled) else self.agenda.triggers
            with suppress(sqlite3.Error):
                table.change(record.id, last=Last(now, _begun(record), said))

    def _turn(self, pipeline: str) -> asyncio.Lock:
        """Who holds it may ask whether a run is under way, and start one, with nobody in between."""
        return self._turns.setdefault(pipeline, asyncio.Lock())

    async def _follow(self, record: Scheduled) -> None:
        """Do what a schedule says."""
        now, schedules = self.now(), self.agenda.schedules
        found = due(record.schedule, record.handled, now)
        changed = schedules.swap(record, **_taken(record, found)) if found else record
        if changed is None or changed.fire is None:
            return
        fire = changed.fire
        async with self._turn(record.pipeline):
            if fire.stage != "starting":
                if await self._busy(record.pipeline):
                    said = _BUSY.format(record.pipeline)
                    if record.schedule.overlap == "skip":
                        schedules.swap(changed, fire=None, last=Last(fire.time, None, f"Skipped: {said}"))
                        return
                    self._again[record.id] = now + RETRY
                    waiting = msgspec.structs.replace(fire, stage="waiting")
                    schedules.swap(changed, fire=waiting, last=Last(fire.time, None, f"Waits: {said}"))
                    return
                if schedules.swap(changed, fire=msgspec.structs.replace(fire, stage="starting")) is None:
                    return
            await self._fire(schedules, changed, fire)

    async def _look(self, record: Watched) -> None:
        """Look at what a trigger watches."""
        now, triggers = self.now(), self.agenda.triggers
        self._again[record.id] = now + timedelta(seconds=record.trigger.every_seconds)
        if record.fire:
            await self._fire(triggers, record, record.fire)
            return
        if await self._busy(record.pipeline):  # it may fire only once that has ended: no need to look before
            look = Look(record.memory, f"Not looked: {_BUSY.format(record.pipeline)}")
        else:
            look = await self._seen(record)
        if not look.fires:
            triggers.swap(record, memory=look.memory, last=Last(now, _begun(record), look.outcome))
            return
        async with self._turn(record.pipeline):
            if await self._busy(record.pipeline):  # by now: it is looked at anew when that has ended
                return
            fire = fire_of(record.id, now, record.cause, f"Fired: {look.outcome}", "starting")
            if triggers.swap(record, memory=look.memory, fire=fire):
                await self._fire(triggers, record, fire)

    async def _seen(self, record: Watched) -> Look:
        try:
            model = record.assignments.get("Model") or await self._model(record.pipeline)
            return await self.watcher.look(record.trigger, model, record.memory)
        except CheckFailed as error:
            return Look(record.memory, f"Not looked: {error}")

    async def _fire(self, table: Table[Any], record: Scheduled | Watched, fire: Fire) -> None:
        try:
            run = await self._start(record.pipeline, fire.cause, record.assignments, fire.key)
            last = Last(fire.time, run, fire.outcome)
        except PipelineError as error:
            last = Last(fire.time, _begun(record), f"Refused: {error}")
        log.info("Pipeline '%s', %s: %s", record.pipeline, fire.cause, last.outcome)
        table.change(record.id, fire=None, last=last)


def _begun(record: Scheduled | Watched) -> str | None:
    """The run that is told with an outcome that began none: of a trigger, which looks often, the last one."""
    return record.last.run_id if isinstance(record, Watched) and record.last else None


def _taken(record: Scheduled, found: Due) -> dict[str, Any]:
    """What changes when fire times have come: they are dealt with, mostly by one run that is to begin."""
    if record.fire:  # which is for these too
        return {"handled": found.time}
    if found.late and record.schedule.misfire == "skip":
        said = "Missed: the service was down then, and what is missed is skipped."
        return {"handled": found.time, "last": Last(found.time, None, said)}
    several = found.late or found.first < found.time
    outcome = f"Started, once for all since {found.first.isoformat()}." if several else "Started."
    return {"handled": found.time, "fire": fire_of(record.id, found.time, record.cause, outcome)}
