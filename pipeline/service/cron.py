"""Cron expressions as crontab(5) has them, for APScheduler's trigger, which reads some of it differently.

There Monday is 0, a day of the month and a weekday must both fit, and what follows a name is not looked at. And in
zones whose clocks change it can pass over a day (`0 0 * * mon` in Lisbon has no 30 March 2026), so it gets UTC here,
and `pipeline.service.schedules` does the rest.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from apscheduler.triggers.combining import OrTrigger  # type: ignore[import-untyped]
from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]

from pipeline.errors import ScheduleInvalid

_MONTHS = ("", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBERS = {
    field: {name: str(number) for number, name in enumerate(names)}
    for field, names in (("month", _MONTHS), ("weekday", _WEEKDAYS))
}
_FIELDS = ("minute", "hour", "day", "month", "weekday")
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_ITEM = re.compile(r"(?:\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?")


@lru_cache(maxsize=1024)
def read_cron(text: str) -> Any:
    """A trigger over the times that a clock shows, taken as UTC. Raises ScheduleInvalid.

    As in crontab, where day of the month and weekday are both given, one of them is enough.
    """
    values = text.lower().split()
    try:
        if len(values) != len(_FIELDS):
            raise ValueError(f"it has {len(values)} fields, not {len(_FIELDS)}")
        fields = {name: _plain(name, value) for name, value in zip(_FIELDS, values, strict=True)}
        weekday = fields.pop("weekday")
        fields["day_of_week"] = weekday if weekday == "*" else _weekdays(weekday)
        together = values[2].startswith("*") or values[4].startswith("*")
        ways = [fields] if together else [fields | {other: "*"} for other in ("day", "day_of_week")]
        triggers = [CronTrigger(**way, timezone=UTC) for way in ways]
    except ValueError as error:
        raise ScheduleInvalid(
            f"Cron '{text[:100]}' is not understood: {error}. Give minute, hour, day of the month, month and weekday, "
            "such as '0 6 * * mon-fri'."
        ) from None
    # one that never fires would look for its day until the year 9999, each time
    firing = [trigger for trigger in triggers if trigger.get_next_fire_time(None, _ANY_TIME)]
    if not firing:
        raise ScheduleInvalid(f"Cron '{text[:100]}' never fires: none of its months has that day. Give another day.")
    return OrTrigger(firing)


def _plain(name: str, value: str) -> str:
    """A field with numbers for names. Raises ValueError."""
    numbers = _NUMBERS.get(name, {})
    plain = re.sub(r"\b[a-z]+\b", lambda word: numbers.get(word[0], word[0]), value)
    for item in plain.split(","):
        if not _ITEM.fullmatch(item):
            raise ValueError(f"'{value}' is no {name}")
    return plain


def _weekdays(value: str) -> str:
    """Cron's weekdays, where 0 and 7 are Sunday, one by one as APScheduler's, where 0 is Monday. Raises ValueError."""
    found: set[int] = set()
    for item in value.split(","):
        match = _ITEM.fullmatch(item)
        assert match
        first, last, step = (None if group is None else int(group) for group in match.groups())
        if max(first or 0, last or 0) > 7 or step == 0:
            raise ValueError(f"'{item}' is no weekday")
        if first is None:
            first, last = 0, 6
        elif last is None:
            last = first if step is None else 6
        if last < first:  # as in fri-mon
            last += 7
        found.update((day - 1) % 7 for day in range(first, last + 1, step or 1))
    return ",".join(map(str, sorted(found)))
