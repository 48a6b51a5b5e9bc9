"""New data, drift and a metric that got worse: each is seen once, and what cannot be looked at is told."""

import asyncio
import json
import os
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from observability.insights import sql
from observability.insights.batch import Batch
from observability.insights.metrics import add_metrics
from observability.insights.reader import Reader
from observability.insights.store import Store, insert
from pipeline.errors import CheckFailed
from pipeline.service.triggers import METRICS, AccuracyTrigger, DataTrigger, DriftTrigger
from tests.observability.insights.conftest import insights, metrics
from tests.observability.insights.page_data import gauge
from tests.pipeline.service.fakes import OneOff, Time, bench
from trainer.metrics import METRICS as TRAINERS

EVERY = 30.0


@pytest.fixture
def shop(tmp_path):
    with bench(tmp_path) as made:
        yield made


def watch(shop, trigger, **assignments):
    memory = asyncio.run(shop.clock.watcher.begin(trigger))
    return shop.agenda.watch("shop", trigger, assignments, memory, shop.time()).id


def look(shop, times=1):
    """Look at what is due; what is told of the last trigger, and the runs so far."""
    for _ in range(times):
        shop.tick(timedelta(seconds=EVERY))
    return shop.agenda.triggers.all()[-1].last.outcome, len(shop.service.runs)


def test_new_content_fires_once(shop):
    shop.write("new/a.csv", "1")
    identity = watch(shop, DataTrigger("new/*.csv", EVERY), Budget=120)
    assert look(shop, 3) == ("The content of new/*.csv is the one seen last.", 0)
    shop.write("new/b.csv", "2")
    assert look(shop) == ("It changed, or is still being written: it is looked at once more.", 0)
    assert look(shop) == ("Fired: The content of new/*.csv changed.", 1)
    ((key, run),) = shop.service.runs.items()
    assert key.startswith(f"{identity}@2026-07-01T12:02:30")
    assert run == ("shop", f"trigger {identity} (data new/*.csv)", {"Budget": 120})
    shop.reopen()
    assert look(shop, 3) == ("The content of new/*.csv is the one seen last.", 1)
    assert shop.agenda.triggers.all()[0].last.run_id == "run-0"  # of the last run, whatever was seen since


def test_it_waits_as_long_as_somebody_writes(shop):
    path = shop.write("a.csv", "1")
    watch(shop, DataTrigger("a.csv", EVERY))
    for number in range(5):
        with path.open("a") as file:
            file.write(f"{number}\n")
        assert look(shop) == ("It changed, or is still being written: it is looked at once more.", 0)
    assert look(shop)[1] == 1
    os.utime(path, ns=(0, 0))  # of the same size
    assert look(shop)[0].startswith("It changed")
    os.utime(path, ns=(1, 1))
    assert look(shop)[0].startswith("It changed")
    assert look(shop) == ("The content of a.csv is the one seen last.", 1)


def test_what_is_touched_renamed_or_away_for_a_while_is_nothing_new(shop):
    first, second = shop.write("new/a.csv", "1"), shop.write("new/b.csv", "2")
    watch(shop, DataTrigger("new/**/*.csv", EVERY))
    os.utime(first, ns=(0, 0))
    second.rename(second.with_name("c.csv"))
    assert look(shop, 3)[1] == 0
    (shop.folder / "new").rename(shop.folder / "away")
    assert look(shop) == ("Not looked: There is no file. Put one there, or give another path, such as 'new/*.csv'.", 0)
    (shop.folder / "away").rename(shop.folder / "new")
    assert look(shop, 3) == ("The content of new/**/*.csv is the one seen last.", 0)
    first.unlink()
    assert look(shop, 2)[1] == 1


def test_the_first_file_is_new(shop):
    watch(shop, DataTrigger("new/*.csv", EVERY))
    assert look(shop, 2)[1] == 0
    shop.write("new/a.csv", "1")
    assert look(shop, 2)[1] == 1


def test_only_what_may_have_changed_is_read(shop):
    paths = [shop.write(f"new/{number}.csv", str(number)) for number in range(3)]
    identity = watch(shop, DataTrigger("new/*.csv", EVERY))
    known = shop.agenda.triggers.get("shop", identity).memory.sight.hashed
    shop.write("new/0.csv", "x", at=1)
    shop.write("new/1.csv", "x", at=known[str(paths[1])][1])  # of size and time it is the same, so it is not read
    assert look(shop, 2)[1] == 1
    now = shop.agenda.triggers.get("shop", identity).memory.sight.hashed
    assert [now[str(path)] == known[str(path)] for path in paths] == [False, True, True]


