"""The file of schedules and triggers: it keeps what it is given, through restarts and beside others."""

import sqlite3
import threading

import pytest

from pipeline.errors import AgendaUnusable, NotOnAgenda
from pipeline.service.agenda import Agenda, Last, fire_of
from pipeline.service.contents import Sight
from pipeline.service.schedules import read_schedule
from pipeline.service.triggers import AccuracyTrigger, DataTrigger, DriftTrigger, Memory
from tests.pipeline.service.fakes import HOUR, NOON


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "pipeline.db"


@pytest.fixture
def agenda(path):
    opened = Agenda(path)
    yield opened
    opened.close()


def plan(agenda, pipeline="shop", **options):
    schedule = read_schedule(NOON, cron="0 6 * * mon", time_zone="Europe/Lisbon", start="2026-08-01T06:00")
    return agenda.plan(pipeline, schedule, {"Budget": 120}, **({"run_now": False, "enabled": True} | options))


def test_all_of_it_is_there_after_a_restart(agenda, path):
    sight = Sight({"/data/a.csv": (3, 1_780_000_000_000_000_001, "ab")}, {"/data/a.csv": (4, 2)})
    schedules = [plan(agenda), plan(agenda, "other", run_now=True), plan(agenda, enabled=False)]
    triggers = [
        agenda.watch("shop", trigger, {"Drop": ["id"]}, Memory(sight, "seen"), NOON)
        for trigger in (
            DataTrigger("new/*.csv", 5.0), DriftTrigger(0.2, 30.0), AccuracyTrigger("a.csv", "rmse", 9.5, 1.0)
        )
    ]  # fmt: skip
    last = Last(NOON, "run-1", "Started.")
    schedules[0] = agenda.schedules.change(schedules[0].id, last=last, fire=fire_of("a", NOON, "schedule a"))
    again = Agenda(path)
    assert again.schedules.all() == schedules
    assert again.triggers.all() == triggers
    assert again.schedules.of("shop") == [schedules[0], schedules[2]]
    assert [record.fire and record.fire.key for record in again.schedules.of("other")] == [
        f"{schedules[1].id}@2026-07-01T12:00:00+00:00"
    ]
    again.close()


def test_a_swap_is_refused_once_anything_changed(agenda):
    seen = plan(agenda)
    assert agenda.schedules.change(seen.id, handled=NOON + HOUR).handled == NOON + HOUR
    assert agenda.schedules.swap(seen, enabled=False) is None
    now = agenda.schedules.get("shop", seen.id)
    assert (now.enabled, now.handled) == (True, NOON + HOUR)
    assert agenda.schedules.swap(now, enabled=False) == agenda.schedules.get("shop", seen.id)


def test_what_is_removed_is_gone_at_once(agenda):
    record = plan(agenda)
    with pytest.raises(NotOnAgenda, match=f"Pipeline 'other' has no '{record.id}' among its schedules"):
        agenda.schedules.remove("other", record.id)
    agenda.schedules.remove("shop", record.id)
    assert agenda.schedules.all() == []
    assert agenda.schedules.change(record.id, enabled=False) is None
    assert agenda.schedules.swap(record, enabled=False) is None
    with pytest.raises(NotOnAgenda):
        agenda.schedules.remove("shop", record.id)


def test_disabled_and_enabled(agenda):
    record = plan(agenda, run_now=True)
    disabled = agenda.disable("shop", record.id)
    assert (disabled.enabled, disabled.fire) == (False, None)
    enabled = agenda.enable("shop", record.id, NOON + HOUR)
    assert (enabled.enabled, enabled.handled) == (True, NOON + HOUR)
    assert agenda.enable("shop", record.id, NOON + 2 * HOUR) == enabled  # it was: what is missed stays missed
    with pytest.raises(NotOnAgenda):
        agenda.enable("shop", "x", NOON)


def test_others_have_tables_in_the_file_too(agenda, path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE pipelines (name TEXT)")
    threads = [threading.Thread(target=lambda: [plan(agenda) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        with other:
            other.execute("INSERT INTO pipelines VALUES ('shop')")
    for thread in threads:
        thread.join()
    assert len(agenda.schedules.all()) == 40
    assert other.execute("SELECT count(*) FROM pipelines").fetchone() == (20,)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "text.db").write_text("This is no database, and long enough to be seen as none." * 20)
    with pytest.raises(AgendaUnusable, match=r"text\.db cannot be opened"):
        Agenda(tmp_path / "text.db")
    with pytest.raises(AgendaUnusable, match="cannot be opened"):
        Agenda(tmp_path / "text.db" / "below.db")
