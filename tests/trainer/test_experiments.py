"""The experiment log, read back from MLflow's own store."""

import logging
import os
import subprocess
import sys

import pytest
from mlflow import MlflowClient

from bundle import Store
from observability.telemetry import Settings
from tests.conftest import MODEL, ROOT, Silent, free_port, quick
from trainer.errors import TableError
from trainer.experiments import Log, train_logged
from trainer.table import read_table

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def logged(tmp_path_factory, shop_csv):
    """A training, and a client of the database that it was logged to."""
    folder = tmp_path_factory.mktemp("mlflow")
    to = Log(f"sqlite:///{folder / 'log' / 'mlflow.db'}", "shop", {"homeport.run": "r-1"})
    store, watcher = Store(folder / "models"), Silent()
    manifest = train_logged(quick(read_table(shop_csv), "buys", max_trials=4), store, watcher, Settings(), to)
    client = MlflowClient(tracking_uri=to.uri)
    runs = client.search_runs([client.get_experiment_by_name("shop").experiment_id])
    return manifest, store, watcher, client, runs


def test_a_training_is_a_run_with_its_trials_as_children(logged):
    manifest, store, watcher, client, runs = logged
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(watcher.trials) == 2  # of 4 configurations half are known ones
    trials = [f"{trial.learner} {trial.number}" for trial in watcher.trials]
    by_name = {run.info.run_name: run for run in children}
    assert sorted(by_name) == sorted({*trials, *(candidate.name for candidate in watcher.candidates)})
    assert len(by_name) == len(children), "a finalist is its trial"
    assert {run.info.status for run in runs} == {"FINISHED"}
    for name, value in manifest.metrics.items():
        assert parent.data.metrics[name] == pytest.approx(value)
    assert parent.data.metrics["majority class/AUC_weighted"] == 0.5
    digest = (store.path(MODEL, "1") / "manifest.sha256").read_text().split()[0]
    assert parent.data.tags["homeport.bundle.digest"] == digest
    assert (parent.data.tags["homeport.version"], parent.data.tags["homeport.run"]) == ("1", "r-1")
    assert parent.data.params["target"] == "buys"
    for candidate in watcher.candidates:
        assert by_name[candidate.name].data.metrics["out of fold"] == pytest.approx(candidate.score)
    for trial, name in zip(watcher.trials, trials, strict=True):
        child = by_name[name]
        assert child.data.metrics["score"] == pytest.approx(trial.score)
        assert child.data.params["learner"] == trial.learner
        assert child.info.start_time <= child.info.end_time
    assert len(client.get_metric_history(parent.info.run_id, "best")) == 2


def test_report_card_plot_and_leaderboard_are_artifacts_beside_the_database(logged, tmp_path):
    _, store, _, client, runs = logged
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {"report.html", "MODEL_CARD.md", "manifest.json", "leaderboard.json", "search.png"}
    report = client.download_artifacts(parent.info.run_id, "report.html", str(tmp_path))
    with open(report, "rb") as copy:
        assert copy.read() == (store.path(MODEL, "1") / "report.html").read_bytes()


def test_a_training_that_fails_is_a_failed_run_and_fails_as_it_would(tmp_path, shop_csv):
    to = Log(f"sqlite:///{tmp_path / 'mlflow.db'}", "failing")
    with pytest.raises(TableError):
        train_logged(quick(read_table(shop_csv), "byus"), Store(tmp_path / "models"), Silent(), Settings(), to)
    client = MlflowClient(tracking_uri=to.uri)
    (run,) = client.search_runs([client.get_experiment_by_name("failing").experiment_id])
    assert (run.info.status, run.data.tags["error.type"]) == ("FAILED", "TableError")


@pytest.mark.e2e
def test_a_log_that_is_away_costs_a_line_and_no_training(tmp_path, shop_csv, caplog):
    to = Log(f"http://user:secret@127.0.0.1:{free_port()}", "away")
    with caplog.at_level(logging.WARNING, "homeport.trainer"):
        manifest = train_logged(
            quick(read_table(shop_csv), "buys", max_trials=2), Store(tmp_path / "models"), Silent(), Settings(), to
        )
    assert manifest.version == "1"
    assert "not in the experiment log" in caplog.text
    assert "secret" not in caplog.text


def test_without_a_log_mlflow_is_not_imported_not_even_by_flaml():
    code = "import sys, trainer.experiments, trainer.job; print('mlflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
