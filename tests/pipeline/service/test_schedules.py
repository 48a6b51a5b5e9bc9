"""Times to fire: they grow, hold to the wall where they should, and pass over no day when clocks change."""

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ScheduleInvalid
from pipeline.service.schedules import GRACE, due, instant, next_after, read_schedule

LISBON = "Europe/Lisbon"
SPRING, AUTUMN = datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)  # when clocks change there
ZONES = [LISBON, "UTC", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu"]
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

moments = st.one_of(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.builds(
        lambda change, seconds: change + timedelta(seconds=seconds),
        st.sampled_from([SPRING, AUTUMN]),
        st.integers(-100_000, 100_000),
    ),
)
fields = {
    "minute": st.sampled_from(["*", "*/7", "0", "30", "0,15,45", "10-20/3"]),
    "hour": st.sampled_from(["*", "*/5", "0", "1", "2", "0-3", "1,2,13"]),
    "day": st.sampled_from(["*", "*/2", "29", "1,31"]),
    "month": st.sampled_from(["*", "mar,oct", "3-4", "*/3"]),
    "weekday": st.sampled_from(["*", "mon", "sun", "1-5", "0,6", "7", "fri-mon"]),
}
crons = st.builds(lambda *values: {"cron": " ".join(values)}, *fields.values())
intervals = st.builds(
    lambda number, unit: {"every": f"{number}{unit}"}, st.integers(1, 300), st.sampled_from(["m", "h", "d"])
)


@st.composite
def schedules(draw, kinds=crons | intervals):
    now = draw(moments)
    start = draw(st.none() | st.integers(-50, 50).map(lambda hours: (now + hours * HOUR).isoformat()))
    return read_schedule(now, **draw(kinds), time_zone=draw(st.sampled_from(ZONES)), start=start)


def fires(schedule, moment, count):
    found = []
    for _ in range(count):
        moment = next_after(schedule, moment)
        found.append(moment)
    return found


def local(schedule, moment, count):
    return [f"{time.astimezone(schedule.zone):%m-%d %H:%M %Z}" for time in fires(schedule, moment, count)]


def lisbon(now, **fields):
    return read_schedule(now, time_zone=LISBON, **fields)


@given(schedules())
def test_times_grow_and_none_is_before_the_start(schedule):
    found = fires(schedule, schedule.created, 30)
    assert all(earlier < later for earlier, later in pairwise([schedule.created, *found]))
    assert all(time.microsecond == 0 and time.tzinfo is UTC for time in found)
    if schedule.start is not None:
        assert found[0] >= schedule.start


@given(schedules(), st.integers(0, 40), st.floats(0, 0.999))
def test_what_is_due_is_what_a_walk_finds(schedule, count, share):
    walk = fires(schedule, schedule.created, 41)
    until = walk[count] + share * (walk[min(count + 1, 40)] - walk[count])
    found = due(schedule, schedule.created, until)
    assert (found.first, found.time) == (walk[0], max(time for time in walk if time <= until))
    assert found.late == (until - found.time > GRACE)
    assert due(schedule, found.time, until) is None
    assert due(schedule, schedule.created, walk[0] - MINUTE / 60) is None


@given(
    st.sets(st.integers(0, 59), min_size=1, max_size=3),
    st.sets(st.integers(0, 23), min_size=1, max_size=6),
    st.sets(st.integers(0, 6), min_size=1, max_size=7),
    st.sampled_from(ZONES),
    st.sampled_from([SPRING, AUTUMN, datetime(2026, 4, 5, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)]),
)
def test_a_cron_expression_fires_once_for_each_time_on_the_wall(minutes, hours, weekdays, zone, around):
    """Against the definition: all minutes of four days on the wall, those that fit, and when clocks first show them."""
    cron = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * {','.join(map(str, weekdays))}"
    first, last = around - 2 * DAY, around + 2 * DAY
    schedule = read_schedule(first, cron=cron, time_zone=zone)
    wall = datetime(first.year, first.month, first.day) - DAY
    times = [wall + minute * MINUTE for minute in range(7 * 24 * 60)]
    fitting = [t for t in times if t.minute in minutes and t.hour in hours and t.isoweekday() % 7 in weekdays]
    wanted = sorted({instant(time, schedule.zone) for time in fitting})
    found, time = [], first
    while (time := next_after(schedule, time)) <= last:
        found.append(time)
    assert found == [time for time in wanted if first < time <= last]


@given(schedules(intervals))
def test_an_interval_is_elapsed_time_and_days_are_those_of_the_wall(schedule):
    found = fires(schedule, schedule.created, 10)
    number, unit = int(schedule.every[:-1]), schedule.every[-1]
    if unit != "d":
        step = number * {"m": MINUTE, "h": HOUR}[unit]
        assert {later - earlier for earlier, later in pairwise(found)} == {step}
        if schedule.start is None:
            assert found[0] == schedule.created + step
        return
    begin = (schedule.start or schedule.created).astimezone(schedule.zone)
    for time in found:
        shown = time.astimezone(schedule.zone)
        assert (shown.date() - begin.date()).days % number == 0
        assert time == instant(datetime.combine(shown.date(), begin.time()), schedule.zone)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), st.sampled_from(ZONES))
