"""The kernel of `bundle/forest.c`, called by ctypes: a forest's answers at a fourth of ONNX Runtime's cost.

It is compiled when Homeport is installed (`bundle/compile.py`), and never comes with a bundle.
"""

from __future__ import annotations

import ctypes
import hashlib
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.compile import LIBRARY, SOURCE
from bundle.encoding import Matrix
from bundle.forest import Array, Forest

_MASKED_LEAVES = 32  # bits of a mask

_NODE = np.dtype([("threshold", "f4"), ("feature", "u2"), ("offset", "u2")])
_CUT = np.dtype([("threshold", "f4"), ("feature", "u4"), ("others", "u4")])
_TREE = np.dtype(
    [(name, "i8") for name in ("value", "leaf")]
    + [(name, "i4") for name in ("node", "cut", "cuts", "slot", "width", "unused")]
)
_MEMBER = np.dtype([("weight", "f8"), ("link", "i4"), ("slot", "i4"), ("slots", "i4"), ("unused", "i4")])

_POINTERS = ("nodes", "values", "cuts", "leaves", "trees", "members", "base", "derived", "table_start", "tables")
_SIZES = ("tree_count", "member_count", "slot_count", "columns", "derived_count", "outputs", "wide", "logarithm")


class _Forest(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_double) for name in ("mean", "spread")),
        *((name, ctypes.c_int32) for name in _SIZES),
    )


class KernelMissing(Exception):
    """There is no kernel that could run here. The message says why, and what to do."""


@cache
def _library() -> Any:
    """The function that scores. Raises KernelMissing."""
    try:
        library = ctypes.CDLL(str(LIBRARY))
        library.homeport_source.restype = ctypes.c_char_p
        source = library.homeport_source()
    except (OSError, AttributeError) as error:
        raise KernelMissing("it was not compiled: install a C compiler and run `make setup`") from error
    if source != hashlib.sha256(SOURCE.read_bytes()).hexdigest().encode():
        raise KernelMissing("it was compiled from another source: run `make setup`")
    score = library.homeport_score
    score.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_ssize_t, ctypes.c_void_p)
    return score


class Compiled:
    """A forest, ready to run. Any number of threads may share it; the interpreter's lock is released.

    >>> Compiled(forest, columns=20)(matrix)
    array([[0.93, 0.07]], dtype=float32)
    """

    def __init__(self, forest: Forest, columns: int) -> None:
        """Lay the nodes out. The forest must come from `read_forest`. Raises KernelMissing."""
        self._score = _library()
        self._columns, self._outputs = columns, int(forest.outputs)
        self._type: type[Any] = np.float64 if self._outputs == 1 else np.float32  # as the graph has it
        arrays = _arrays(forest)
        self._arrays = arrays  # the kernel reads them
        self._forest = _Forest(
            **{name: arrays[name].ctypes.data for name in _POINTERS},
            mean=forest.target[0],
            spread=forest.target[1],
            tree_count=len(arrays["trees"]),
            member_count=len(arrays["members"]),
            slot_count=len(forest.base),
            columns=columns,
            derived_count=len(forest.derived),
            outputs=self._outputs,
            wide=self._type is np.float64,
            logarithm=bool(forest.logarithm),
        )
        self._address = ctypes.addressof(self._forest)

    def __call__(self, matrix: Matrix) -> npt.NDArray[Any]:
        """Score a float32 matrix (rows, columns): probabilities (rows, classes) or values (rows, 1)."""
        count = len(matrix)
        if matrix.shape != (count, self._columns) or matrix.dtype != np.float32:
            raise ValueError(f"The matrix is {matrix.dtype} {matrix.shape}, not float32 ({count}, {self._columns}).")
        outputs: Any = np.empty((count, self._outputs), self._type)
        if count:
            # bytes, and the address through `from_buffer`: numpy's own way to an address takes a microsecond
            target = ctypes.byref(ctypes.c_char.from_buffer(outputs))
            if self._score(self._address, matrix.tobytes(), count, target):
                raise MemoryError(f"There is no memory to score {count} rows.")
        return outputs  # type: ignore[no-any-return]


