"""The parent of the workers: a killed worker is replaced, and nobody outlives the parent."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from observability.telemetry import Settings as TelemetrySettings
from serving.errors import AddressRefused
from serving.settings import Settings
from serving.workers import Workers, listeners
from tests.conftest import ROOT, free_port, serve, wait_until


def workers(running) -> set[int]:
    return {child.pid for child in psutil.Process(running.process.pid).children()}


@pytest.mark.parametrize("count", ["1", "2"])
def test_a_killed_worker_is_replaced_and_connections_that_wait_are_answered(tmp_path, shop_store, complete_row, count):
    with serve(tmp_path, shop_store.root, WORKERS=count) as running:
        before = workers(running)
        assert len(before) == int(count)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        # sent while nobody is there: it waits on the parent's socket
        assert running.anonymous.get("/health/live").status_code == 200
        wait_until(lambda: len(workers(running)) == int(count) and not workers(running) & before)
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", int(running.url.rsplit(":", 1)[1])), timeout=10):
                assert running.client.post("/score", json={"data": [complete_row]}).status_code == 200
        assert "signal 9" in running.log.read_text()


def test_workers_end_when_their_parent_is_killed(tmp_path, shop_store):
    with serve(tmp_path, shop_store.root, WORKERS="2") as running:
        pids = workers(running)
        running.process.kill()
        wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path, shop_store):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for count in ("1", "2"):
            result = subprocess.run(
                [sys.executable, "-m", "serving"],
                cwd=ROOT,
                env=os.environ
                | {
                    "HOMEPORT_SERVING_PORT": str(port),
                    "HOMEPORT_SERVING_WORKERS": count,
                    "HOMEPORT_SERVING_KEYS": str(tmp_path / "keys.json"),
                },
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            assert result.returncode == 2
            assert f"port {port}" in result.stderr
            assert "Traceback" not in result.stderr


def test_settings_that_are_wrong_are_named_and_help_starts_nothing():
    def run(*arguments, **settings):
        command = [sys.executable, "-m", "serving", *arguments]
        environment = os.environ | settings
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False
        )

    refused = run(HOMEPORT_SERVING_PORT="none", HOMEPORT_SERVING_KERNEL="fast")
    assert refused.returncode == 2
    assert [line.split(":")[0] for line in refused.stderr.splitlines()] == [
        "HOMEPORT_SERVING_PORT",
        "HOMEPORT_SERVING_KERNEL",
    ]
    helped = run("--help", HOMEPORT_SERVING_PORT="none")
    assert (helped.returncode, helped.stderr) == (0, "")


def test_sockets_share_a_port_and_spread_connections():
    sockets = listeners("127.0.0.1", free_port(), 2)
    try:
        address = sockets[0].getsockname()
        clients = [socket.create_connection(address) for _ in range(64)]
        accepted = [0, 0]
        deadline = time.monotonic() + 10
        while sum(accepted) < 64 and time.monotonic() < deadline:
            for place, listener in enumerate(sockets):
                try:
                    listener.accept()[0].close()
                    accepted[place] += 1
                except BlockingIOError:
                    pass
        assert sum(accepted) == 64
        assert min(accepted) > 8
    finally:
        for each in [*sockets, *clients]:
            each.close()


def test_ctrl_c_ends_it_quietly(tmp_path, shop_store):
    with serve(tmp_path, shop_store.root) as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(20) == 0
        assert "Traceback" not in running.log.read_text()


def test_a_host_that_is_no_name_is_said_in_one_line():
    for host in ("a..b", "a" * 300):
        with pytest.raises(AddressRefused, match="port 1"):
            Workers(Settings(host=host, port=1), TelemetrySettings())


def test_a_worker_that_cannot_start_says_why_in_a_line_and_is_back_when_it_can(tmp_path, shop_store, complete_row):
    with serve(tmp_path, shop_store.root) as running:
        keys = tmp_path / "keys.json"
        content = keys.read_bytes()
        keys.write_text("{")
        for pid in workers(running):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: running.log.read_text().count("cannot start") >= 2)
        assert "Traceback" not in running.log.read_text()
        keys.write_bytes(content)
        assert running.client.post("/score", json={"data": [complete_row]}).status_code == 200
