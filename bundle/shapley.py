"""Interventional Shapley values of whatever the runtime runs, by calls to it alone.

Towards a background row z, the value of a set S of columns is the model's answer to the row that has
its columns in S from the explained row x and all others from z. A column's contribution is its Shapley
value in that game, averaged over the background rows, so that contributions and base value, the mean
answer to the background, sum to the answer to x.

The games are estimated by sampled permutations (Štrumbelj & Kononenko, "Explaining prediction models
and individual predictions with feature contributions", 2014) in antithetic pairs: each permutation
comes with its reverse, which makes the estimate exact where no more than two columns interact
(Mitchell et al., "Sampling permutations for Shapley value estimation", JMLR 2022). Up to three pairs of
a background row are rotations of one permutation, so that a column stands early, in the middle and late.
A game of few columns is computed over all subsets instead. Both are unbiased; docs/adr/0006 holds what
was measured and what else was tried.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import factorial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bundle.encoding import Matrix

EVALUATIONS = 6_000  # of the model for one row, before repeated ones are left out; shared by all background rows
LEAST_ROWS = 20  # of the background, however many columns there are
TURNS = 3  # of one permutation; two to four do as well, a turn for each column does worse

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Function = Callable[[Matrix], npt.NDArray[np.floating]]


class Explanation(NamedTuple):
    """`base + contributions.sum()` is `prediction`, to within a billionth of the largest answer."""

    prediction: float
    base: float
    contributions: Floats  # (columns,)


class _Plan(NamedTuple):
    """Pairs of a subset and its complement; contributions are the sum of weights × (f(subset) - f(complement))."""

    rows: Integers  # (pairs,): places in the background
    subsets: Flags  # (pairs, columns): what comes from the explained row
    weights: Floats  # (pairs, columns)


class Shapley:
    """Explains rows against one background.

    >>> Shapley(model.outputs, read_background(folder)).explain(model.encode([row])[0], output=1)
    Explanation(prediction=0.41, base=0.112, contributions=array([0.31, -0.012, ...]))
    """

    def __init__(self, function: Function, background: Matrix, evaluations: int = EVALUATIONS) -> None:
        """`function` maps encoded rows (n, columns) to outputs (n, outputs); `background` is (m, columns).

        Of a wide table fewer background rows are used, evenly spaced, so that the cost stays bounded.
        """
        count, columns = background.shape
        used = min(count, max(LEAST_ROWS, evaluations // (2 * columns)))
        self.background: Matrix = background[((np.arange(used) + 0.5) * count / used).astype(np.int64)]
        self._function = function
        self._share = evaluations / used
        self._keys = _keys(self.background)

    def explain(self, row: Matrix, output: int) -> Explanation:
        """Contributions of the columns of one encoded row (columns,) to one of the outputs, in its unit.

        The same row gives the same numbers. A column whose value is that of all background rows gets 0.
        """
        background = self.background
        plan = _plan((background != row) & ~(np.isnan(background) & np.isnan(row)), self._share)
        # x itself, the background, the subsets, their complements
        count = len(background)
        rows = np.concatenate([[0], np.arange(count), plan.rows, plan.rows])
        whole = np.ones((1, len(row)), dtype=bool)
        taken = np.concatenate([whole, np.zeros_like(background, dtype=bool), plan.subsets, ~plan.subsets])
        # many of the rows are the same row: equal sums of 64 random bits a cell tell which
        sums = np.where(taken, _keys(row[None]), self._keys[rows]).sum(axis=1)
        _, first, back = np.unique(sums, return_index=True, return_inverse=True)
        asked = np.where(taken[first], row, background[rows[first]])
        answers = self._function(asked)[:, output].astype(np.float64)[back]
        values, complements = np.split(answers[1 + count :], 2)
        return Explanation(
            float(answers[0]), float(answers[1 : 1 + count].mean()), (values - complements) @ plan.weights / count
        )


def _plan(differs: Flags, share: float) -> _Plan:
    """What to evaluate. `differs` (m, columns): where x differs from the background; `share`: evaluations a row."""
    sizes = differs.sum(axis=1)
    small = (sizes < 2) | (2.0**sizes <= share)
    parts = [_all_subsets(differs, np.flatnonzero(sizes == size)) for size in np.unique(sizes[small]) if size]
    if not small.all():
        parts.append(_permutations(differs, np.flatnonzero(~small), share))
    if not parts:  # x is equal to every row of the background
        return _empty(np.empty(0, dtype=np.int64), differs.shape[1])
    return _Plan(*map(np.concatenate, zip(*parts, strict=True)))


def _all_subsets(differs: Flags, rows: Integers) -> _Plan:
    """The exact values for `rows`, in which the same number of columns differs."""
    subsets, weights = _subsets(int(differs[rows[0]].sum()))
    columns = np.nonzero(differs[rows])[1].reshape(len(rows), -1)
    plan = _empty(np.repeat(rows, len(subsets)), differs.shape[1])
    places = np.repeat(columns, len(subsets), axis=0)
    np.put_along_axis(plan.subsets, places, np.tile(subsets, (len(rows), 1)), axis=1)
    np.put_along_axis(plan.weights, places, np.tile(weights, (len(rows), 1)), axis=1)
    return plan


@lru_cache
def _subsets(size: int) -> tuple[Flags, Floats]:
    """Half of the subsets of `size` columns (the others are their complements), with Shapley's weights."""
    numbers = np.arange(2 ** (size - 1))
    subsets = (numbers[:, None] >> np.arange(size) & 1).astype(bool)
    joining = np.array([factorial(s) * factorial(size - s - 1) / factorial(size) for s in range(size)])
    members = subsets.sum(axis=1)[:, None]  # < size: the last column is in none of them
    return subsets, np.where(subsets, joining[members - 1], -joining[members])


