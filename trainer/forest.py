"""Export: the trees of `scorer.onnx` as the plain arrays of `bundle.forest`.

They are read from the converted graph, not from the estimators: the portable graph stays the one
source, and what was mended on the way into it need not be mended twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, helper, numpy_helper

from bundle.forest import LINKS, MAX_COLUMNS, MAX_NODES, Array, Forest
from trainer.problem import Scale

# around the trees: imputers, LightGBM's product with one, the vote, a regression's scale
_AROUND = {"Imputer", "Identity", "Mul", "Cast", "Concat", "MatMul", "Reshape", "Add", "Gather", "Exp"}
_TREES = {"TreeEnsembleClassifier", "TreeEnsembleRegressor"}


class _Other(Exception):
    """The graph is no sum of trees that the kernel knows."""


class _Member(NamedTuple):
    """One member; the fields of Forest have the same names."""

    threshold: Array
    feature: Array
    missing_left: Array
    values: Array
    slot: Array
    width: Array
    base: Array
    link: int


def export_forest(scorer: bytes, weights: Sequence[float], columns: int, scale: Scale, classes: int) -> Forest | None:
    """The model in `scorer` as a forest; None if a member is none, such as a linear model.

    `weights` are the members' shares of the vote.
    """
    graph = onnx.load_from_string(scorer).graph
    nodes = [node for node in graph.node if node.op_type in _TREES]
    others = {node.op_type for node in graph.node} - _TREES - _AROUND
    if others or len(nodes) != len(weights):
        return None
    made_by = {node.output[0]: node for node in graph.node}
    derived = _Derived(graph, made_by, columns)
    try:
        members = []
        for node in nodes:
            source = made_by.get(node.input[0])
            imputed = source if source is not None and source.op_type == "Imputer" else None
            means = _attributes(imputed)["imputed_value_floats"] if imputed is not None else None
            member = _member(node, means, classes)
            matrix = node.input[0] if imputed is None else imputed.input[0]
            members.append(member._replace(feature=derived.moved(member.feature, matrix)))
    except _Other:
        return None
    if columns + len(derived.columns) > MAX_COLUMNS:
        return None
    firsts = np.cumsum([0, *(len(member.base) for member in members)])
    return Forest(
        threshold=np.concatenate([m.threshold for m in members]).astype(np.float32),
        feature=np.concatenate([m.feature for m in members]).astype(np.int32),
        missing_left=np.concatenate([m.missing_left for m in members]).astype(np.bool_),
        values=np.concatenate([m.values for m in members]).astype(np.float32),
        slot=np.concatenate([m.slot + first for m, first in zip(members, firsts, strict=False)]).astype(np.int32),
        width=np.concatenate([m.width for m in members]).astype(np.int32),
        base=np.concatenate([m.base for m in members]).astype(np.float64),
        link=np.array([m.link for m in members], dtype=np.int32),
        weight=np.array(weights, dtype=np.float64),
        outputs=np.array(classes or 1, dtype=np.int32),
        target=np.array(scale[:2], dtype=np.float64),
        logarithm=np.array(scale.logarithm),
        derived=np.array(derived.columns, dtype=np.int32),
        table_start=np.cumsum([0, *map(len, derived.tables)], dtype=np.int32),
        tables=np.concatenate([np.zeros(0, np.float32), *derived.tables]).astype(np.float32),
    )


class _Derived:
    """The derived features that members use, each of them once."""

    def __init__(self, graph: GraphProto, made_by: Mapping[str, NodeProto], columns: int) -> None:
        self._constants = {constant.name: constant for constant in graph.initializer}
        self._made_by, self._count = made_by, columns
        self._known: dict[tuple[int, bytes], int] = {}
        self.columns: list[int] = []
        self.tables: list[Array] = []

    def moved(self, feature: Array, matrix: str) -> Array:
        """Places in the matrix of this name → places in the forest's: columns, then derived features. Leaves stay."""
        used = np.unique(feature[feature >= self._count])
        if not len(used):
            return feature
        moved = feature.copy()
        columns, starts, table = self._looked_up(matrix)
        ends = [*starts[1:], len(table)]
        for place in used - self._count:
            part = table[starts[place] : ends[place]]
            key = int(columns[place]), part.tobytes()
            if key not in self._known:
                self._known[key] = self._count + len(self.columns)
                self.columns.append(key[0])
                self.tables.append(part)
            moved[feature == self._count + place] = self._known[key]
        return moved

    def _looked_up(self, matrix: str) -> tuple[Array, Array, Array]:
        """Columns, starts and table of `trainer.graph.look_up`, read back from its nodes."""
        gathered = self._made_by[self._made_by[matrix].input[1]]
        places = self._made_by[gathered.input[1]]
        codes = self._made_by[self._made_by[places.input[0]].input[0]]
        names = codes.input[1], places.input[1], gathered.input[0]
        columns, starts, table = (numpy_helper.to_array(self._constants[name]) for name in names)
        return columns, starts, table