def test_a_time_on_the_wall_is_where_clocks_first_show_it_or_pass_it(wall, zone):
    wall, zone = wall.replace(microsecond=0), ZoneInfo(zone)
    found = instant(wall, zone)
    before = (found - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None)
    assert before < wall <= found.astimezone(zone).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("now", "fields", "wanted"),
    [
        (SPRING - DAY, {"cron": "30 1 * * *"}, ["03-28 01:30 WET", "03-29 02:00 WEST", "03-30 01:30 WEST"]),
        (SPRING - 2 * DAY, {"cron": "0 6 * * *"}, ["03-27 06:00 WET", "03-28 06:00 WET", "03-29 06:00 WEST"]),
        (SPRING - DAY, {"cron": "*/30 1-2 29 3 *"}, ["03-29 02:00 WEST", "03-29 02:30 WEST"]),
        (SPRING - 2 * DAY, {"cron": "0 0 * * mon"}, ["03-30 00:00 WEST", "04-06 00:00 WEST"]),  # APScheduler: 04-06
        (SPRING - HOUR, {"every": "30m"}, ["03-29 00:30 WET", "03-29 02:00 WEST", "03-29 02:30 WEST"]),
        (SPRING - DAY, {"every": "1d", "start": "2026-03-01T01:30"}, ["03-28 01:30 WET", "03-29 02:00 WEST"]),
        (AUTUMN - DAY, {"cron": "30 1 * * *"}, ["10-25 01:30 WEST", "10-26 01:30 WET"]),
        (AUTUMN - 2 * HOUR, {"cron": "0 * * * *"}, ["10-25 01:00 WEST", "10-25 02:00 WET", "10-25 03:00 WET"]),
        (AUTUMN - 2 * HOUR, {"every": "1h"}, ["10-25 01:00 WEST", "10-25 01:00 WET", "10-25 02:00 WET"]),
        (AUTUMN - DAY, {"every": "1d", "start": "2026-10-01T06:00"}, ["10-24 06:00 WEST", "10-25 06:00 WET"]),
        (AUTUMN + HOUR / 2, {"cron": "45 1 * * *"}, ["10-26 01:45 WET"]),  # it was shown, and fired, an hour ago
    ],
)
def test_when_clocks_change_in_lisbon(now, fields, wanted):
    assert local(lisbon(now, **fields), now, len(wanted)) == wanted


NOW = datetime(2026, 7, 1, 12, 0, 0, 700_000, tzinfo=UTC)  # a Wednesday


@pytest.mark.parametrize(
    ("cron", "wanted"),
    [
        ("0 6 * * 1-5", ["07-02 06:00 UTC", "07-03 06:00 UTC", "07-06 06:00 UTC"]),
        ("0 6 * * MON-FRI", ["07-02 06:00 UTC", "07-03 06:00 UTC", "07-06 06:00 UTC"]),
        ("0 6 * * 0", ["07-05 06:00 UTC"]),  # Sunday, and so is
        ("0 6 * * 7", ["07-05 06:00 UTC"]),
        ("0 6 * * 5-7", ["07-03 06:00 UTC", "07-04 06:00 UTC", "07-05 06:00 UTC", "07-10 06:00 UTC"]),
        ("0 6 * * sat-mon", ["07-04 06:00 UTC", "07-05 06:00 UTC", "07-06 06:00 UTC", "07-11 06:00 UTC"]),
        ("0 6 * * */3", ["07-04 06:00 UTC", "07-05 06:00 UTC", "07-08 06:00 UTC"]),
        ("0 6 13 * fri", ["07-03 06:00 UTC", "07-10 06:00 UTC", "07-13 06:00 UTC", "07-17 06:00 UTC"]),  # either
        ("0 6 */2 * sun", ["07-05 06:00 UTC", "07-19 06:00 UTC"]),  # both, as crontab has it
        ("0 6 31 feb fri", ["02-05 06:00 UTC"]),
        ("0 0 29 2 *", ["02-29 00:00 UTC"]),
        ("0 0 1 jan,dec *", ["12-01 00:00 UTC", "01-01 00:00 UTC"]),
        ("5/20 12 * * *", ["07-01 12:05 UTC", "07-01 12:25 UTC", "07-01 12:45 UTC", "07-02 12:05 UTC"]),
    ],
)
def test_cron_is_crontabs(cron, wanted):
    assert local(read_schedule(NOW, cron=cron), NOW, len(wanted)) == wanted