def _permutations(differs: Flags, rows: Integers, share: float) -> _Plan:
    """Antithetic permutations for `rows`, each a chain of growing subsets of the columns that differ."""
    rng = np.random.default_rng(0)
    sizes = differs[rows].sum(axis=1)
    wanted = np.floor(np.cumsum(share / (2 * (sizes - 1))) + 0.5)  # fractions of a pair add up over the rows
    counts = np.maximum(1, np.diff(wanted, prepend=0)).astype(np.int64)
    chains = np.repeat(np.arange(len(rows)), counts)  # which of the rows
    size = sizes[chains]
    number = np.arange(len(chains)) - np.repeat(np.cumsum(counts) - counts, counts)  # which chain of the row
    drawn = np.cumsum(number % TURNS == 0) - 1
    keys = rng.random((drawn[-1] + 1, differs.shape[1]))[drawn]
    keys[~differs[rows][chains]] = 2.0  # columns that do not differ stand behind
    order = keys.argsort(axis=1)
    shift = number % TURNS * size // np.minimum(TURNS, counts[chains])
    steps = np.arange(differs.shape[1])
    inside = steps < size[:, None]
    order = np.take_along_axis(order, np.where(inside, (steps + shift[:, None]) % size[:, None], steps), axis=1)
    place = order.argsort(axis=1)  # of each column in the chain
    chain, step = np.nonzero(inside)
    plan = _empty(rows[chains[chain]], differs.shape[1])
    plan.subsets[:] = place[chain] < step[:, None]
    # The step from a subset to the next credits the column that joins. The reverse permutation is the
    # chain of complements, so a pair of both is halved; the whole set is the complement of the empty one.
    half = 0.5 / counts[chains[chain]]
    pairs = np.arange(len(chain))
    plan.weights[pairs, order[chain, step]] -= half
    plan.weights[pairs, order[chain, step - 1 + (step == 0) * size[chain]]] += np.where(step == 0, -half, half)
    return plan


def _empty(rows: Integers, columns: int) -> _Plan:
    return _Plan(rows, np.zeros((len(rows), columns), dtype=bool), np.zeros((len(rows), columns)))


def _keys(matrix: Matrix) -> npt.NDArray[np.uint64]:
    """64 bits for each cell that depend on its column and value as if random (the mixer of SplitMix64).

    Sums over the columns of two different rows are equal with a probability of 2⁻⁶⁴.
    """
    bits = np.ascontiguousarray(matrix, dtype=np.float32).view(np.uint32).astype(np.uint64)
    bits += np.arange(1, matrix.shape[1] + 1, dtype=np.uint64) << np.uint64(32)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))
