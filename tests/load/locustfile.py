"""Locust's users of the endpoint: single rows, batches, and now and then a wrong key or a wrong row.

    .venv/bin/uv pip install -r requirements/load.txt
    .venv/bin/locust -f tests/load/locustfile.py --host http://127.0.0.1:8000

opens Locust's page on port 8089; `docker compose --profile load up` does the same. The key comes from
HOMEPORT_KEY, or from keys.json in the folder HOMEPORT_STATE, by default the embedded stack's.
What should be refused counts as a success when it is refused, and as a failure when it is not.
"""

import json
import os
import random
import sys
from pathlib import Path
from typing import ClassVar

from locust import FastHttpUser, events, task

from homeport.traffic import drawn_rows

ROWS = 512
BATCH = 32
KEYS = Path(os.environ.get("HOMEPORT_STATE", ".homeport"), "keys.json")


def key() -> str:
    if given := os.environ.get("HOMEPORT_KEY"):
        return given
    if not KEYS.exists():
        sys.exit(f"There is no {KEYS} here: give the endpoint's key in HOMEPORT_KEY.")
    return json.loads(KEYS.read_bytes())["primary"]


KEY = key()


class Client(FastHttpUser):
    """One client; it waits for an answer and then asks again."""

    rows: ClassVar[list[dict]] = []

    def on_start(self):
        document = self.client.get("/openapi.json").json()
        if not self.rows:
            self.rows.extend(drawn_rows(document["components"]["schemas"]["Row"]["properties"], ROWS))
        self.headers = {"Authorization": f"Bearer {KEY}"}

    @task(20)
    def one_row(self):
        self.score([random.choice(self.rows)], "one row")

    @task(5)
    def a_batch(self):
        self.score(random.choices(self.rows, k=BATCH), f"{BATCH} rows")

    @task(1)
    def a_wrong_key(self):
        self.score([self.rows[0]], "a wrong key", 401, {"Authorization": "Bearer wrong"})

    @task(1)
    def a_wrong_row(self):
        self.score([{"no such column": 1}], "a wrong row", 400)

    def score(self, rows, name, expected=200, headers=None):
        with self.client.post(
            "/score", json={"data": rows}, headers=headers or self.headers, name=name, catch_response=True
        ) as answer:
            if answer.status_code != expected:
                answer.failure(f"{answer.status_code} instead of {expected}: {answer.text[:200]}")
            elif expected == 200 and len(answer.json()["result"]) != len(rows):
                answer.failure("another number of answers than of rows")
            else:
                answer.success()


@events.quitting.add_listener
def _fail_on_any_failure(environment, **_):
    if environment.stats.total.num_failures:
        environment.process_exit_code = 1
