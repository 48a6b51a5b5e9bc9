"""Explanations of a trained LightGBM model beside TreeSHAP's, which knows the trees.

In log-odds interventional TreeSHAP is exact. For model_output="probability" it computes log-odds and
stretches them, for each background row, to the difference in probability: that is close to the Shapley
values of the probability, but not the same, so the two agree less there however much is sampled.
"""

import subprocess
import time

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks.environments import environment
from bundle import Store
from bundle.model import Model, inference_session
from bundle.read import read_background
from bundle.shapley import Shapley
from tests.conftest import ROOT, Silent
from trainer.columns import matrix
from trainer.dataset import DATASETS, read_dataset
from trainer.fit import Request, train_once
from trainer.graph import export_scorer
from trainer.guardrails import inspect
from trainer.job import train
from trainer.table import read_table
from trainer.vote import Ensemble

pytestmark = pytest.mark.e2e

ROWS = 50


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The bundle, the same model in Python (trials repeat to the bit), test rows, and TreeSHAP's values."""
    folder = tmp_path_factory.mktemp("shapley")
    dataset = read_dataset(DATASETS / "bank-marketing.toml")
    table = read_table(DATASETS / dataset.sample.file)
    request = Request(
        table, dataset.target, "bank", positive="yes", drop=dataset.sample.drop, learners=("lgbm",), max_trials=12
    )
    store = Store(folder / "models")
    train(request, store, Silent())
    bundle = store.champion_path("bank")
    inspected = inspect(table.frame, request.target, request.task, request.positive, request.drop)
    again = train_once(request, inspected, 0, Silent())
    rows = matrix(inspected.frame.iloc[again.test[:ROWS]], again.columns)
    np.savez(folder / "data.npz", background=read_background(bundle), rows=rows)
    for place, member in enumerate(again.ensemble.members):
        member.estimator.estimator.booster_.save_model(folder / f"member{place}.txt")
    subprocess.run(
        [environment("shap") / "python", ROOT / "tests" / "e2e" / "treeshap.py", folder], check=True, timeout=300
    )
    return bundle, again, rows, np.load(folder / "treeshap.npz")


def explain(function, background, rows, output=1):
    shapley = Shapley(function, background)
    return np.array([shapley.explain(row, output).contributions for row in rows])


def agreement(ours, theirs):
    return np.array([spearmanr(one, other).statistic for one, other in zip(ours, theirs, strict=True)])


def test_log_odds_are_those_of_treeshap(trained):
    bundle, again, rows, theirs = trained
    background = read_background(bundle)
    for member, exact in zip(again.ensemble.members, theirs["margin"], strict=True):
        alone = Ensemble("binary", (type(member)(member.learner, 1.0, member.config, member.estimator),))
        session = inference_session(export_scorer(alone, len(again.columns), ("no", "yes")))

        def log_odds(x, session=session):
            (given,) = session.run(None, {"matrix": x})
            return np.log(given.astype(np.float64) / (1 - given))

        ours = explain(log_odds, background, rows)
        assert np.median(agreement(ours, exact)) > 0.98
        assert np.sqrt(np.mean((ours - exact) ** 2)) < 0.03 * exact.std()


def test_probabilities_agree_with_treeshap(trained):
    bundle, again, rows, theirs = trained
    model = Model(bundle)
    weights = [member.weight for member in again.ensemble.members]
    stretched = np.tensordot(weights, theirs["probability"], axes=1)
    started = time.process_time()
    ours = explain(model.outputs, read_background(bundle), rows)
    milliseconds = (time.process_time() - started) / len(rows) * 1e3
    found = agreement(ours, stretched)
    print(f"median Spearman {np.median(found):.4f}, {milliseconds:.1f} ms a row")
    assert np.median(found) >= 0.95
    np.testing.assert_allclose(ours.sum(axis=1), stretched.sum(axis=1), atol=1e-5)
    more = Shapley(model.outputs, read_background(bundle), evaluations=100_000)
    exact = np.array([more.explain(row, 1).contributions for row in rows[:10]])
    assert np.median(agreement(ours[:10], exact)) > 0.98
