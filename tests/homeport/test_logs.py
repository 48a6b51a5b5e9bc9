"""The embedded stack with insights: what is counted, the switch, and the logs."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from threading import Thread

import httpx
import pytest

from homeport.stack import Stack
from serving.keys import read_keys
from tests.conftest import ROOT, free_port, wait_until
from tests.homeport.test_commands import homeport


@contextmanager
def running(folder, shop_store):
    """The endpoint with two workers, and insights beside it."""
    shutil.copytree(shop_store.root, folder / "models")
    ports = free_port(), free_port()
    os.environ["HOMEPORT_SERVING_WORKERS"] = "2"
    try:
        output = homeport("up", "--port", ports[0], "--insights-port", ports[1], folder=folder).stdout
    finally:
        del os.environ["HOMEPORT_SERVING_WORKERS"]
    assert f"http://127.0.0.1:{ports[1]}" in output
    yield folder, *(f"http://127.0.0.1:{port}" for port in ports)
    homeport("down", folder=folder)


@pytest.fixture(scope="module")
def stack(tmp_path_factory, shop_store):
    """A folder, and the addresses of what runs in it."""
    with running(tmp_path_factory.mktemp("logs"), shop_store) as found:
        yield found


def count(insights, name="http.server.request.duration", column="valueCount"):
    query = f"SELECT coalesce(sum({column}), 0) FROM customMetrics WHERE name = '{name}'"
    answer = httpx.post(f"{insights}/api/query", json={"query": query}, trust_env=False)
    return answer.json()["rows"][0][0]


@pytest.mark.e2e
def test_what_is_answered_while_telemetry_is_off_never_appears(tmp_path, shop_store, complete_row):
    with running(tmp_path, shop_store) as found:
        switch_off_and_on(*found, complete_row)


def switch_off_and_on(folder, endpoint, insights, complete_row):
    headers = {
        "Authorization": f"Bearer {read_keys(folder / '.homeport' / 'keys.json').primary}",
        "Connection": "close",
    }

    def score(times):
        for _ in range(times):
            httpx.post(f"{endpoint}/score", json={"data": [complete_row]}, headers=headers, trust_env=False)

    def log(text):
        """How many workers wrote so."""
        return (folder / ".homeport" / "logs" / "serving.log").read_text().count(text)

    score(40)
    wait_until(lambda: count(insights) == 42)  # two are of `up`
    assert "Telemetry is off" in homeport("logs", "--disable", folder=folder).stdout
    wait_until(lambda: log("telemetry is switched off") == 2)
    score(25)
    assert "Telemetry is on" in homeport("logs", "--enable", folder=folder).stdout
    wait_until(lambda: log("telemetry is switched on") == 2)
    score(15)
    wait_until(lambda: count(insights) >= 57)
    assert count(insights) == 57
    rows = count(insights, "ml.prediction.class.count", "valueSum")
    assert rows == count(insights, "ml.prediction.rows", "valueSum")


def test_logs_shows_the_last_lines_of_a_service(stack):
    folder, *_ = stack
    log = folder / ".homeport" / "logs" / "serving.log"
    before = log.read_text()
    shown = homeport("logs", "-n", "3", folder=folder).stdout
    after = log.read_text()  # the service may have gone on writing
    assert shown.count("\n") == 3
    assert len(before) <= after.index(shown) + len(shown) <= len(after)
    homeport("logs", "--service", "insights", folder=folder)
    assert homeport("logs", "-n", "0", folder=folder).stdout == ""


def test_logs_refuses_what_excludes_each_other(stack):
    folder, *_ = stack
    for options in (("--enable", "--disable"), ("--follow", "--disable")):
        assert "one of" in homeport("logs", *options, folder=folder, code=1).stderr


def test_logs_without_a_log_says_what_to_do(tmp_path):
    assert "homeport up" in homeport("logs", folder=tmp_path, code=1).stderr


def test_follow_goes_on_through_a_rotation_until_ctrl_c(tmp_path):
    log = tmp_path / ".homeport" / "logs" / "serving.log"
    log.parent.mkdir(parents=True)
    log.write_text("first\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "homeport", "logs", "--follow"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    seen = []
    reader = Thread(target=lambda: seen.extend(map(str.strip, iter(process.stdout.readline, ""))))
    reader.start()
    wait_until(lambda: seen == ["first"])
    with log.open("a") as file:
        file.write("second\nthi")
        file.flush()
        wait_until(lambda: seen == ["first", "second"])
        file.write("rd\n")
    wait_until(lambda: seen == ["first", "second", "third"])
    log.replace(log.with_suffix(".log.1"))
    log.write_text("anew\n")
    wait_until(lambda: seen == ["first", "second", "third", "anew"])
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    reader.join()
    assert process.stderr.read() == ""
    process.stdout.close()
    process.stderr.close()


def test_a_taken_port_of_insights_stops_up_with_the_way_out(tmp_path, shop_store):
    arguments = "up", "--models", shop_store.root, "--port", free_port()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = homeport(*arguments, "--insights-port", port, folder=tmp_path, code=1)
    assert re.search(rf"Port {port} .* is taken .*--insights-port {port + 1}", result.stderr, re.DOTALL)
    stack = Stack(tmp_path / ".homeport", shop_store.root)
    assert stack.running() is stack.insights.running() is None, "nothing is left half-started"


def test_what_died_is_started_by_the_next_up(stack):
    folder, endpoint, insights = stack
    services = Stack(folder / ".homeport", folder / "models")
    before = services.running(), services.insights.running()
    os.kill(before[1].pid, signal.SIGKILL)
    ports = [url.rpartition(":")[2] for url in (endpoint, insights)]
    homeport("up", "--port", ports[0], "--insights-port", ports[1], folder=folder)
    assert services.running() == before[0], "the endpoint went on"
    assert services.insights.running() not in (None, before[1])


def test_a_log_that_has_grown_is_put_aside(tmp_path, shop_store):
    log = tmp_path / ".homeport" / "logs" / "serving.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"x" * 10_000_001)
    homeport("up", "--models", shop_store.root, "--port", free_port(), folder=tmp_path)
    homeport("down", folder=tmp_path)
    assert log.stat().st_size < 1_000_000
    assert log.with_suffix(".log.1").stat().st_size == 10_000_001


@pytest.mark.e2e
def test_a_training_is_told_to_the_insights_that_run(stack, shop_csv):
    folder, _, insights = stack
    homeport("train", shop_csv, "--target", "buys", "--max-trials", "2", folder=folder)
    events = "SELECT customDimensions ->> '$.\"ml.model.version\"' FROM customEvents WHERE name = 'model.trained'"
    answer = httpx.post(f"{insights}/api/query", json={"query": events}, trust_env=False)
    assert answer.json()["rows"] == [["2"]]
