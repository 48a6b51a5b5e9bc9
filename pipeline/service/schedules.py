"""When a pipeline runs by the clock: recurrences and cron expressions, and what of them is due. Nothing here acts.

Cron expressions and whole days go by the clock on the wall of their time zone, shorter intervals by elapsed time. Of a
day on which clocks change, one rule holds: each time on the wall counts once. A time that is shown twice counts when
it is shown first; times that are skipped count, all as one, at the moment of the change.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from apscheduler.triggers.interval import IntervalTrigger  # type: ignore[import-untyped]

from pipeline.errors import ScheduleInvalid
from pipeline.service.cron import read_cron

GRACE = timedelta(seconds=60)  # a fire time that is older is missed: the service was down, or the machine slept
LOWEST, HIGHEST = timedelta(minutes=1), timedelta(days=366)
_SECOND = timedelta(seconds=1)
_UNITS = {"s": _SECOND, "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_EVERY = re.compile(r"([0-9]{1,8})([smhd])")
_FARTHEST = timedelta(days=3653)  # a start that is further away is a slip

Misfire = Literal["once", "skip"]
Overlap = Literal["skip", "queue"]


class Schedule(msgspec.Struct, frozen=True):
    """A recurrence (`every`) or a cron expression; made by `read_schedule`. Times are UTC, of whole seconds."""

    created: datetime
    every: str | None = None
    cron: str | None = None
    time_zone: str = "UTC"
    start: datetime | None = None
    misfire: Misfire = "once"
    overlap: Overlap = "skip"

    @property
    def text(self) -> str:
        """What it is called in the cause of a run."""
        return f"every {self.every}" if self.every else f"cron {self.cron}"

    @property
    def zone(self) -> ZoneInfo:
        """Whose clocks it goes by."""
        return ZoneInfo(self.time_zone)


class Due(msgspec.Struct, frozen=True):
    """What came since the last look: one or more fire times, for which there is at most one run."""

    time: datetime  # the last of them
    first: datetime
    late: bool  # even the last is missed


def read_schedule(
    now: datetime,
    *,
    every: str | None = None,
    cron: str | None = None,
    time_zone: str = "UTC",
    start: str | None = None,
    misfire: Misfire = "once",
    overlap: Overlap = "skip",
) -> Schedule:
    """A schedule that is created now. Raises ScheduleInvalid.

    >>> read_schedule(datetime.now(UTC), every="2h", start="2026-12-01T06:00", time_zone="Europe/Lisbon")
    """
    if (every is None) == (cron is None):
        raise ScheduleInvalid("Give either Every, such as '2h', or Cron, such as '0 6 * * mon-fri'.")
    zone = _read_zone(time_zone)
    created = now.astimezone(UTC).replace(microsecond=0)
    schedule = Schedule(created, every, cron, time_zone, _read_start(start, zone, created), misfire, overlap)
    if every is not None:
        _read_interval(every)
    elif cron is not None:
        read_cron(cron)
    return schedule


def next_after(schedule: Schedule, moment: datetime) -> datetime:
    """The first fire time later than a moment, in UTC; never before the schedule's start.

    A recurrence fires at its start and then in steps; without a start first one step after it was created.
    """
    moment = moment.astimezone(UTC)
    if schedule.start is not None:
        moment = max(moment, schedule.start - _SECOND)
    trigger, by_wall = _trigger(schedule)
    if not by_wall:
        return _step(trigger, moment)
    zone = schedule.zone
    wall = moment.astimezone(zone).replace(tzinfo=UTC)  # what the clock shows; arithmetic on it must know no changes
    while True:
        wall = _step(trigger, wall)
        if (fire := instant(wall, zone)) > moment:
            return fire


def due(schedule: Schedule, handled: datetime, now: datetime) -> Due | None:
    """What came after the last fire time that was dealt with, until now; None if nothing did."""
    first = next_after(schedule, handled)
    if first > now:
        return None
    last, end = first, now
    while (following := next_after(schedule, last)) <= now:  # years may lie between: halve them
        half = next_after(schedule, last + (end - last) / 2)
        if half <= now:
            last = half
        else:
            last, end = following, last + (end - last) / 2
    return Due(last, first, now - last > GRACE)


def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When clocks first show a time, in UTC; for one that they skip, when they do."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return first
    before, after = second, first  # of the skip
    offset = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


@lru_cache(maxsize=1024)
def _trigger(schedule: Schedule) -> tuple[Any, bool]:
    """What steps, and whether it does so on the wall."""
    if schedule.cron is not None:
        return read_cron(schedule.cron), True
    assert schedule.every is not None
    interval = _read_interval(schedule.every)
    begin = schedule.start or schedule.created
    by_wall = schedule.every.endswith("d")
    if by_wall:
        begin = begin.astimezone(schedule.zone).replace(tzinfo=UTC)
    return IntervalTrigger(seconds=interval.total_seconds(), start_date=begin, timezone=UTC), by_wall


def _step(trigger: Any, time: datetime) -> datetime:
    """The first whole second later than a time at which it fires."""
    found = trigger.get_next_fire_time(None, time.replace(microsecond=0) + _SECOND)
    assert isinstance(found, datetime)
    return found


def _read_interval(text: str) -> timedelta:
    if not (match := _EVERY.fullmatch(text)):
        raise ScheduleInvalid(f"Every '{text}' is no interval: give a number and s, m, h or d, such as '2h'.")
    interval = int(match[1]) * _UNITS[match[2]]
    if not LOWEST <= interval <= HIGHEST:
        raise ScheduleInvalid(f"Every '{text}' is out of range: give at least '1m' and at most '366d'.")
    return interval


def _read_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # which of them depends on what is wrong with the name
        raise ScheduleInvalid(
            f"There is no time zone '{name[:100]}': give a name of the IANA database, such as 'Europe/Lisbon'."
        ) from None


def _read_start(text: str | None, zone: ZoneInfo, created: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        start = datetime.fromisoformat(text).replace(microsecond=0)
        start = start.astimezone(UTC) if start.tzinfo else instant(start, zone)
    except (ValueError, OverflowError):
        raise ScheduleInvalid(
            f"Start '{text[:100]}' is no time of ISO 8601: give one such as '2026-12-01T06:00' or with an offset."
        ) from None
    if not datetime(1970, 1, 1, tzinfo=UTC) <= start <= created + _FARTHEST:
        raise ScheduleInvalid(f"Start '{text}' is out of range: give a time from 1970 until ten years from now.")
    return start
