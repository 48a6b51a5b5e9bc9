"""The threshold: chosen where it helps, and the same in Python, both graphs, the bundle and the endpoint's answers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bundle import Store
from bundle.decision import decision
from bundle.model import Model, inference_session
from tests.conftest import MODEL, Silent, quick, write_csv
from tests.trainer.test_graph import export, reference_of, table
from trainer.columns import rows
from trainer.job import train
from trainer.metrics import METRICS
from trainer.parity import feeds, gate
from trainer.problem import Problem
from trainer.table import read_table
from trainer.threshold import choose_threshold


def scored(metric, count=4_000, truth=0.5):
    """Probabilities of a rare class that are `truth` times what they should be."""
    rng = np.random.default_rng(0)
    real = rng.beta(0.5, 3, count)
    y = (rng.random(count) < real).astype(np.int64)
    shares = real * truth
    problem = Problem("binary", METRICS[metric], y[:, None].astype(float), y, {}, 0)
    return problem, np.stack([1 - shares, shares], axis=1)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
@pytest.mark.parametrize("positive", [0, 1])
def test_probabilities_that_are_too_low_get_a_threshold_that_makes_up_for_it(metric, positive):
    problem, outputs = scored(metric)
    threshold = choose_threshold(problem, outputs, positive)
    assert threshold == np.float32(threshold)
    share = threshold if positive else 1 - threshold
    assert 0.05 < share < 0.4
    decided = decision(threshold, positive)(outputs)
    assert problem.metric.value(problem.y, outputs, decided) > problem.metric.value(problem.y, outputs) + 0.005


@pytest.mark.parametrize(("metric", "positive"), [("roc_auc", 1), ("log_loss", 1), ("macro_f1", None)])
def test_no_threshold_where_none_applies(metric, positive):
    assert choose_threshold(*scored(metric), positive) is None


def test_no_threshold_where_it_would_be_noise():
    problem, outputs = scored("accuracy", count=300, truth=1.0)
    assert choose_threshold(problem, outputs, 1) is None


def test_at_the_threshold_it_is_the_positive_class():
    outputs = np.array([[0.7, 0.3], [0.70001, 0.29999]], dtype=np.float32)
    assert decision(float(np.float32(0.3)), 1)(outputs).tolist() == [1, 0]
    assert decision(float(np.float32(0.7)), 0)(outputs).tolist() == [0, 0]
    assert decision(None, 1)(np.array([[0.5, 0.5]])).tolist() == [0]


@pytest.mark.parametrize("positive", [0, 1])
def test_the_graph_decides_as_python_does(positive):
    inspected = table("binary")
    reference = reference_of(inspected, ["lgbm", "rf"], [0.5, 0.5])
    reference = replace(reference, ensemble=replace(reference.ensemble, threshold=0.25, positive=positive))
    graphs = export(reference)
    assert gate(reference, graphs, inspected.frame, 0).flips == 0
    labels, outputs = inference_session(graphs.model).run(
        None, feeds(rows(inspected.frame, reference.columns), reference.columns)
    )
    asked = outputs[:, positive] >= np.float32(0.25)
    assert 0 < asked.sum() < len(asked)
    assert (asked == (labels == reference.classes[positive])).all()
    assert (labels != np.array(reference.classes)[outputs.argmax(axis=1)]).any()


def test_a_model_of_a_rare_class_is_written_measured_and_loaded_with_its_threshold(tmp_path):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.random(1_500), "z": rng.normal(size=1_500)})
    frame["buys"] = np.where(rng.random(1_500) < 0.4 * frame["x"] ** 2, "yes", "no")  # never as likely as not
    path = write_csv(frame, tmp_path / "t.csv")
    store = Store(tmp_path / "models")
    asked = quick(read_table(path), "buys", metric="macro_f1", positive="yes", max_trials=2, learners=("lgbm",))
    manifest = train(asked, store, Silent())
    assert manifest.threshold is not None
    assert manifest.threshold < 0.5
    model = Model(store.champion_path(MODEL))
    outputs = np.array([[1 - manifest.threshold, manifest.threshold], [0.99, 0.01]], dtype=np.float32)
    assert model.labels(outputs) == ["yes", "no"]
    assert model.labels(outputs[:1]) == ["yes"]