@pytest.mark.parametrize(
    ("start", "wanted"),
    [
        (None, "07-01 15:00 WEST"),  # one interval after its creation
        ("2026-08-01T06:00", "08-01 06:00 WEST"),
        ("2026-08-01T06:00+03:00", "08-01 04:00 WEST"),
        ("2026-01-01T06:30", "07-01 13:30 WEST"),  # nothing for the past, and its steps from there
        ("2026-08-01", "08-01 00:00 WEST"),
    ],
)
def test_where_a_recurrence_starts(start, wanted):
    assert local(lisbon(NOW, every="2h", start=start), NOW, 1) == [wanted]


def test_a_cron_expression_starts_at_its_start_at_the_earliest():
    assert local(lisbon(NOW, cron="0 6 * * *", start="2026-08-01T06:00"), NOW, 1) == ["08-01 06:00 WEST"]


def test_years_of_missed_minutes_are_found_at_once():
    schedule = read_schedule(NOW, cron="* * * * *")
    until = NOW + 3000 * DAY
    found = due(schedule, NOW, until)
    assert (found.first, found.time) == (datetime(2026, 7, 1, 12, 1, tzinfo=UTC), until.replace(microsecond=0))
    assert not found.late


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Give either Every"),
        ({"every": "2h", "cron": "0 6 * * *"}, "Give either Every"),
        ({"every": "59s"}, "Every '59s' is out of range: give at least '1m'"),
        ({"every": "0m"}, "out of range"),
        ({"every": "367d"}, "at most '366d'"),
        ({"every": "2 hours"}, "Every '2 hours' is no interval"),
        ({"every": "-2h"}, "no interval"),
        ({"every": "1.5h"}, "no interval"),
        ({"every": "٢h"}, "no interval"),
        ({"cron": ""}, "it has 0 fields, not 5"),
        ({"cron": "0 6 * *"}, "it has 4 fields, not 5"),
        ({"cron": "60 6 * * *"}, "higher than the maximum value (59). Give minute, hour"),
        ({"cron": "0 6 * * mon2"}, "'mon2' is no weekday"),
        ({"cron": "0 6 * jan2 *"}, "'jan2' is no month"),
        ({"cron": "0 6 * mon *"}, "'mon' is no month"),
        ({"cron": "0 6 * * 8"}, "'8' is no weekday"),
        ({"cron": "0 6 * * mon-"}, "'mon-' is no weekday"),
        ({"cron": "*/0 6 * * *"}, "not understood"),
        ({"cron": "0 6 * * */0"}, "'*/0' is no weekday"),
        ({"cron": "0 6-5 * * *"}, "not understood"),
        ({"cron": "0 6 last * *"}, "'last' is no day"),
        ({"cron": "@daily"}, "not understood"),
        ({"cron": "0 6 30 2 *"}, "Cron '0 6 30 2 *' never fires"),
        ({"every": "2h", "time_zone": "Lisbon"}, "There is no time zone 'Lisbon': give a name"),
        ({"every": "2h", "time_zone": ""}, "There is no time zone ''"),
        ({"every": "2h", "time_zone": "../../etc/passwd"}, "There is no time zone"),
        ({"every": "2h", "time_zone": "Europe"}, "There is no time zone"),
        ({"every": "2h", "time_zone": "x" * 5000}, "There is no time zone"),
        ({"every": "2h", "start": "tomorrow"}, "Start 'tomorrow' is no time of ISO 8601"),
        ({"every": "2h", "start": "1969-12-31T00:00"}, "Start '1969-12-31T00:00' is out of range"),
        ({"every": "2h", "start": "2126-01-01T00:00"}, "out of range"),
        ({"every": "2h", "start": "9999-12-31T23:59-12:00"}, "Start"),
        ({"every": "2h", "start": "0001-01-01T00:00+12:00"}, "Start"),
    ],
)
def test_what_is_no_schedule(fields, words):
    with pytest.raises(ScheduleInvalid, match=re.escape(words)):
        read_schedule(NOW, **fields)


@given(st.text(max_size=20), st.sampled_from(["every", "cron", "start", "time_zone"]))
def test_any_text_is_a_schedule_or_refused(text, field):
    try:
        schedule = read_schedule(NOW, **({"every": "2h"} if field in {"start", "time_zone"} else {}) | {field: text})
    except ScheduleInvalid:
        return
    assert next_after(schedule, NOW) > NOW


def test_a_day_that_a_zone_left_out():
    apia = ZoneInfo("Pacific/Apia")  # it had no 30 December 2011
    skipped = instant(datetime(2011, 12, 30, 12), apia).astimezone(apia)
    assert (skipped.date(), skipped.hour) == (date(2011, 12, 31), 0)
