"""Every learner through its converter, for every task, and the traps that were found on the way."""

import numpy as np
import onnx
import pandas as pd
import pytest

from bundle.model import inference_session
from tests.conftest import shop_frame
from trainer.candidates import Recipe, fit
from trainer.columns import describe, matrix
from trainer.errors import ParityError
from trainer.graph import export_model, export_scorer
from trainer.guardrails import inspect
from trainer.learners import learners
from trainer.metrics import metric_for
from trainer.parity import Graphs, Reference, gate
from trainer.problem import Problem, Scale
from trainer.vote import Ensemble, Fitted

SMALL = {
    "lgbm": {"n_estimators": 20},
    "lgbm_target": {"n_estimators": 20},
    "mlp": {"width": 8},
    "xgboost": {"n_estimators": 20, "max_leaves": 15},
    "catboost": {"early_stopping_rounds": 10, "n_estimators": 60},
    "rf": {"n_estimators": 10, "max_leaves": 20},
    "extra_tree": {"n_estimators": 10, "max_leaves": 20},
    "lrl1": {"C": 1.0},
    "enet": {"alpha": 0.01},
}


def table(task):
    frame = shop_frame(500)
    frame["is member"] = frame["is member"].astype("boolean")
    frame["colour"] = frame["colour"].astype(object)
    if task == "multiclass":
        frame["buys"] = pd.cut(frame["age"] + 5 * (frame["buys"] == "yes"), 3, labels=["a", "b", "c"]).astype(str)
    if task == "regression":
        frame["buys"] = 1e6 + frame["age"] * 10.0 + frame["spend.total"].fillna(0)
    return inspect(frame, "buys", None, None, ())


def reference_of(inspected, names, weights=None, logarithm=False):
    target, frame = inspected.target, inspected.frame
    columns = describe(frame)
    scale = Scale() if target.classes else Scale.of(target.values, logarithm)
    y = target.values if target.classes else scale.there(target.values)
    classes = learners(target.task, columns, 0)
    x = matrix(frame, columns)
    problem = Problem(target.task, metric_for(target.task, None), x, y, classes, 0, scale)
    members = tuple(
        Fitted(name, weight, SMALL[name], fit(problem, Recipe(name, name, SMALL[name], stops=False)))
        for name, weight in zip(names, weights or [1.0] * len(names), strict=True)
    )
    return Reference(Ensemble(target.task, members, scale), columns, target.classes)


def export(reference):
    return Graphs(
        export_model(reference.ensemble, reference.columns, reference.classes),
        export_scorer(reference.ensemble, len(reference.columns), reference.classes),
    )


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("learner", ["lgbm", "lgbm_target", "xgboost", "catboost", "rf", "extra_tree", "linear", "mlp"])
def test_each_learner_passes_the_gate(task, learner):
    inspected = table(task)
    assert inspected.target.task == task
    name = {"linear": "enet" if task == "regression" else "lrl1"}.get(learner, learner)
    reference = reference_of(inspected, [name])
    parity = gate(reference, export(reference), inspected.frame, 0)
    assert parity.flips == 0
    assert parity.max_difference <= 1e-5
    assert parity.clean_rows + parity.damaged_rows + parity.adversarial_rows >= 10_000


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_vote_passes_the_gate(task):
    inspected = table(task)
    reference = reference_of(inspected, ["lgbm", "xgboost", "lgbm_target", "rf"], [0.4, 0.2, 0.2, 0.2])
    assert gate(reference, export(reference), inspected.frame, 0).flips == 0


@pytest.mark.parametrize("learner", ["lgbm", "xgboost", "enet"])
def test_the_logarithm_of_a_target_is_learned(learner):
    inspected = table("regression")
    reference = reference_of(inspected, [learner], logarithm=True)
    x, values = matrix(inspected.frame, reference.columns), inspected.target.values
    assert np.abs(reference.ensemble.outputs(x) - values).mean() < np.abs(values.mean() - values).mean()
    assert gate(reference, export(reference), inspected.frame, 0).flips == 0


