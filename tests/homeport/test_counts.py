"""What insights counts is what the clients counted, whatever happens meanwhile."""

import os
import signal
from collections import Counter
from typing import ClassVar

import httpx
import pytest

from homeport.stack import Stack
from serving.keys import read_keys
from tests.compose.load import PATH, Load
from tests.conftest import free_port, wait_until
from tests.homeport.test_commands import homeport

pytestmark = pytest.mark.e2e


class Counted(Load):
    """Counts apart from other tests' loads."""

    answered: ClassVar = Counter()


def test_two_workers_a_reload_and_restarts(tmp_path, shop_csv, complete_row, monkeypatch):
    monkeypatch.setenv("HOMEPORT_SERVING_WORKERS", "2")
    ports = free_port(), free_port()
    stack = Stack(tmp_path / ".homeport", tmp_path / "models")

    def train(*options):
        homeport("train", shop_csv, "-t", "buys", "--positive", "yes", "--max-trials", "2", *options, folder=tmp_path)

    def up():
        homeport("up", "--port", ports[0], "--insights-port", ports[1], folder=tmp_path)

    def counted():
        statement = (
            "SELECT (customDimensions ->> '$.\"http.response.status_code\"')::INT, sum(valueCount)::INT "
            f"FROM customMetrics WHERE name = 'http.server.request.duration' "
            f"AND customDimensions ->> '$.\"http.route\"' = '{PATH}' GROUP BY 1"
        )
        answer = httpx.post(f"http://127.0.0.1:{ports[1]}/api/query", json={"query": statement}, trust_env=False)
        return dict(answer.json()["rows"])

    train()
    up()
    try:
        key = read_keys(stack.keys).primary
        with Counted(f"http://127.0.0.1:{ports[0]}", key, complete_row) as load:
            load.wait_for_answers(200)
            train("--promote")  # both workers take it over
            load.wait_for_answers(200)
            homeport("models", "rollback", "shop", folder=tmp_path)
            load.wait_for_answers(200)
            os.kill(stack.insights.running().pid, signal.SIGKILL)
            load.wait_for_answers(200)
            up()
            load.wait_for_answers(200)
            homeport("down", folder=tmp_path)
            up()
            load.wait_for_answers(200)
        assert set(load.answers) == {200, 401}
        assert load.unanswered > 0, "it met the restart"
        wait_until(lambda: counted() == load.answers)
    finally:
        homeport("down", folder=tmp_path)
