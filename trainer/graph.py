"""Export: the Python ensemble as two ONNX graphs.

`scorer.onnx` takes the float matrix of `bundle.encoding`; `model.onnx` is the same graph behind nodes
that encode raw columns. Each member goes through the converter of its library; the vote, the class
labels and the encoding are a few nodes written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from bundle import MISSING_WORDS, Column
from bundle.manifest import Label
from trainer.columns import RESERVED
from trainer.convert import ML_OPSET, ONNX_ML, OPSET, convert
from trainer.lookup import Feature, Lookup
from trainer.vote import Ensemble

IR_VERSION = 8  # the newest that every converter gives


class Nodes:
    """A list of nodes and constants under construction; every method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, value: Any) -> str:
        """Add a constant from an array, or from strings."""
        name = f"{RESERVED}constant_{len(self.constants)}"
        array = np.asarray(value)
        if array.dtype.kind in "US":
            self.constants.append(
                helper.make_tensor(name, TensorProto.STRING, array.shape, [str(s).encode() for s in array.ravel()])
            )
        else:
            self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, output: str | None = None, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        name = output or f"{RESERVED}{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], domain=domain, **attributes))
        return name

    def embed(self, model: ModelProto, source: str, prefix: str, result: str) -> str:
        """Add all nodes of another model, fed from `source`; returns the new name of its output `result`."""
        (matrix,) = [i.name for i in model.graph.input if i.name not in {c.name for c in model.graph.initializer}]

        def renamed(name: str) -> str:
            return source if name == matrix else f"{RESERVED}{prefix}_{name}" if name else ""

        for initializer in model.graph.initializer:
            copy = TensorProto()
            copy.CopyFrom(initializer)
            copy.name = renamed(copy.name)
            self.constants.append(copy)
        for node in model.graph.node:
            moved = NodeProto()
            moved.CopyFrom(node)
            moved.name = f"{prefix}_{node.name or len(self.nodes)}"
            moved.input[:] = [renamed(name) for name in node.input]
            moved.output[:] = [renamed(name) for name in node.output]
            self.nodes.append(moved)
        return renamed(result)

    def model(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> bytes:
        """The checked, serialised model."""
        graph = helper.make_graph(self.nodes, name, list(inputs), list(outputs), self.constants)
        _prune(graph)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ONNX_ML, ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="homeport")
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))


def export_scorer(ensemble: Ensemble, columns: int, classes: Sequence[Label]) -> bytes:
    """`scorer.onnx`: matrix (rows, columns) → probabilities (rows, classes) or value (rows, 1)."""
    nodes = Nodes()
    result = _answer(nodes, ensemble, "matrix", columns, len(classes))
    matrix = helper.make_tensor_value_info("matrix", TensorProto.FLOAT, [None, columns])
    return nodes.model("scorer", [matrix], [_output(result, classes)])


def export_model(ensemble: Ensemble, columns: Sequence[Column], classes: Sequence[Label]) -> bytes:
    """`model.onnx`: one tensor of shape (rows, 1) a column → label and probabilities, or value."""
    nodes = Nodes()
    encoded = [_encode(nodes, column) for column in columns]
    matrix = nodes.add("Concat", *encoded, axis=1)
    fills = [float("nan") if column.fill is None else column.fill - column.offset for column in columns]
    matrix = nodes.add("Imputer", matrix, domain=ONNX_ML, imputed_value_floats=fills, replaced_value_float=float("nan"))
    result = _answer(nodes, ensemble, matrix, len(columns), len(classes))
    outputs = [_output(result, classes)]
    if classes:
        place = _decide(nodes, ensemble, result)
        nodes.add("Gather", nodes.constant(list(classes)), place, output="label")
        kind = {bool: TensorProto.BOOL, int: TensorProto.INT64, str: TensorProto.STRING}[type(classes[0])]
        outputs.insert(0, helper.make_tensor_value_info("label", kind, [None]))
    inputs = [helper.make_tensor_value_info(c.onnx_name, _INPUT[input_type(c)], [None, 1]) for c in columns]
    return nodes.model("model", inputs, outputs)


