"""Shapley's axioms and his formula, on functions whose values can be had by hand or by all subsets."""

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.model import Model
from bundle.read import read_background
from bundle.shapley import EVALUATIONS, LEAST_ROWS, Shapley


def brute_force(function, background, row):
    """Shapley's formula over all subsets, one call of the function for each."""
    columns = range(len(row))

    def value(subset):
        taken = np.isin(columns, subset)
        return function(np.where(taken, row, background))[:, 0].mean()

    return np.array(
        [
            sum(
                factorial(size) * factorial(len(row) - size - 1) / factorial(len(row))
                * (value([*subset, column]) - value(list(subset)))
                for size in range(len(row))
                for subset in combinations([other for other in columns if other != column], size)
            )
            for column in columns
        ]
    )  # fmt: skip


def tangled(x):
    """Interactions of every order, steps, and a different treatment of missing values."""
    x = np.nan_to_num(x.astype(np.float64), nan=-1.5)
    steps = (x > 0.2) @ np.arange(1, x.shape[1] + 1)
    return np.stack([np.tanh(x.prod(axis=1) + x.max(axis=1)) + np.sin(steps), -steps], axis=1)


def data(columns, rows=20, seed=0, values=None):
    """A background and one row, continuous or (`values`) of so many different values."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows + 1, columns)) if values is None else rng.integers(0, values, (rows + 1, columns)) - 1
    return x[1:].astype(np.float32), x[0].astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.integers(0, 10**6), st.sampled_from([None, 2, 3]), st.booleans())
def test_few_columns_are_exact(columns, seed, values, missing):
    background, row = data(columns, 9, seed, values)
    if missing:
        background[::2, 0] = row[-1] = np.nan
    given = Shapley(tangled, background).explain(row, 0)
    np.testing.assert_allclose(given.contributions, brute_force(tangled, background, row), atol=1e-12)
    assert given.prediction == tangled(row[None])[0, 0]
    assert given.base == pytest.approx(tangled(background)[:, 0].mean(), abs=1e-12)


def test_permutations_come_close_and_closer():
    errors = []
    for seed in range(6):
        background, row = data(9, 100, seed)
        exact = brute_force(tangled, background, row)
        budgets = (1_000, EVALUATIONS, 48_000)
        errors.append([Shapley(tangled, background, b).explain(row, 0).contributions - exact for b in budgets])
    few, usual, many = np.sqrt(np.mean(np.square(errors), axis=(0, 2)))
    assert few > 1.5 * usual > 3 * many
    assert usual < 0.03  # of a function that no chain of steps suits: the answers of models are smoother


@pytest.mark.parametrize("evaluations", [1, 500, EVALUATIONS])
def test_pairs_of_permutations_are_exact_where_no_three_columns_interact(evaluations):
    rng = np.random.default_rng(1)
    straight, pairs = rng.normal(size=30), np.triu(rng.normal(size=(30, 30)), 1)

    def quadratic(x):
        x = x.astype(np.float64)
        return (x @ straight + np.einsum("ni,ij,nj->n", x, pairs, x))[:, None]

    background, row = data(30, 12)
    given = Shapley(quadratic, background, evaluations).explain(row, 0)
    x, z = row.astype(np.float64), background.astype(np.float64)
    # of x_i x_j a column gets half of what it changes with the other from x, and half with it from z
    both = pairs + pairs.T
    expected = ((x - z) * (straight + (x + z) @ both / 2)).mean(axis=0)
    np.testing.assert_allclose(given.contributions, expected, atol=1e-9)


@pytest.mark.parametrize("columns", [3, 20, 64])
@pytest.mark.parametrize("values", [None, 3])
def test_contributions_and_base_sum_to_the_prediction(columns, values):
    background, row = data(columns, 100, values=values)

    def large(x):
        return 1e9 * tangled(x)

    for output in (0, 1):
        given = Shapley(large, background).explain(row, output)
        assert given.base + given.contributions.sum() == pytest.approx(given.prediction, abs=1e-9 * 1e9)


def test_estimates_are_unbiased():
    """The mean over many permutations of the same columns comes to the truth, as their spread says."""
    background, row = data(8, 1)
    exact = brute_force(tangled, background, row)
    rng = np.random.default_rng(0)
    estimates = []
    for _ in range(400):
        order = rng.permutation(8)
        back = np.argsort(order)
        shuffled = Shapley(lambda x, back=back: tangled(x[:, back]), background[:, order], evaluations=28)
        estimates.append(shuffled.explain(row[order], 0).contributions[back])
    error = np.mean(estimates, axis=0) - exact
    spread = np.std(estimates, axis=0) / np.sqrt(len(estimates))
    assert (np.abs(error) < 4 * spread + 1e-12).all()
    assert spread.max() > 1e-3


@pytest.mark.parametrize("columns", [5, 15])
def test_a_column_that_changes_nothing_gets_nothing(columns):
    background, row = data(columns, 50)
    background[:, 2] = row[2]  # the same everywhere
    background[:, 4], row[4] = np.nan, np.nan  # also the same

    def blind(x):
        return tangled(np.delete(x, 1, axis=1))

    contributions = Shapley(blind, background).explain(row, 0).contributions
    assert contributions[2] == contributions[4] == 0
    assert contributions[1] == pytest.approx(0, abs=1e-12)
    assert np.count_nonzero(np.abs(contributions) > 1e-6) == columns - 3


def test_columns_that_do_the_same_get_the_same():
    background, row = data(6, 30)
    background[:, 5], row[5] = background[:, 1], row[1]
    contributions = Shapley(tangled_symmetric, background).explain(row, 0).contributions
    assert contributions[1] == pytest.approx(contributions[5], abs=1e-12)
    assert abs(contributions[1]) > 1e-3


def tangled_symmetric(x):
    return np.tanh(x[:, [0]] + x[:, [1]] * x[:, [5]] * x[:, [2]] + np.maximum(x[:, [1]], x[:, [5]]) - x[:, [3]])


def test_a_row_that_is_all_of_the_background():
    background = np.tile(data(4, 1)[0], (7, 1))
    given = Shapley(tangled, background).explain(background[0], 0)
    assert given.prediction == pytest.approx(given.base, rel=1e-15)
    assert given.contributions.tolist() == [0.0] * 4


def test_no_row_is_evaluated_twice_and_the_budget_holds():
    asked = []

    def counted(x):
        asked.append(x)
        return tangled(x)

    for columns, rows, values in ((5, 100, 2), (20, 100, None), (20, 100, 3), (120, 100, None)):
        background, row = data(columns, rows, values=values)
        Shapley(counted, background).explain(row, 0)
        (matrix,) = asked
        assert len(np.unique(matrix, axis=0)) == len(matrix) <= EVALUATIONS + rows + 1
        asked.clear()


def test_of_a_wide_table_fewer_rows_of_the_background_are_used():
    background, row = data(400, 100)
    wide = Shapley(tangled, background)
    assert len(wide.background) == LEAST_ROWS
    given = wide.explain(row, 1)
    assert given.base + given.contributions.sum() == pytest.approx(given.prediction, rel=1e-12)


def test_the_served_graph_gives_the_same_numbers_each_time(shop_bundle, shop_rows):
    model = Model(shop_bundle)
    shapley = Shapley(model.outputs, read_background(shop_bundle))
    matrix = model.encode(model.tuples(shop_rows))
    first = [shapley.explain(row, 1) for row in matrix]
    again = [Shapley(model.outputs, read_background(shop_bundle)).explain(row, 1) for row in matrix[::-1]][::-1]
    for one, other in zip(first, again, strict=True):
        assert (one.contributions == other.contributions).all()
        assert one.base + one.contributions.sum() == pytest.approx(one.prediction, abs=1e-12)
    np.testing.assert_allclose([one.prediction for one in first], model.outputs(matrix)[:, 1], atol=1e-6)
    exact = brute_force(lambda x: model.outputs(x)[:, 1:].astype(np.float64), shapley.background, matrix[0])
    np.testing.assert_allclose(first[0].contributions, exact, atol=1e-6)
