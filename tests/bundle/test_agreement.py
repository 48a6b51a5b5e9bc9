import numpy as np

from bundle.agreement import disagreement, trial_rows
from bundle.manifest import Column
from tests.bundle.test_compiled import a_forest


def test_rows_reach_what_a_column_can_hold():
    options = {"onnx_name": "c", "required": False, "missing_share": 0.0, "example": None}
    columns = [
        Column(name="number", kind="number", minimum=10.0, maximum=20.0, offset=5.0, **options),
        Column(name="flag", kind="boolean", **options),
        Column(name="word", kind="category", categories=("a", "b"), **options),
    ]
    forest = a_forest()
    rows = trial_rows(forest, columns)
    assert rows.shape == (500, 3)
    assert np.array_equal(rows, trial_rows(forest, columns), equal_nan=True)
    assert np.isnan(rows).any(axis=0).tolist() == [True, True, False]
    assert set(rows[:, 2]) == {0, 1, 2, 3}  # the last two: unseen, missing
    assert set(forest.threshold[(forest.feature == 0) & (np.abs(forest.threshold) < 1e38)]) <= set(rows[:, 0])


def test_labels_may_differ_in_ties_alone():
    expected = np.array([[0.5, 0.5], [0.2, 0.8]])
    assert disagreement(expected[:, ::-1], expected, 1.0) == "by 0.6"
    assert disagreement(expected + np.array([[4e-6, -4e-6], [0, 0]]), expected, 1.0) is None
    assert disagreement(np.full((2, 2), np.nan), expected, 1.0) == "by nan"
    clear = np.array([[0.500006, 0.499994]])
    assert disagreement(clear + np.array([[-7e-6, 7e-6]]), clear, 1.0) == "in 1 labels"


def test_a_regressions_difference_is_in_its_spread():
    assert disagreement(np.array([[1e6 + 0.5]]), np.array([[1e6]]), 1e5) is None
    assert disagreement(np.array([[1e6 + 0.5]]), np.array([[1e6]]), 1e3) == "by 0.0005"
