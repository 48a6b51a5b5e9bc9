"""The endpoint under load: users of Locust and of Apache Bench, and a short soak."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.soak import KILL_SECONDS, soak
from tests.conftest import ROOT

pytestmark = pytest.mark.e2e


def test_locusts_users_see_no_failure(endpoint):
    key = endpoint.client.headers["Authorization"].removeprefix("Bearer ")
    options = ["--headless", "--users", "8", "--spawn-rate", "8", "--run-time", "6s", "--only-summary"]
    result = subprocess.run(
        [Path(sys.executable).parent / "locust", "-f", "tests/load/locustfile.py", "--host", endpoint.url, *options],
        cwd=ROOT,
        env=os.environ | {"HOMEPORT_KEY": key},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    for kind in ("one row", "32 rows", "a wrong key", "a wrong row"):
        assert re.search(rf"POST +{kind} +[1-9]\d* +0\(0.00%\)", result.stdout + result.stderr), kind


@pytest.mark.skipif(shutil.which("ab") is None, reason="Apache Bench is not installed")
@pytest.mark.parametrize("keep_alive", [[], ["-k"]], ids=["", "-k"])
def test_apache_bench_as_in_the_exercise(endpoint, complete_row, tmp_path, keep_alive):
    (tmp_path / "data.json").write_text(json.dumps({"data": [complete_row]}))
    header = f"Authorization: {endpoint.client.headers['Authorization']}"
    options = ["-n", "200", "-c", "4", "-p", tmp_path / "data.json", "-T", "application/json", "-H", header]
    report = subprocess.run(
        ["ab", *keep_alive, *options, f"{endpoint.url}/score"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert re.search(r"Complete requests: +200\n", report)
    assert re.search(r"Failed requests: +0\n", report)
    assert "Non-2xx" not in report
    assert not keep_alive or re.search(r"Keep-Alive requests: +200\n", report)


def test_promotions_and_rotations_under_saturation_fail_no_request(shop_store):
    measured, disturbance = soak(shop_store.root, minutes=0.4, users=8, workers=2, kill=False)
    assert disturbance.promotions >= 3
    assert disturbance.rotations >= 2
    assert measured.failed == 0, measured.statuses
    assert measured.statuses["200"] > 1_000


def test_a_killed_worker_loses_no_more_than_what_was_in_flight(shop_store):
    measured, disturbance = soak(shop_store.root, minutes=0.4, users=8, workers=2, kill=True)
    assert len(disturbance.replaced) == 1
    assert set(measured.statuses) <= {"200", "connection lost"}
    assert measured.failed <= 8  # one for each user
    assert measured.finished[-1] > KILL_SECONDS + 1  # it went on
