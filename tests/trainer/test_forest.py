"""Every learner of trees through the graph into the kernel, for every task."""

import numpy as np
import onnx
import pytest
from onnx import helper

from bundle.compiled import Compiled
from bundle.forest import LINKS, read_forest
from bundle.model import inference_session
from tests.trainer.test_graph import export, reference_of, table
from trainer.errors import ParityError
from trainer.forest import export_forest
from trainer.parity import Graphs, gate
from trainer.problem import Scale

TREES = ["lgbm", "lgbm_target", "xgboost", "catboost", "rf", "extra_tree"]


def with_forest(reference):
    graphs = export(reference)
    weights = [member.weight for member in reference.ensemble.members]
    columns, classes = len(reference.columns), len(reference.classes)
    return graphs._replace(forest=export_forest(graphs.scorer, weights, columns, reference.ensemble.scale, classes))


def hard_rows(forest, columns, count=4_000):
    """Values at, just below and just above every threshold, missing, and at the ends of float32; all codes."""
    rng = np.random.default_rng(0)
    largest = np.finfo(np.float32).max
    matrix = np.empty((count, len(columns)), dtype=np.float32)
    for place, column in enumerate(columns):
        if column.kind == "category":
            matrix[:, place] = rng.integers(len(column.categories) + 2, size=count)
            continue
        near = np.clip(forest.threshold[forest.feature == place], -largest, largest)
        up, down = (np.nextafter(near, np.float32(to)) for to in (largest, -largest))
        ends = [0.0, -0.0, 1e-45, -1e-45, largest, -largest, 1.0, np.nan, np.nan]
        matrix[:, place] = rng.choice(np.concatenate([near, up, down, np.float32(ends)]), count)
    return matrix


def assert_same(reference, graphs):
    columns, outputs = len(reference.columns), len(reference.classes) or 1
    forest = read_forest(graphs.forest.dumps(), columns, outputs)
    matrix = hard_rows(forest, reference.columns)
    (expected,) = inference_session(graphs.scorer).run(None, {"matrix": matrix})
    kernel = Compiled(forest, columns)
    for given in (kernel(matrix), np.concatenate([kernel(row[np.newaxis]) for row in matrix])):
        assert given.dtype == expected.dtype
        assert given.shape == expected.shape
        np.testing.assert_allclose(given, expected, rtol=0, atol=2e-6 * reference.ensemble.scale.unit)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("learner", TREES)
def test_the_kernel_answers_as_the_graph(task, learner):
    inspected = table(task)
    reference = reference_of(inspected, [learner])
    graphs = with_forest(reference)
    assert_same(reference, graphs)
    assert gate(reference, graphs, inspected.frame, 0).flips == 0


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_vote(task):
    inspected = table(task)
    reference = reference_of(inspected, ["catboost", "lgbm", "rf", "xgboost", "lgbm_target"], [0.3, 0.2, 0.2, 0.2, 0.1])
    graphs = with_forest(reference)
    assert_same(reference, graphs)
    features = list(
        zip(graphs.forest.derived, np.split(graphs.forest.tables, graphs.forest.table_start[1:-1]), strict=True)
    )
    assert len({(column, table.tobytes()) for column, table in features}) == len(features) > 0


def test_the_logarithm_of_a_target():
    reference = reference_of(table("regression"), ["lgbm", "catboost"], [0.5, 0.5], logarithm=True)
    graphs = with_forest(reference)
    assert graphs.forest.logarithm
    assert_same(reference, graphs)


def test_opposite_sums_of_two_classes_are_one_slot():
    reference = reference_of(table("binary"), ["catboost"])
    forest = with_forest(reference).forest
    assert forest.base.shape == (1,)
    assert LINKS[forest.link[0]] == "logistic"


@pytest.mark.parametrize("names", [["lrl1"], ["lgbm", "lrl1"]])
def test_a_linear_member_is_no_forest(names):
    reference = reference_of(table("binary"), names, [1 / len(names)] * len(names))
    assert with_forest(reference).forest is None


def test_a_kernel_that_differs_fails_the_gate():
    inspected = table("binary")
    reference = reference_of(inspected, ["lgbm"])
    graphs = with_forest(reference)
    graphs.forest.values[0] += 0.1
    with pytest.raises(ParityError):
        gate(reference, graphs, inspected.frame, 0)


def stump(mode, transform, threshold=1.0, **attributes):
    """One cut on the only column: a score of 1 for one side and of 2 for the other."""
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["matrix"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        nodes_treeids=[7, 7, 7],
        nodes_nodeids=[0, 2, 1],
        nodes_featureids=[0, 0, 0],
        nodes_modes=[mode, "LEAF", "LEAF"],
        nodes_values=[threshold, 0.0, 0.0],
        nodes_truenodeids=[2, 0, 0],
        nodes_falsenodeids=[1, 0, 0],
        post_transform=transform,
        classlabels_int64s=[0, 1, 2],
        class_treeids=[7, 7],
        class_nodeids=[2, 1],
        class_ids=[1, 2],
        class_weights=[1.0, 2.0],
        **attributes,
    )
    outputs = [
        helper.make_tensor_value_info("label", onnx.TensorProto.INT64, [None]),
        helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [None, 3]),
    ]
    matrix = helper.make_tensor_value_info("matrix", onnx.TensorProto.FLOAT, [None, 1])
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph([node], "stump", [matrix], outputs)
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


@pytest.mark.parametrize("threshold", [1.0, np.inf, -np.inf, np.finfo(np.float32).max])
@pytest.mark.parametrize("tracks", [0, 1])
@pytest.mark.parametrize("mode", ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"])
def test_each_way_to_compare(mode, tracks, threshold):
    graph = stump(
        mode, "SOFTMAX", threshold, nodes_missing_value_tracks_true=[tracks, 0, 0], base_values=[0.5, 0.0, -0.5]
    )
    forest = export_forest(graph, [1.0], 1, Scale(), 3)
    one, largest = np.float32(1), np.finfo(np.float32).max
    matrix = np.array(
        [[one], [np.nextafter(one, 0)], [np.nextafter(one, 2)], [np.nan], [0], [largest], [-largest]], dtype=np.float32
    )
    expected = inference_session(graph).run(["probabilities"], {"matrix": matrix})[0]
    np.testing.assert_allclose(Compiled(read_forest(forest.dumps(), 1, 3), 1)(matrix), expected, atol=1e-6)


@pytest.mark.parametrize(
    "graph", [stump("BRANCH_EQ", "SOFTMAX"), stump("BRANCH_LEQ", "PROBIT"), stump("BRANCH_LEQ", "LOGISTIC")]
)
def test_what_the_kernel_does_not_know_is_no_forest(graph):
    assert export_forest(graph, [1.0], 1, Scale(), 3) is None


def test_another_number_of_members_is_no_forest():
    assert export_forest(stump("BRANCH_LEQ", "NONE"), [0.5, 0.5], 1, Scale(), 3) is None


def test_graphs_without_a_forest_pass_the_gate():
    reference = reference_of(table("binary"), ["lgbm"])
    assert Graphs(*export(reference)).forest is None
