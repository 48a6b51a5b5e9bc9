"""What was acknowledged is there after a kill; what does not fit is refused and counted; files are never harmed."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import duckdb
import httpx
import psutil
import pytest

from observability.insights.errors import StoreUnusable
from observability.insights.store import FILE, SCHEMA_NUMBER, Store
from tests.conftest import free_port, wait_until
from tests.observability.insights.conftest import PROTOBUF, insights, span, start, traces

MEMORY = 64_000_000


def test_what_was_acknowledged_survives_a_kill(tmp_path):
    acknowledged, enough = [], threading.Event()
    with insights(tmp_path) as running:

        def send(sender):
            for number in range(10_000):
                name = f"{sender}-{number}"
                try:
                    if running.send(traces(span(name), span(name))).status_code == 200:
                        acknowledged.append(name)
                except httpx.TransportError:
                    return
                if len(acknowledged) > 200:
                    enough.set()

        with ThreadPoolExecutor(8) as senders:
            for sender in range(8):
                senders.submit(send, sender)
            assert enough.wait(60)
            running.kill()
    with insights(tmp_path) as running:
        stored = dict(running.rows("SELECT name, count(*) FROM requests GROUP BY name"))
    assert {name: stored.get(name) for name in acknowledged} == dict.fromkeys(acknowledged, 2)
    assert set(stored.values()) == {2}  # an export is there wholly or not at all


def test_sigterm_commits_and_closes(tmp_path):
    with insights(tmp_path) as running:
        running.take(traces(span("last words")))
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(5) == 0
        assert "Traceback" not in running.log.read_text()
    assert [path.name for path in (tmp_path / "insights").iterdir()] == [FILE]  # no log is left to replay
    with duckdb.connect(str(tmp_path / "insights" / FILE), read_only=True) as connection:
        assert connection.execute("SELECT name FROM requests").fetchall() == [("last words",)]


def test_a_running_query_does_not_delay_the_end(tmp_path):
    with insights(tmp_path, MAX_QUERY_SECONDS="600") as running:
        outcome = ThreadPoolExecutor(1).submit(running.ask, "SELECT count(*) FROM range(1000000000000)")
        wait_until(lambda: psutil.Process(running.process.pid).cpu_percent(0.2) > 50)  # it is under way
        running.process.terminate()
        assert running.process.wait(5) == 0
        assert outcome.exception(5) or outcome.result().status_code != 200


def test_a_flood_is_refused_and_counted(tmp_path):
    export = traces(*(span(attributes={"text": "x" * 200}) for _ in range(50))).SerializeToString()
    codes, headers = [], set()
    with insights(tmp_path, MAX_WAITING_BYTES=str(3 * len(export))) as running:

        def send(_):
            answer = running.client.post("/v1/traces", content=export, headers={"content-type": PROTOBUF})
            codes.append(answer.status_code)
            if answer.status_code == 503:
                headers.add(answer.headers["retry-after"])

        with ThreadPoolExecutor(16) as senders:
            list(senders.map(send, range(200)))
        counts = running.counts()
        (stored,) = running.rows("SELECT count(*) FROM requests")[0]
    assert set(codes) == {200, 503}
    assert headers == {"1"}
    assert stored == 50 * codes.count(200) == counts["stored"]["requests"]
    assert counts["refused"] == {"full": codes.count(503)}
    assert counts["waitingBytes"] == 0


def test_a_full_disk_is_said_and_survived(tmp_path):
    export = traces(*(span(attributes={"text": os.urandom(200).hex()}) for _ in range(200)))
    with insights(tmp_path) as running:
        running.take(export)
        psutil.Process(running.process.pid).rlimit(psutil.RLIMIT_FSIZE, (300_000, -1))
        codes = [running.send(export).status_code for _ in range(20)]
        assert codes[-1] == 503
        reason = running.client.get("/health/ready")
        assert reason.status_code == 503
        assert "write" in reason.json()["reason"]
        assert running.log.read_text().count("cannot be stored") == 1
        psutil.Process(running.process.pid).rlimit(psutil.RLIMIT_FSIZE, (-1, -1))
        running.take(export)
        assert running.client.get("/health/ready").status_code == 200
        running.kill()
    with insights(tmp_path) as running:
        assert running.rows("SELECT count(*) FROM requests") == [[200 * (2 + codes.count(200))]]


def test_an_export_that_is_alone_is_taken_whatever_the_limit(tmp_path):
    with insights(tmp_path, MAX_WAITING_BYTES="1") as running:
        running.take(traces(span()))
        running.take(traces(span()))


def test_counts_of_insights_are_metrics_of_its_own_role(tmp_path):
    with insights(tmp_path) as running:
        running.take(traces(span(), span()))
    with insights(tmp_path) as running:  # the last counts are stored at the end
        query = (
            "SELECT valueSum FROM customMetrics WHERE cloud_RoleName = 'homeport.insights' "
            "AND name = 'insights.received' AND customDimensions->>'kind' = 'spans'"
        )
        assert running.rows(query) == [[2]]


def refused(folder) -> str:
    with pytest.raises(StoreUnusable) as error:
        Store(folder, MEMORY)
    return str(error.value)


@pytest.mark.parametrize("content", [b"no database at all", bytes(20_000), b""])
def test_a_foreign_file_is_left_alone(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    assert "move it away" in refused(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content


def test_a_damaged_file_is_left_alone(tmp_path):
    Store(tmp_path, MEMORY).close()
    content = bytearray((tmp_path / FILE).read_bytes())
    content[4096:12288] = bytes(8192)  # both headers
    (tmp_path / FILE).write_bytes(content)
    assert "move it away" in refused(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content


def test_a_creation_that_was_killed_is_begun_anew(tmp_path):
    (tmp_path / f".{FILE}.new").write_bytes(b"half of it")
    Store(tmp_path, MEMORY).close()
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_database_of_something_else_is_left_alone(tmp_path):
    with duckdb.connect(str(tmp_path / FILE)) as connection:
        connection.execute("CREATE TABLE accounts (owner VARCHAR)")
    assert "something else" in refused(tmp_path)
    with duckdb.connect(str(tmp_path / FILE)) as connection:
        assert connection.execute("SHOW TABLES").fetchall() == [("accounts",)]


def test_tables_of_another_release_are_left_alone(tmp_path):
    Store(tmp_path, MEMORY).close()
    with duckdb.connect(str(tmp_path / FILE)) as connection:
        connection.execute(f"UPDATE homeport.version SET number = {SCHEMA_NUMBER + 1}")
    assert f"schema {SCHEMA_NUMBER + 1}" in refused(tmp_path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"PORT": "0"}, "HOMEPORT_INSIGHTS_PORT"),
        ({"HOST": "no.such.host.invalid"}, "Nothing can listen"),
        ({"DATA": "/proc/nothing"}, "/proc/nothing"),
        ({"RETENTION_DAYS": "soon"}, "HOMEPORT_INSIGHTS_RETENTION_DAYS"),
    ],
)
def test_mistakes_are_one_line(tmp_path, settings, words):
    process = start(tmp_path, free_port(), **settings)
    assert process.wait(30) == 2
    log = (tmp_path / "insights.log").read_text()
    assert words in log
    assert len(log.splitlines()) == 1


def test_a_second_process_is_told_that_the_file_is_in_use(tmp_path):
    with insights(tmp_path) as running:
        process = start(tmp_path, free_port())
        assert process.wait(30) == 2
        assert "in use by another process" in running.log.read_text()


@pytest.mark.e2e
def test_a_database_of_the_schema_before_is_migrated(tmp_path):
    with insights(tmp_path) as running:
        sent = span("of old", trace_id=bytes.fromhex("00" * 12 + "fffffffe"))
        running.take(traces(sent))
    with duckdb.connect(str(tmp_path / "insights" / FILE)) as connection:  # as that schema was
        connection.execute("DROP TABLE homeport.operations")
        connection.execute("UPDATE homeport.version SET number = 1")
    with insights(tmp_path) as running:
        found = running.client.get(f"/api/transactions/{sent.trace_id.hex()}").json()
        assert [item["name"] for item in found["items"]] == ["of old"]
        running.take(traces(span("of now", trace_id=sent.trace_id)))
        found = running.client.get(f"/api/transactions/{sent.trace_id.hex()}").json()
        assert [item["name"] for item in found["items"]] == ["of old", "of now"]
