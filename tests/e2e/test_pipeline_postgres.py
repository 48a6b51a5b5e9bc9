"""Prefect's state in PostgreSQL, by one setting: a real server in a folder of its own, where one is installed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.e2e.test_pipeline import running_pipelines, started

pytestmark = pytest.mark.e2e

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.fixture
def postgres(tmp_path_factory):
    """The port of a server that takes its user `postgres` without a password."""
    if not PROGRAMS:
        pytest.skip("PostgreSQL is not installed here")
    folder = tmp_path_factory.mktemp("postgres")
    owner = []
    if os.geteuid() == 0:  # as which the server refuses to run
        owner = ["runuser", "-u", "postgres", "--"]
        for part in (folder, folder.parent, folder.parent.parent):
            part.chmod(0o755)
        shutil.chown(folder, "postgres")

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*owner, PROGRAMS[-1] / program, *arguments], cwd=folder, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    port, data, log = free_port(), str(folder / "data"), str(folder / "log")
    run("initdb", "--pgdata", data, "--username", "postgres", "--auth", "trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    # not to a pipe, which the server would keep open
    run("pg_ctl", "--pgdata", data, "--log", log, "--options", options, "--wait", "start")
    try:
        run("createdb", "--host", "127.0.0.1", "--port", str(port), "--username", "postgres", "prefect")
        yield port
    finally:
        run("pg_ctl", "--pgdata", data, "--mode", "immediate", "--wait", "stop")


def count(port: int, table: str) -> int:
    query = ["psql", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-tA", "prefect"]
    query += ["-c", f"SELECT count(*) FROM {table}"]
    return int(subprocess.run([PROGRAMS[-1] / query[0], *query[1:]], check=True, capture_output=True).stdout)


def test_prefect_keeps_its_state_in_postgresql(postgres, tmp_path):
    database = f"postgresql+asyncpg://postgres@127.0.0.1:{postgres}/prefect"
    with running_pipelines(tmp_path, PREFECT_API_DATABASE_CONNECTION_URL=database) as pipelines:
        pipelines.publish("shop", Model="other", Serve=False)
        assert pipelines.over("shop", pipelines.start("shop"))["Promoted"]
        assert count(postgres, "flow_run") == 1
        assert not list(pipelines.stack.pipelines.rglob("prefect.db")), "not in SQLite too"
        pipelines.stack.pipeline.stop()
        started(pipelines.stack)
        again = pipelines.over("shop", pipelines.start("shop"))
        assert again["Status"] == "Completed"
        assert count(postgres, "flow_run") == 2
