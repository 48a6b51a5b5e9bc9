"""What is due is fired, once, whatever happens: overlaps, refusals, outages, kills. Time is turned by hand."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.service.clock import RETRY
from pipeline.service.schedules import next_after, read_schedule
from pipeline.service.triggers import DataTrigger
from tests.conftest import ROOT, wait_until
from tests.pipeline.service.fakes import DAY, HOUR, MINUTE, NOON, bench


@pytest.fixture
def shop(tmp_path):
    with bench(tmp_path) as made:
        yield made


def plan(shop, run_now=False, enabled=True, assignments=None, pipeline="shop", **fields):
    schedule = read_schedule(shop.time(), **({"every": "1h"} | fields))
    return shop.agenda.plan(pipeline, schedule, assignments or {}, run_now=run_now, enabled=enabled).id


def outcome(shop, identity):
    return next(record for record in shop.agenda.schedules.all() if record.id == identity).last


def test_it_fires_at_its_times_and_not_before(shop):
    identity = plan(shop, assignments={"Budget": 120})
    shop.tick()
    shop.tick(HOUR - timedelta(milliseconds=1))
    assert shop.service.asked == []
    assert outcome(shop, identity) is None
    shop.tick(timedelta(milliseconds=1))
    shop.tick()
    key = f"{identity}@2026-07-01T13:00:00+00:00"
    assert shop.service.asked == [key]
    assert shop.service.runs == {key: ("shop", f"schedule {identity} (every 1h)", {"Budget": 120})}
    assert outcome(shop, identity).at == NOON + HOUR
    assert (outcome(shop, identity).run_id, outcome(shop, identity).outcome) == ("run-0", "Started.")
    shop.tick(HOUR)
    assert shop.service.asked[1:] == [f"{identity}@2026-07-01T14:00:00+00:00"]


def test_run_now_is_one_run_more(shop):
    identity = plan(shop, run_now=True)
    shop.tick()
    shop.tick()
    assert shop.service.asked == [f"{identity}@2026-07-01T12:00:00+00:00"]
    shop.tick(HOUR)
    assert len(shop.service.runs) == 2


def test_a_disabled_schedule_does_not_fire_and_makes_up_for_nothing(shop):
    identity = plan(shop, enabled=False)
    shop.tick(5 * HOUR)
    shop.agenda.enable("shop", identity, shop.time())
    shop.tick(MINUTE)
    assert shop.service.asked == []
    shop.tick(HOUR)
    assert shop.service.asked == [f"{identity}@2026-07-01T18:00:00+00:00"]


@pytest.mark.parametrize(
    ("misfire", "runs", "said"),
    [
        ("once", 1, "Started, once for all since 2026-07-01T13:00:00+00:00."),
        ("skip", 0, "Missed: the service was down then, and what is missed is skipped."),
    ],
)
def test_what_was_missed_is_one_run_or_none(shop, misfire, runs, said):
    identity = plan(shop, misfire=misfire)
    shop.reopen()
    shop.tick(10 * DAY + 2 * MINUTE)
    shop.tick()
    assert len(shop.service.asked) == runs
    assert (outcome(shop, identity).at, outcome(shop, identity).outcome) == (NOON + 10 * DAY, said)
    shop.tick(HOUR - 2 * MINUTE)
    assert len(shop.service.asked) == runs + 1


@pytest.mark.parametrize("misfire", ["once", "skip"])
def test_a_time_within_the_grace_is_not_missed(shop, misfire):
    identity = plan(shop, misfire=misfire)
    shop.tick(10 * HOUR + MINUTE)
    assert shop.service.asked == [f"{identity}@2026-07-01T22:00:00+00:00"]


def test_a_run_under_way_lets_a_schedule_skip(shop):
    identity = plan(shop)
    shop.service.under_way.add("shop")
    shop.tick(HOUR)
    assert outcome(shop, identity).outcome == "Skipped: a run of 'shop' is queued or under way."
    assert outcome(shop, identity).run_id is None
    shop.service.under_way.clear()
    shop.tick(MINUTE)
    assert shop.service.asked == []
    shop.tick(HOUR)
    assert len(shop.service.asked) == 1


def test_or_wait_and_one_waits_for_all(shop):
    identity = plan(shop, overlap="queue")
    shop.service.under_way.add("shop")
    shop.tick(HOUR)
    assert outcome(shop, identity).outcome == "Waits: a run of 'shop' is queued or under way."
    for _ in range(3):
        shop.tick(HOUR)
    shop.reopen()  # what waits, waits on
    shop.tick(RETRY)
    assert shop.service.asked == []
    shop.service.under_way.clear()
    shop.tick(RETRY)
    shop.tick(RETRY)
    assert shop.service.asked == [f"{identity}@2026-07-01T13:00:00+00:00"]
    assert outcome(shop, identity).run_id == "run-0"
    shop.tick(HOUR)
    assert shop.service.asked[1:] == [f"{identity}@2026-07-01T17:00:00+00:00"]


def test_two_that_are_due_at_once_do_not_overlap(shop):
    shop.service.lasting = True
    skipping, waiting = plan(shop), plan(shop, overlap="queue")
    memory = asyncio.run(shop.clock.watcher.begin(DataTrigger("a.csv", 1.0)))
    shop.agenda.watch("shop", DataTrigger("a.csv", 1.0), {}, memory, NOON)
    shop.write("a.csv", "new")
    shop.tick(HOUR / 2)
    shop.tick(HOUR / 2)  # schedules and the trigger, all now
    assert len(shop.service.runs) == 1
    shop.service.under_way.clear()
    shop.tick(MINUTE)
    shop.service.under_way.clear()
    shop.tick(MINUTE)
    causes = [cause.split()[1] for _, cause, _ in shop.service.runs.values()]
    assert len(causes) == len(set(causes)) == 3
    assert {skipping, waiting} < set(causes)


def test_what_waits_is_given_up_with_its_schedule(shop):
    first, second = plan(shop, overlap="queue"), plan(shop, overlap="queue")
    shop.service.under_way.add("shop")
    shop.tick(HOUR)
    shop.agenda.disable("shop", first)
    shop.agenda.schedules.remove("shop", second)
    shop.service.under_way.clear()
    shop.tick(RETRY)
    assert shop.service.asked == []


def test_a_disabled_pipeline_is_told(shop):
    identity = plan(shop)
    shop.service.disabled = True
    shop.tick(HOUR)
    assert outcome(shop, identity).outcome == "Refused: Pipeline 'shop' is DISABLED. Enable it first."
    shop.service.disabled = False
    shop.tick(MINUTE)
    assert len(shop.service.asked) == 1  # it is not tried again
    shop.tick(HOUR)
    assert len(shop.service.runs) == 1


def test_an_engine_that_is_away_is_asked_again_for_the_same_run(shop, caplog):
    identity, other = plan(shop), plan(shop, pipeline="other", overlap="queue")
    shop.service.away = True
    shop.tick(HOUR)
    shop.tick(RETRY / 2)  # not yet
    assert "tried again: ConnectError('no engine')" in outcome(shop, identity).outcome
    shop.tick(RETRY)
    assert caplog.text.count("Traceback (most recent") == 2  # once for each
    shop.service.away = False
    shop.tick(RETRY)
    assert set(shop.service.runs) == {f"{one}@2026-07-01T13:00:00+00:00" for one in (identity, other)}
    assert outcome(shop, identity).outcome == "Started."


def test_a_schedule_that_is_removed_while_it_is_asked_for_does_not_fire(shop):
    identity = plan(shop)

    async def busy(pipeline):
        shop.agenda.schedules.remove("shop", identity)
        return False

    shop.service.busy = busy
    shop.reopen()
    shop.tick(HOUR)
    assert shop.service.asked == []


@pytest.mark.parametrize("kill", ["busy", "before", "after"])
@pytest.mark.parametrize("overlap", ["skip", "queue"])
@pytest.mark.parametrize("down", [timedelta(), 3 * DAY])
def test_who_is_killed_starts_the_same_run_again_and_no_other(shop, kill, overlap, down):
    identity = plan(shop, overlap=overlap, every="4d")
    shop.service.kill = kill
    assert not shop.tick(4 * DAY)
    shop.service.kill = ""
    if kill == "after":
        shop.service.under_way.add("shop")  # by that very run, which must not hold up the second asking
    shop.reopen()
    assert shop.tick(down)
    key = f"{identity}@2026-07-05T12:00:00+00:00"
    assert list(shop.service.runs) == [key]
    assert shop.service.asked == ([key] if kill == "busy" else [key, key])
    assert (outcome(shop, identity).run_id, outcome(shop, identity).outcome) == ("run-0", "Started.")


steps = st.tuples(
    st.sampled_from([MINUTE, 10 * MINUTE, HOUR, 7 * HOUR]),
    st.sampled_from(["", "", "busy", "before", "after"]),
    st.booleans(),  # whether the engine is away
)


@settings(max_examples=60)
@given(st.lists(steps, max_size=12), st.sampled_from(["once", "skip"]), st.sampled_from(["skip", "queue"]))
def test_whatever_happens_each_time_is_run_once_at_most_and_the_last_is_not_lost(happens, misfire, overlap):
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as shop:
        identity = plan(shop, every="20m", misfire=misfire, overlap=overlap)
        schedule = shop.agenda.schedules.all()[0].schedule
        for later, kill, away in happens:
            shop.service.kill, shop.service.away = kill, away
            if not shop.tick(later):
                shop.reopen()
        shop.service.kill, shop.service.away = "", False
        shop.reopen()
        shop.tick()
        record = shop.agenda.schedules.all()[0]
        assert record.fire is None
        assert record.handled <= shop.time() < next_after(schedule, record.handled)  # all is dealt with
        times = [key.removeprefix(f"{identity}@") for key in shop.service.runs]
        assert times == sorted(times)
        passed = (shop.time() - NOON) // (20 * MINUTE)
        assert {*times} <= {(NOON + number * 20 * MINUTE).isoformat() for number in range(1, passed + 1)}
        if misfire == "once" and passed:
            assert record.last.run_id == f"run-{len(times) - 1}"
        assert len(times) == len(set(times))


def test_what_takes_long_holds_nothing_else_up(shop):
    slow, quick = plan(shop, pipeline="slow"), plan(shop, pipeline="quick")
    given_up, start = [], shop.service.start

    async def story():
        async def hesitate(pipeline, cause, assignments, key):
            try:
                if pipeline == "slow":
                    await asyncio.Event().wait()
            except asyncio.CancelledError:
                given_up.append(key)
                raise
            return await start(pipeline, cause, assignments, key)

        shop.service.start = hesitate
        shop.reopen()
        running = asyncio.create_task(shop.clock.run())
        shop.time.now += HOUR
        shop.clock.wake()
        await until(lambda: outcome(shop, quick))
        shop.time.now += HOUR
        shop.clock.wake()
        await until(lambda: len(shop.service.runs) == 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(story())
    assert [pipeline for pipeline, _, _ in shop.service.runs.values()] == ["quick", "quick"]
    assert given_up == [f"{slow}@2026-07-01T13:00:00+00:00"]
    shop.service.start = start
    shop.reopen()
    shop.tick()
    assert given_up[0] in shop.service.runs  # after a restart it is there all the same


async def until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


def test_it_sleeps_until_the_next_time(shop):
    plan(shop)
    assert shop.clock._pause() == timedelta(seconds=15)
    shop.time.now += HOUR - timedelta(seconds=3)
    assert shop.clock._pause() == timedelta(seconds=3)
    shop.agenda.watch(
        "shop", DataTrigger("*.csv", 30.0), {}, asyncio.run(shop.clock.watcher.begin(DataTrigger("a", 1))), NOON
    )
    assert shop.clock._pause() == timedelta(milliseconds=10)
    shop.tick()
    assert shop.clock._pause() == timedelta(seconds=3)


def test_a_file_that_cannot_be_read_for_a_while_does_not_end_the_loop(shop, caplog):
    identity = plan(shop)

    async def story():
        other = sqlite3.connect(shop.path)
        other.execute("ALTER TABLE triggers RENAME TO lost")
        running = asyncio.create_task(shop.clock.run())
        await until(lambda: "The agenda cannot be read" in caplog.text)
        other.execute("ALTER TABLE lost RENAME TO triggers")
        other.close()
        shop.time.now += HOUR
        shop.clock.wake()
        await until(lambda: outcome(shop, identity))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(story())


CHILD = """
import asyncio, json, sys
from datetime import datetime, timedelta
from pathlib import Path
from pipeline.service.schedules import read_schedule
from tests.pipeline.service.fakes import Bench

folder, now = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])

async def main():
    shop = Bench(folder)
    shop.time.now = now
    shop.agenda.plan("shop", read_schedule(now - timedelta(hours=1), every="1h"), {}, run_now=False, enabled=True)

    async def start(pipeline, cause, assignments, key):
        (folder / "asked").write_text(key)
        await asyncio.Event().wait()

    shop.service.start = start
    shop.reopen()
    await shop.clock.run()

asyncio.run(main())
"""


def test_a_process_that_is_killed_while_it_asks(tmp_path, shop):
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), NOON.isoformat()], cwd=ROOT, env=os.environ)
    asked = tmp_path / "asked"
    try:
        wait_until(lambda: process.poll() is not None or (asked.exists() and asked.read_text()))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    shop.reopen()
    shop.tick(MINUTE)
    shop.tick(MINUTE)
    assert list(shop.service.runs) == [asked.read_text()]
    assert shop.service.asked == [asked.read_text()]