def test_paths_with_the_signs_of_a_glob_and_absolute_ones(shop, tmp_path):
    path = shop.write("a[1].csv", "1")
    watch(shop, DataTrigger("a[1].csv", EVERY))
    watch(shop, DataTrigger(str(tmp_path / "a*.csv"), EVERY))
    path.write_text("22")
    assert look(shop, 2)[1] == 2


def test_what_cannot_be_read(shop):
    (shop.folder / "a.csv").symlink_to("/proc/self/mem")
    with pytest.raises(CheckFailed, match=r"a\.csv cannot be read \(Input/output error\)"):
        watch(shop, DataTrigger("a.csv", EVERY))
    with pytest.raises(CheckFailed, match=r"cannot be read \(File name too long\)"):
        watch(shop, DataTrigger("a" * 4000, EVERY))


def test_a_trigger_does_not_look_while_a_run_is_under_way_and_then_does(shop):
    watch(shop, DataTrigger("a.csv", EVERY))
    shop.write("a.csv", "1")
    look(shop)
    shop.service.under_way.add("shop")
    assert look(shop, 5) == ("Not looked: a run of 'shop' is queued or under way.", 0)
    shop.service.under_way.clear()
    assert look(shop)[1] == 1


@pytest.mark.parametrize("kill", ["before", "after"])
def test_who_is_killed_fires_the_same_run_again(shop, kill):
    watch(shop, DataTrigger("a.csv", EVERY))
    shop.write("a.csv", "1")
    look(shop)
    shop.service.kill = kill
    look(shop)
    shop.service.kill = ""
    shop.reopen()
    assert look(shop, 4)[1] == 1
    assert len(shop.service.asked) == 2
    assert len(set(shop.service.asked)) == 1


def test_refused_or_away(shop):
    watch(shop, DataTrigger("a.csv", EVERY))
    shop.service.disabled = True
    shop.write("a.csv", "1")
    assert look(shop, 2) == ("Refused: Pipeline 'shop' is DISABLED. Enable it first.", 0)
    shop.service.away = True
    assert "tried again: ConnectError" in look(shop)[0]
    shop.service.disabled = shop.service.away = False
    assert look(shop, 2) == ("The content of a.csv is the one seen last.", 0)


def accuracy(metric="accuracy", gate=0.9):
    return AccuracyTrigger("labelled.csv", metric, gate, EVERY)


def test_a_champion_below_the_gate_fires_once_for_file_and_version(shop):
    shop.values = {"good": 0.95, "bad": 0.85, "worse": 0.5}
    watch(shop, accuracy())
    assert look(shop)[0] == "Not looked: Model 'shop' has no champion yet."
    shop.promote("3")
    assert look(shop)[0].startswith("Not looked: There is no file.")
    shop.write("labelled.csv", "good")
    look(shop)
    assert look(shop) == ("accuracy of version 3 is 0.95, not below 0.9.", 0)
    shop.write("labelled.csv", "bad")
    assert look(shop, 2) == ("Fired: accuracy of version 3 is 0.85, below 0.9.", 1)
    shop.reopen()
    assert look(shop, 3) == ("labelled.csv and version 3 are those evaluated last.", 1)
    os.utime(shop.folder / "labelled.csv", ns=(0, 0))
    assert look(shop, 3) == ("labelled.csv and version 3 are those evaluated last.", 1)
    assert len(shop.evaluated) == 2
    shop.promote("4")
    assert look(shop) == ("Fired: accuracy of version 4 is 0.85, below 0.9.", 2)
    shop.write("labelled.csv", "worse")
    assert look(shop, 3) == ("labelled.csv and version 4 are those evaluated last.", 3)
    assert shop.evaluated[0] == ("labelled.csv", "accuracy", "shop")
    assert len(shop.evaluated) == 4


def test_it_is_the_model_that_its_runs_make(shop):
    shop.values = {"good": 0.95}
    shop.promote("1", "other")
    watch(shop, accuracy(), Model="other")
    shop.write("labelled.csv", "good")
    look(shop, 2)
    assert shop.evaluated == [("labelled.csv", "accuracy", "other")]


@pytest.mark.parametrize(("value", "runs"), [(9.0, 0), (10.0, 0), (11.0, 1)])
def test_an_error_fires_above_the_gate(shop, value, runs):
    shop.values = {"rows": value}
    shop.promote("1")
    shop.write("labelled.csv", "rows")
    watch(shop, accuracy("rmse", 10.0))
    assert look(shop, 2)[1] == runs


