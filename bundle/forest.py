"""`forest.npz`: a model of tree ensembles as plain arrays, for the compiled kernel.

The nodes of a tree are in preorder: a node, its left subtree, its right subtree. Which nodes are
leaves therefore says all of a tree's shape: there are no indices that could point astray or back.

output = mean + spread · Σ weight · link(base + Σ leaf values), over members and the trees of each; its exponential
where the target was learned as a logarithm. Behind the columns of the matrix, trees have derived features: each is
what a table says of the code in one column.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bundle.errors import BundleCorrupt

FOREST = "forest.npz"
LINKS = ("identity", "complement", "logistic", "softmax")  # as the kernel numbers them
MAX_NODES = 65_536  # of a tree: offsets in the kernel's nodes are of 16 bits, as are features
MAX_COLUMNS = 32_767

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Shape:
    """What follows from the leaves of a forest in preorder; all int64."""

    start: Array  # (trees + 1,): place of each root, and the number of nodes
    right: Array  # (nodes,): place of the right child; 0 for leaves. The left one is the next node
    leaf: Array  # (nodes + 1,): how many leaves there are before a node


@dataclass(frozen=True)
class Forest:
    """The arrays, in this order in the file. A slot is one sum of leaf values.

    `complement` and `logistic` members have one slot, p or its logit, and answer (1 - p, p); the
    others have one for each output.
    """

    threshold: Array  # float32 (nodes,): a value goes left where value <= threshold; below +inf
    feature: Array  # int32 (nodes,): the column of the matrix, or behind them a derived feature; -1 is a leaf
    missing_left: Array  # bool (nodes,): where NaN goes
    values: Array  # float32 (sum of leaves × width,): tree by tree, leaves from left to right
    slot: Array  # int32 (trees,): the first slot that the tree's leaves add to
    width: Array  # int32 (trees,): to how many they do
    base: Array  # float64 (slots,): what the sums start from
    link: Array  # int32 (members,): a place in LINKS
    weight: Array  # float64 (members,)
    outputs: Array  # int32 (): classes, or 1 for a regression
    target: Array  # float64 (2,): mean and spread of a regression's target; (0, 1) otherwise
    logarithm: Array  # bool (): whether these are of the target's logarithm
    derived: Array  # int32 (derived features,): the column whose code is looked up
    table_start: Array  # int32 (derived features + 1,): where the table of each begins
    tables: Array  # float32 (sum of codes,)

    def dumps(self) -> bytes:
        """The file's content; the same arrays give the same bits."""
        file = io.BytesIO()
        np.savez_compressed(file, **{field.name: getattr(self, field.name) for field in fields(self)})
        return file.getvalue()

    @cached_property
    def shape(self) -> Shape:
        """See Shape. Raises ValueError."""
        return _shape(self.feature)

    @property
    def two_faced(self) -> Array:
        """Which members have one slot and two outputs: bool (members,)."""
        return np.isin(self.link, [LINKS.index("complement"), LINKS.index("logistic")])

    @property
    def slots(self) -> Array:
        """How many slots each member has: int64 (members,)."""
        return np.where(self.two_faced, 1, int(self.outputs))


_TYPES = {
    "threshold": (np.float32, 1),
    "feature": (np.int32, 1),
    "missing_left": (np.bool_, 1),
    "values": (np.float32, 1),
    "slot": (np.int32, 1),
    "width": (np.int32, 1),
    "base": (np.float64, 1),
    "link": (np.int32, 1),
    "weight": (np.float64, 1),
    "outputs": (np.int32, 0),
    "target": (np.float64, 1),
    "logarithm": (np.bool_, 0),
    "derived": (np.int32, 1),
    "table_start": (np.int32, 1),
    "tables": (np.float32, 1),
}
# of what earlier versions did not write
_ABSENT = {
    "logarithm": np.array(False),
    "derived": np.zeros(0, np.int32),
    "table_start": np.zeros(1, np.int32),
    "tables": np.zeros(0, np.float32),
}