def _attributes(node: NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _member(node: NodeProto, imputed: Sequence[float] | None, classes: int) -> _Member:
    given = _attributes(node)
    if "nodes_values" not in given or given.get("aggregate_function", b"SUM") != b"SUM":
        raise _Other
    trees, ids = np.array(given["nodes_treeids"]), np.array(given["nodes_nodeids"])
    rows = {key: row for row, key in enumerate(zip(trees.tolist(), ids.tolist(), strict=True))}
    modes = np.array(given["nodes_modes"])
    threshold, missing_left, swapped = _cuts(given, modes, imputed)
    left, right = np.array(given["nodes_truenodeids"]), np.array(given["nodes_falsenodeids"])
    left, right = np.where(swapped, right, left), np.where(swapped, left, right)
    order = _preorder(rows, trees, modes == b"LEAF", left, right)
    leaf = (modes == b"LEAF")[order]

    sums, used, base, link = _sums(given, rows, classes)
    starts = np.flatnonzero(np.append(True, np.diff(trees[order]) != 0))
    if int(np.diff(np.append(starts, len(order))).max()) > MAX_NODES:
        raise _Other
    used = np.logical_or.reduceat(used[order], starts)  # (trees, slots): boosted trees are for one class each
    slot = used.argmax(axis=1)
    width = used.shape[1] - used[:, ::-1].argmax(axis=1) - slot
    leaves = np.split(sums[order], starts[1:])
    kept = [
        part[is_leaf, first : first + count].ravel()
        for part, is_leaf, first, count in zip(leaves, np.split(leaf, starts[1:]), slot, width, strict=True)
    ]
    return _Member(
        threshold[order],
        np.where(leaf, -1, np.array(given["nodes_featureids"])[order]),
        missing_left[order],
        np.concatenate(kept),
        slot,
        width,
        base,
        LINKS.index(link),
    )


def _cuts(given: dict[str, Any], modes: Array, imputed: Sequence[float] | None) -> tuple[Array, Array, Array]:
    """Every cut as `left where value <= threshold`: thresholds, where NaN goes, whose children are swapped."""
    if set(modes.tolist()) - {b"LEAF", b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GT", b"BRANCH_GTE"}:
        raise _Other
    threshold = np.array(given["nodes_values"], dtype=np.float32)
    strict = (modes == b"BRANCH_LT") | (modes == b"BRANCH_GTE")
    with np.errstate(over="ignore"):  # below the smallest float32 is -inf, where nothing but NaN goes
        threshold[strict] = np.nextafter(threshold[strict], np.float32(-np.inf))
    threshold = np.minimum(threshold, np.finfo(np.float32).max)  # LightGBM's cut between all numbers and NaN is at +inf
    swapped = (modes == b"BRANCH_GT") | (modes == b"BRANCH_GTE")
    if imputed is not None:  # a missing value goes where the imputed one goes
        means = np.array(imputed, dtype=np.float32)
        return threshold, means[np.array(given["nodes_featureids"])] <= threshold, swapped
    tracks = np.array(given.get("nodes_missing_value_tracks_true", np.zeros(len(modes))), dtype=bool)
    return threshold, tracks != swapped, swapped


def _preorder(rows: dict[tuple[int, int], int], trees: Array, leaf: Array, left: Array, right: Array) -> Array:
    """The order that puts each tree's nodes before their left, then their right subtree."""
    order: list[int] = []
    # the first node of a tree is its root
    roots = np.unique(trees, return_index=True)[1]
    for root in np.sort(roots).tolist():
        tree, stack = int(trees[root]), [root]
        while stack:
            row = stack.pop()
            order.append(row)
            if not leaf[row]:
                stack += (rows[tree, int(right[row])], rows[tree, int(left[row])])
    if len(order) != len(trees):
        raise _Other
    return np.array(order)


def _sums(given: dict[str, Any], rows: dict[tuple[int, int], int], classes: int) -> tuple[Array, Array, Array, str]:
    """What each node adds to each slot (nodes, slots), whether it is meant to, the base of each slot, the link."""
    kind = "class" if classes else "target"
    transform, slots = given.get("post_transform", b"NONE"), classes or 1
    sums, used = np.zeros((len(rows), slots)), np.zeros((len(rows), slots), dtype=bool)
    parts = (given[f"{kind}_{name}"] for name in ("treeids", "nodeids", "ids", "weights"))
    for tree, node, place, weight in zip(*parts, strict=True):
        sums[rows[tree, node], place] += weight
        used[rows[tree, node], place] = True
    base = np.array(given.get("base_values", [0.0] * slots))
    if transform == b"NONE" and not classes:
        return sums, used, base, "identity"
    if classes == 2 and transform in (b"NONE", b"LOGISTIC"):
        one = len(set(given["class_ids"])) == 1  # it is for the second class, whatever its id
        opposite = transform == b"LOGISTIC" and (sums[:, 0] == -sums[:, 1]).all() and base[0] == -base[-1]
        if one or opposite:
            place = given["class_ids"][0] if one else 1
            link = "logistic" if transform == b"LOGISTIC" else "complement"
            return sums[:, [place]], used[:, [place]], base[-1:], link
    if len(base) != slots or transform not in (b"NONE", b"SOFTMAX"):
        raise _Other
    return sums, used, base, "softmax" if transform == b"SOFTMAX" else "identity"
