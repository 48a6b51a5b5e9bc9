import numpy as np
import pytest

from bundle.model import Model
from bundle.read import read_background
from trainer.columns import matrix
from trainer.explain import BACKGROUND_ROWS, background
from trainer.guardrails import inspect
from trainer.split import split
from trainer.table import read_table


def test_background_is_of_training_rows_alone(shop_bundle, shop_csv):
    inspected = inspect(read_table(shop_csv).frame, "buys", None, "yes", ())
    train, test = split(inspected, 0)
    columns = Model(shop_bundle).manifest.columns
    trained, tested = ({row.tobytes() for row in matrix(inspected.frame.iloc[part], columns)} for part in (train, test))
    drawn = {row.tobytes() for row in read_background(shop_bundle)}
    assert len(drawn) == BACKGROUND_ROWS
    assert drawn <= trained
    assert not drawn & tested


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_background_answers_as_all_rows_do(classes):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5_000, 3)).astype(np.float32)
    outputs = np.exp(2 * x[:, :classes].astype(np.float64))
    outputs = outputs[:, 0] if classes == 1 else outputs / outputs.sum(axis=1, keepdims=True)
    places = {row.tobytes(): place for place, row in enumerate(x)}
    drawn = [[places[row.tobytes()] for row in background(x, outputs, seed)] for seed in range(50)]
    assert all(len(set(one)) == BACKGROUND_ROWS for one in drawn)
    means = np.array([outputs[one].mean(axis=0) for one in drawn])
    assert drawn[0] != drawn[1]
    assert drawn[0] == [places[row.tobytes()] for row in background(x, outputs, 0)]
    # three quarters of the spread of rows that are drawn in random order, or less
    assert (means.std(axis=0) < outputs.std(axis=0) / np.sqrt(BACKGROUND_ROWS) * 0.75).all()
    np.testing.assert_allclose(means.mean(axis=0), outputs.mean(axis=0), rtol=0.1)


def test_a_small_table_is_its_own_background():
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert sorted(background(x, x[:, 0], 5).tolist()) == x.tolist()
