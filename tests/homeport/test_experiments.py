"""`homeport experiments`: MLflow's page on what was logged here."""

import os
import signal
import subprocess
import sys

import httpx
import pytest

from tests.conftest import ROOT, free_port, wait_until


def started(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "homeport", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HOMEPORT_LOG": "true", "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_where_nothing_is_logged_it_says_so(tmp_path):
    with started(tmp_path, "experiments") as process:
        said = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert "Nothing is logged" in said
    assert "Traceback" not in said


@pytest.mark.e2e
def test_a_training_is_on_the_page_and_ctrl_c_ends_it(tmp_path, shop_csv):
    with started(tmp_path, "train", shop_csv, "-t", "buys", "--name", "shop", "--max-trials", 3) as process:
        said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    assert "Experiment log: shop" in said
    port = free_port()
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/health").status_code == 200
        except httpx.TransportError:
            return False

    with started(tmp_path, "experiments", "--port", port) as process:
        try:
            wait_until(answers, 60)
            found = httpx.get(f"{url}/api/2.0/mlflow/experiments/get-by-name?experiment_name=shop").json()
            body = {"experiment_ids": [found["experiment"]["experiment_id"]]}
            runs = httpx.post(f"{url}/api/2.0/mlflow/runs/search", json=body).json()["runs"]
            names = {run["info"]["run_name"] for run in runs}
            assert {"train shop", "majority class", "lgbm (defaults)", "lgbm"} < names
            assert len(names) == len(runs) == 6
            assert len({name for name in names if name.rpartition(" ")[2].isdecimal()}) == 2, (
                "trials; one is a known one"
            )
            assert httpx.get(url).status_code == 200
        finally:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait(30) == 130