def test_members_that_see_the_same_share_the_nodes_of_it():
    reference = reference_of(table("binary"), ["xgboost", "xgboost"], [0.5, 0.5])
    graph = onnx.load_from_string(export(reference).scorer).graph
    assert [node.op_type for node in graph.node].count("Gather") == 2  # codes of the columns, places of the codes


def test_thresholds_between_neighbours_of_float32_are_floored():
    """Near 1e6 in steps of 0.01 the nearest float32 of a threshold can be its upper neighbour."""
    rng = np.random.default_rng(0)
    values = np.round(1e6 + rng.integers(0, 2_000, 3_000) * 0.01, 2)
    frame = pd.DataFrame({"x": values, "z": rng.normal(size=3_000)})
    frame["y"] = np.where(np.sin(values * 3) + 0.3 * frame["z"] > 0, "up", "down")
    inspected = inspect(frame, "y", None, None, ())
    reference = reference_of(inspected, ["lgbm"])
    columns = tuple(
        type(c)(**{f: getattr(c, f) for f in c.__struct_fields__} | {"offset": 0.0}) for c in reference.columns
    )
    bare = Reference(reference.ensemble, columns, reference.classes)
    x = matrix(frame, columns)
    (given,) = inference_session(export(bare).scorer).run(None, {"matrix": x})
    np.testing.assert_allclose(given, bare.ensemble.outputs(x), atol=1e-6)


def test_a_graph_of_another_model_fails_the_gate_and_says_which_rows():
    inspected = table("binary")
    reference = reference_of(inspected, ["lgbm"])
    other = reference_of(inspected, ["rf"])
    with pytest.raises(ParityError, match=r"(?s)differs from the Python model on \d+ of .*\"age\".*--learners"):
        gate(reference, export(other), inspected.frame, 0)


def test_one_graph_alone_that_differs_fails_the_gate():
    inspected = table("binary")
    reference = reference_of(inspected, ["lgbm"])
    other = reference_of(inspected, ["rf"])
    with pytest.raises(ParityError):
        gate(reference, Graphs(export(reference).model, export(other).scorer), inspected.frame, 0)
    with pytest.raises(ParityError):
        gate(reference, Graphs(export(other).model, export(reference).scorer), inspected.frame, 0)


def test_catboost_leaves_nothing_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reference_of(table("binary"), ["catboost"])
    assert list(tmp_path.iterdir()) == []


def test_values_at_lightgbms_own_zero(tmp_path):
    """Columns with both signs get a split at ±1e-35, and the gate tries those very values."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=300), "b": rng.choice(["p", "q", "r"], 300)})
    frame["y"] = np.where(frame["a"] + (frame["b"] == "p") + 0.5 * rng.normal(size=300) > 0, "up", "down")
    inspected = inspect(frame, "y", None, None, ())
    reference = reference_of(inspected, ["lgbm"])
    assert gate(reference, export(reference), inspected.frame, 0).flips == 0


@pytest.mark.parametrize(
    "names",
    [
        ("labelencoder_0", "member0_probabilities", "hp__constant_0", "label"),
        ("a.b", "a_b", "a b", "a-b"),
        ("$x^$", "日本", "", "1"),
        ("matrix", "probabilities", "value", "x" * 300),
    ],
)
def test_any_column_names(names):
    frame = shop_frame(200).drop(columns=["seen at", "age"]).astype({"colour": object, "is member": "boolean"})
    rng = np.random.default_rng(0)
    for name in names:
        frame[name] = rng.normal(size=200) if len(name) % 2 else rng.choice(["u", "v"], 200)
    inspected = inspect(frame, "buys", None, None, ())
    reference = reference_of(inspected, ["lgbm", "rf"], [0.5, 0.5])
    assert gate(reference, export(reference), inspected.frame, 0).flips == 0