def _shape(feature: Array) -> Shape:
    """Find the trees and their right children. Raises ValueError if the nodes are no whole trees."""
    leaf = feature < 0
    nodes = len(leaf)
    # how many subtrees are still to come, after each node: a tree is whole where that falls to a new minimum
    level = np.cumsum(np.where(leaf, -1, 1))
    ends = np.flatnonzero(level < np.minimum.accumulate(np.append(0, level))[:-1])
    if not nodes or not len(ends) or ends[-1] != nodes - 1:
        raise ValueError("its nodes are no whole trees")
    # the left subtree of a node ends where the level first falls below the node's own
    key = (level + nodes) * nodes + np.arange(nodes)
    order = np.sort(key)
    inner = np.flatnonzero(~leaf)
    right = np.zeros(nodes, dtype=np.int64)
    right[inner] = order[np.searchsorted(order, key[inner] - nodes)] % nodes + 1
    return Shape(np.append(0, ends + 1), right, np.append(0, np.cumsum(leaf)))


def read_forest(content: bytes, columns: int, outputs: int) -> Forest:
    """Parse and check the file of a model of so many columns and outputs.

    What it returns is safe to run: every tree is whole, every column and slot exists. Raises
    BundleCorrupt.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = _ABSENT | {name: file[name] for name in file.files}
        if {name: (array.dtype, array.ndim) for name, array in arrays.items()} != _TYPES:
            raise ValueError("it holds other arrays")
        forest = Forest(**arrays)
        _check(forest, columns, outputs)
    except Exception as error:  # numpy, zipfile and zlib each have their own for damaged bytes
        raise BundleCorrupt(
            f"{FOREST} is no forest of this model: {error}. Copy the bundle anew from where it was written, "
            "or train again."
        ) from error
    return forest


def _check(forest: Forest, columns: int, outputs: int) -> None:
    """Raise ValueError on what the kernel must not run."""
    for name in ("values", "base", "weight", "target", "tables"):
        _demand(bool(np.isfinite(getattr(forest, name)).all()), f"not every number of '{name}' is finite")
    nodes, inner = len(forest.feature), forest.feature >= 0
    _check_derived(forest, columns)
    features = columns + len(forest.derived)
    _demand(features <= MAX_COLUMNS and bool((forest.feature < features).all()), "a node reads beyond the columns")
    _demand(len(forest.threshold) == len(forest.missing_left) == nodes < 2**30, "its nodes are incomplete")
    # the kernel takes +inf for a missing value that goes right
    _demand(bool((forest.threshold[inner] < np.inf).all()), "a threshold is infinite or no number")
    sizes, slots = np.diff(forest.shape.start), len(forest.base)
    _demand(len(forest.slot) == len(forest.width) == len(sizes), "it has another number of trees")
    _demand(int(sizes.max()) <= MAX_NODES, "a tree is too large")
    ends = forest.slot.astype(np.int64) + forest.width
    _demand(bool(((forest.slot >= 0) & (forest.width > 0) & (ends <= slots)).all()), "a tree adds to no slot")
    leaves = np.diff(forest.shape.leaf[forest.shape.start])
    _demand(int((leaves * forest.width).sum()) == len(forest.values), "it has another number of leaf values")
    _demand(len(forest.link) == len(forest.weight) > 0, "its members are incomplete")
    _demand(bool(((forest.link >= 0) & (forest.link < len(LINKS))).all()), "a member has no link")
    _demand(int(forest.outputs) == outputs and len(forest.target) == 2, "it has other outputs")
    _demand(outputs == 2 or not forest.two_faced.any(), "a member has two outputs")
    _demand(int(forest.slots.sum()) == slots, "it has another number of slots")


def _check_derived(forest: Forest, columns: int) -> None:
    start, count = forest.table_start.astype(np.int64), len(forest.derived)
    _demand(bool(((forest.derived >= 0) & (forest.derived < columns)).all()), "a table is of no column")
    _demand(len(start) == count + 1 and start[0] == 0 and start[-1] == len(forest.tables), "its tables are incomplete")
    _demand(bool((np.diff(start) > 0).all()), "a table is empty")


def _demand(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