def test_what_cannot_be_evaluated_is_told_and_tried_again(shop):
    shop.values = {"rows": ValueError("there is no column 'y'")}
    shop.promote("1")
    shop.write("labelled.csv", "rows")
    watch(shop, accuracy())
    assert look(shop, 2) == ("Not looked: accuracy on labelled.csv cannot be told: there is no column 'y'", 0)
    shop.values = {"rows": float("nan")}
    assert look(shop)[0].startswith("Not looked: accuracy on labelled.csv is nan")
    shop.values = {"rows": 0.1}
    assert look(shop)[1] == 1


def test_a_pointer_that_is_none(shop):
    shop.promote('"')
    watch(shop, DriftTrigger(0.2, EVERY))
    assert look(shop)[0].startswith("Not looked: ")


def test_metrics_are_the_trainers():
    assert {name: metric.greater_is_better for name, metric in TRAINERS.items()} == METRICS


def answering(status, body):
    return httpx.MockTransport(lambda request: httpx.Response(status, text=body))


@pytest.mark.parametrize(
    ("transport", "said"),
    [
        (None, "Not looked: Insights at http://insights:8080 does not answer (no insights)."),
        (
            answering(503, '{"message": "18 queries wait."}'),
            "Insights at http://insights:8080 answered 503: 18 queries",
        ),
        (answering(200, "<html>"), "What answers at http://insights:8080 is not insights"),
        (answering(200, '{"rows": [[1, 2, 3]]}'), "What answers at http://insights:8080 is not insights"),
        (answering(200, '{"rows": []}'), "Insights knows no drift of version 1 in the last 60 min."),
        (answering(200, '{"rows": [["age", null]]}'), "Insights knows no drift of version 1"),
    ],
)
def test_insights_that_cannot_say(tmp_path, transport, said):
    with bench(tmp_path, **({"transport": transport} if transport else {})) as shop:
        shop.promote("1")
        watch(shop, DriftTrigger(0.2, EVERY))
        told, runs = look(shop)
        assert said in told
        assert runs == 0


@contextmanager
def without_http(folder):
    """Insights' own mapping, database and queries, in this process: takes exports, and answers."""
    store = Store(folder / "insights", 64_000_000)
    reader = Reader(store, 5.0)

    def take(export):
        batch = Batch()
        add_metrics(export, batch)
        insert(store.cursor(), batch.seal().tables, None, [])

    def answer(request):
        query = json.loads(request.content)["query"]
        return httpx.Response(200, content=reader.read(lambda cursor: sql.run(cursor, query, 1000).encode()))

    yield take, httpx.MockTransport(answer), "http://insights:8080"
    reader.close()
    store.close()


@contextmanager
def server(folder):
    with insights(folder) as running:
        yield running.take, OneOff(), running.url


@pytest.mark.parametrize("place", [without_http, pytest.param(server, marks=pytest.mark.e2e)])
def test_drift(tmp_path, place):
    """What serving would export goes to insights, which the trigger then asks."""

    def send(psi, version, feature="age", model="shop", minutes=0.0):
        at = time.time_ns() - int(minutes * 60e9)
        named = {"ml__feature": feature, "ml__model__name": model, "ml__model__version": version}
        take(metrics(gauge("ml.feature.drift.psi", psi, at, **named)))

    with (
        place(tmp_path) as (take, transport, url),
        bench(tmp_path, transport=transport, insights=url, time=Time(datetime.now(UTC))) as shop,
    ):
        shop.promote("2")
        watch(shop, DriftTrigger(0.2, EVERY))
        send(0.9, "1")
        send(0.9, "2", model="other")
        send(0.9, "2", minutes=90)
        send(0.9, "2", minutes=5)
        send(0.1, "2")
        send(0.05, "2", "colour")
        assert look(shop) == ("PSI of 'age' is 0.1, the greatest of version 2, and not above 0.2.", 0)
        send(0.31, "2", "it's")
        assert look(shop) == ("Fired: PSI of 'it's' is 0.31, the greatest of version 2, above 0.2.", 1)
        send(0.4, "2", "it's")
        shop.reopen()
        assert look(shop) == (
            "PSI of 'it's' is 0.4, the greatest of version 2, still above 0.2; for this version it has fired.", 1
        )  # fmt: skip
        send(0.2, "2", "it's")
        assert look(shop) == ("PSI of 'it's' is 0.2, the greatest of version 2, and not above 0.2.", 1)
        send(0.5, "2", "it's")
        assert look(shop)[1] == 2
        shop.promote("3")
        assert look(shop) == ("Not looked: Insights knows no drift of version 3 in the last 60 min.", 2)
        send(0.5, "3")
        assert look(shop)[1] == 3