def _decide(nodes: Nodes, ensemble: Ensemble, probabilities: str) -> str:
    """`bundle.decision`, as nodes."""
    positive, threshold = ensemble.positive, ensemble.threshold
    if positive is None or threshold is None:  # the first of equal probabilities, as numpy's argmax has it
        return nodes.add("ArgMax", probabilities, axis=1, keepdims=0)
    asked = nodes.add("Gather", probabilities, nodes.constant(np.int64(positive)), axis=1)
    enough = nodes.add("GreaterOrEqual", asked, nodes.constant(np.float32(threshold)))
    places = (nodes.constant(np.int64(place)) for place in (positive, 1 - positive))
    return nodes.add("Where", enough, *places)


_INPUT = {"string": TensorProto.STRING, "float": TensorProto.FLOAT, "double": TensorProto.DOUBLE}


def input_type(column: Column) -> str:
    """The tensor type of a column in `model.onnx`; booleans are 0, 1 and NaN."""
    if column.kind == "category":
        return "string"
    return "double" if column.offset else "float"


def _output(name: str, classes: Sequence[Label]) -> Any:
    kind = TensorProto.FLOAT if classes else TensorProto.DOUBLE
    return helper.make_tensor_value_info(name, kind, [None, len(classes) or 1])


def _encode(nodes: Nodes, column: Column) -> str:
    """The table of `bundle.encoding`, as nodes."""
    if column.kind == "category":
        codes = {word: float(len(column.categories) + 1) for word in MISSING_WORDS}
        codes |= {category: float(code) for code, category in enumerate(column.categories)}
        return nodes.add(
            "LabelEncoder",
            column.onnx_name,
            domain=ONNX_ML,
            keys_strings=list(codes),
            values_floats=list(codes.values()),
            default_float=float(len(column.categories)),
        )
    if column.offset:
        moved = nodes.add("Sub", column.onnx_name, nodes.constant(np.float64(column.offset)))
        return nodes.add("Cast", moved, to=TensorProto.FLOAT)
    return column.onnx_name


def _answer(nodes: Nodes, ensemble: Ensemble, matrix: str, columns: int, classes: int) -> str:
    regression = ensemble.task == "regression"
    parts = []
    behind: dict[tuple[tuple[int, bytes], ...], str] = {}  # members may share their derived features
    for place, member in enumerate(ensemble.members):
        lookup: Lookup | None = getattr(member.estimator, "lookup", None)
        features = lookup.features if lookup else ()
        source = matrix
        if features:
            key = tuple((feature.column, feature.table.tobytes()) for feature in features)
            source = behind[key] = behind.get(key) or look_up(nodes, features, matrix)
        converted, result = convert(member.learner, member.estimator, columns + len(features))
        parts.append(nodes.embed(converted, source, f"member{place}", result))
    total = parts[0]
    if len(parts) > 1:  # the weighted sum as one product: each node costs a microsecond a call
        weights = [member.weight * np.eye(1 if regression else classes) for member in ensemble.members]
        side_by_side = nodes.add("Concat", *parts, axis=1)
        total = nodes.add("MatMul", side_by_side, nodes.constant(np.concatenate(weights).astype(np.float32)))
    if not regression:
        return nodes.add("Identity", total, output="probabilities")
    mean, spread, logarithm, _ = ensemble.scale
    # in float64: a large mean would eat the digits of the difference
    scaled = nodes.add("Mul", nodes.add("Cast", total, to=TensorProto.DOUBLE), nodes.constant(np.float64(spread)))
    flat = nodes.add("Reshape", scaled, nodes.constant(np.array([-1, 1], dtype=np.int64)))
    shift = nodes.constant(np.float64(mean))
    if logarithm:
        return nodes.add("Exp", nodes.add("Add", flat, shift), output="value")
    return nodes.add("Add", flat, shift, output="value")


def look_up(nodes: Nodes, features: Sequence[Feature], matrix: str) -> str:
    """Put derived features behind the columns of a matrix: all their tables in one, and a place in it for each code."""
    starts = np.cumsum([0, *(len(feature.table) for feature in features[:-1])])
    columns = np.array([feature.column for feature in features], dtype=np.int64)
    codes = nodes.add("Gather", matrix, nodes.constant(columns), axis=1)
    places = nodes.add("Add", nodes.add("Cast", codes, to=TensorProto.INT64), nodes.constant(starts.astype(np.int64)))
    table = nodes.constant(np.concatenate([feature.table for feature in features]))
    return nodes.add("Concat", matrix, nodes.add("Gather", table, places, axis=0), axis=1)


def _prune(graph: GraphProto) -> None:
    """Take out the nodes and constants that no output needs, such as the members' own labels."""
    needed = {output.name for output in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    constants = [constant for constant in graph.initializer if constant.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(constants)