def _arrays(forest: Forest) -> dict[str, Array]:
    """The kernel's arrays, see forest.c. Trees of like depth are neighbours, as they descend together."""
    start, right, leaf = forest.shape.start, forest.shape.right, forest.shape.leaf
    count = len(start) - 1
    nodes, inner = int(start[-1]), forest.feature >= 0
    tree = np.repeat(np.arange(count), np.diff(start))
    feature = np.where(inner, 2 * forest.feature + forest.missing_left, 0)

    # level by level over all trees at once, siblings side by side; then tree by tree
    depth, levels = np.zeros(count, dtype=np.int64), [start[:-1]]
    while len(parents := levels[-1][inner[levels[-1]]]):
        depth[tree[parents]] = len(levels)
        levels.append(np.stack([parents + 1, right[parents]], axis=1).ravel())
    rank = np.empty(count, dtype=np.int64)
    by_depth = np.argsort(depth, kind="stable")
    rank[by_depth] = np.arange(count)
    order = np.concatenate(levels)
    order = order[np.argsort(rank[tree[order]], kind="stable")]
    place = np.empty(nodes, dtype=np.int64)
    place[order] = np.arange(nodes)

    laid = np.zeros(nodes, _NODE)
    laid["threshold"] = np.where(inner, forest.threshold, np.inf)[order]  # a leaf's children are itself
    laid["feature"] = feature[order]
    offset = np.zeros(nodes, dtype=np.int64)
    offset[inner] = place[np.flatnonzero(inner) + 1] - place[inner]
    laid["offset"] = offset[order]

    # of leaf i of a tree: values[of_leaf[i]:][:width]
    leaves = np.diff(leaf[start])
    of_tree = np.append(0, np.cumsum(leaves * forest.width))
    width = forest.width[tree]
    of_node = of_tree[tree] + (leaf[:-1] - leaf[start[tree]]) * width
    widths = width[order]
    first = np.append(0, np.cumsum(widths))
    values = np.zeros(first[-1], np.float32)
    for j in range(int(forest.width.max())):
        has = (widths > j) & ~inner[order]
        values[first[:-1][has] + j] = forest.values[of_node[order][has] + j]

    masked = inner & (leaves <= _MASKED_LEAVES)[tree]
    cut = np.flatnonzero(masked)
    cuts = np.zeros(len(cut) + 1, _CUT)  # one more: an array must have an address
    cuts["threshold"][:-1], cuts["feature"][:-1] = forest.threshold[cut], feature[cut]
    before = leaf[start[tree[cut]]]
    low, high = leaf[cut + 1] - before, leaf[right[cut]] - before  # the leaves on the left of the cut
    cuts["others"][:-1] = ~((np.uint64(1) << high.astype(np.uint64)) - (np.uint64(1) << low.astype(np.uint64)))
    before_cut = np.append(0, np.cumsum(masked))

    trees = np.zeros(count, _TREE)
    trees["value"], trees["leaf"] = first[place[start[:-1]]], of_tree[:-1]
    trees["node"], trees["cut"] = place[start[:-1]], before_cut[start[:-1]]
    trees["cuts"] = np.where(leaves <= _MASKED_LEAVES, np.diff(before_cut[start]), -1)
    trees["slot"], trees["width"] = forest.slot, forest.width

    members = np.zeros(len(forest.link), _MEMBER)
    members["weight"], members["link"], members["slots"] = forest.weight, forest.link, forest.slots
    members["slot"] = np.cumsum(forest.slots) - forest.slots
    return {
        "nodes": laid,
        "values": values,
        "cuts": cuts,
        "leaves": forest.values,
        "trees": trees[by_depth],
        "members": members,
        "base": forest.base,
        **{name: getattr(forest, name) for name in ("derived", "table_start", "tables")},
    }
