import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.candidates import Candidate, Recipe, baseline
from trainer.metrics import METRICS, classification_metrics, metric_for, regression_metrics
from trainer.problem import Problem
from trainer.vote import MAX_MEMBERS, choose, greedy_weights

RMSE, AUC = METRICS["rmse"], METRICS["roc_auc"]


def problem_of(y):
    return Problem("regression", RMSE, y[:, None], y, {}, 0)


def candidate(name, outputs, y, metric):
    return Candidate(name, Recipe(name, name, {}), metric.function(y, outputs), 0.0, outputs)


@given(st.integers(0, 100), st.integers(2, 6))
def test_weights_sum_to_one_over_few_members_and_never_lose_to_the_best(seed, count):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=60)
    given_outputs = [y + rng.normal(0, scale, 60) for scale in rng.uniform(0.2, 1, count)]
    candidates = [candidate(str(place), outputs, y, RMSE) for place, outputs in enumerate(given_outputs)]
    weights = greedy_weights(problem_of(y), candidates)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert np.count_nonzero(weights) <= MAX_MEMBERS
    vote = RMSE.function(y, np.tensordot(weights, given_outputs, axes=1))
    assert vote <= min(RMSE.function(y, outputs) for outputs in given_outputs) + 1e-12


def test_a_vote_of_independent_errors_wins():
    rng = np.random.default_rng(0)
    y = rng.normal(size=500)
    candidates = [candidate(str(number), y + rng.normal(0, 1, 500), y, RMSE) for number in range(3)]
    problem = problem_of(y)
    chosen = choose(problem, [baseline(problem), *candidates])
    assert len(chosen.shares) > 1
    assert sum(weight for _, weight in chosen.shares) == pytest.approx(1)
    assert [row.chosen for row in chosen.board].count(True) == 1


def test_a_vote_that_does_not_win_is_not_taken():
    rng = np.random.default_rng(0)
    y = rng.normal(size=500)
    good = candidate("good", y + rng.normal(0, 0.01, 500), y, RMSE)
    poor = candidate("poor", rng.normal(0, 1, 500), y, RMSE)
    chosen = choose(problem_of(y), [good, poor])
    assert [(c.name, weight) for c, weight in chosen.shares] == [("good", 1.0)]
    assert next(row for row in chosen.board if row.chosen).name == "good"


def test_metrics_of_known_answers():
    """By hand: 3 of 4 right, one positive missed."""
    values = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]])
    metrics = classification_metrics(values, probabilities)
    assert metrics["accuracy"] == 0.75
    assert metrics["balanced_accuracy"] == 0.75
    assert metrics["norm_macro_recall"] == 0.5
    assert metrics["AUC_weighted"] == pytest.approx(0.75)
    assert metrics["log_loss"] == pytest.approx(-np.log([0.9, 0.6, 0.8, 0.3]).mean())
    assert metrics["precision_score_macro"] == pytest.approx((2 / 3 + 1) / 2)
    assert metrics["matthews_correlation"] == pytest.approx(1 / np.sqrt(3))


def test_rows_of_a_large_class_weigh_more_in_weighted_accuracy():
    values = np.array([0, 0, 0, 1])
    always_first = np.tile([0.9, 0.1], (4, 1))
    assert classification_metrics(values, always_first)["weighted_accuracy"] == pytest.approx(9 / 10)


def test_regression_metrics_of_known_answers():
    metrics = regression_metrics(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 6.0]))
    assert metrics["root_mean_squared_error"] == pytest.approx(np.sqrt(3))
    assert metrics["mean_absolute_error"] == 1
    assert metrics["normalized_mean_absolute_error"] == 0.5
    assert metrics["spearman_correlation"] == pytest.approx(1)


def test_a_class_that_the_test_rows_lack_does_not_break_the_metrics():
    metrics = classification_metrics(np.array([0, 1, 0, 1]), np.tile([0.5, 0.3, 0.2], (4, 1)))
    assert np.isfinite(list(metrics.values())).all()


@pytest.mark.parametrize(("task", "name"), [("binary", "roc_auc"), ("multiclass", "log_loss"), ("regression", "rmse")])
def test_default_metrics(task, name):
    assert metric_for(task, None).name == name
