"""Whether one column carries the result: is its value known when the endpoint is asked?

Bank Marketing's `duration` is the length of the very call whose outcome is to be predicted: with it
ROC-AUC is 0.95, and nobody has it before the call. No measure tells such a column from an honest one,
but how much depends on it can be measured, before the search and on training rows alone.
"""

from __future__ import annotations

import shlex
import warnings

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from trainer.columns import describe, matrix
from trainer.guardrails import Finding
from trainer.metrics import Array, roc_auc
from trainer.target import Target

ALONE = 0.99  # ROC-AUC, or R² in regression, that one column reaches by itself
CARRIES = 0.3  # share of the way from the baseline to the model that is lost without the column, and …
TIMES = 2.5  # … by so many times the way from the model to a perfect one is longer then; see ADR 20
COPY = 0.99  # rank correlation of columns that are left out together
ROWS = 20_000  # training rows that are looked at, of two classes; fewer of more
CLASSES = 10  # the rarer ones are taken together
CANDIDATES = 3  # columns that are left out in turn, those of the highest gain …
GAIN = 0.1  # … and of this share of it at least
FOLDS = 3
_LIGHTGBM = {
    "n_estimators": 30, "num_leaves": 15, "learning_rate": 0.2, "min_child_samples": 5, "verbose": -1,
    "n_jobs": 1, "random_state": 0, "deterministic": True, "force_row_wise": True,
}  # fmt: skip


def leak(frame: pd.DataFrame, target: Target, train: Array) -> Finding:
    """Measure it on training rows (places in `frame`): 0.9 s on Bank Marketing's 26,360, on one thread."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):  # of names, and of sums that test for finite values
        warnings.simplefilter("ignore")
        return _leak(frame, target, train)


def _leak(frame: pd.DataFrame, target: Target, train: Array) -> Finding:
    chosen = np.random.default_rng(0).permutation(train)[: 2 * ROWS // max(2, min(len(target.classes), CLASSES))]
    values = target.values[chosen]
    if target.classes:
        chosen, values = _pooled(chosen, values)
        if len(np.unique(values)) < 2:
            return Finding("Leak", "passed", "too few rows of a class to measure it")
    part = frame.iloc[chosen].dropna(axis="columns", how="all")
    columns = describe(part)
    x = np.nan_to_num(matrix(part, columns), nan=-1e30)
    measure = "ROC-AUC" if target.classes else "R²"
    whole, gains = _out_of_fold(x, values, bool(target.classes))
    alone = _alone(x, values, bool(target.classes)) if whole >= ALONE - 0.05 else []  # else no column can
    groups = [alone] if alone else _candidates(x, gains)
    found = [(_out_of_fold(np.delete(x, group, axis=1), values, bool(target.classes))[0], group) for group in groups]
    if not found:
        return Finding("Leak", "passed", f"no column carries the result (a small LightGBM, {measure} {whole:.3f})")
    without, group = min(found)
    names = ", ".join(f"'{columns[place].name}'" for place in group)
    scores = f"without {'it' if len(group) == 1 else 'them'} {measure} is {without:.3f} instead of {whole:.3f}"
    scores += " (a small LightGBM, out of fold)"
    share, times = _carried(whole, without, bool(target.classes))
    if not alone and (share < CARRIES or times < TIMES):
        return Finding("Leak", "passed", f"no column carries the result; most does {names}: {scores}")
    plural = len(group) > 1
    if alone:
        what = f"{names} {'each predict' if plural else 'predicts'} the target alone"
    else:
        what = f"{names} {'carry' if plural else 'carries'} {share:.0%} of the result"
    drop = " ".join(f"--drop {shlex.quote(columns[place].name)}" for place in group)
    advice = f"If {'their values are' if plural else 'its value is'} not known when the endpoint is asked, train with"
    return Finding("Leak", "alert", f"{what}: {scores}. {advice} {drop}")


def _carried(whole: float, without: float, classes: bool) -> tuple[float, float]:
    """The share of the way from the baseline, and by how many times the way to a perfect model is longer."""
    base = 0.5 if classes else 0.0
    share = (whole - max(without, base)) / (whole - base) if whole > base else 0.0
    return share, (1 - without) / max(1 - whole, 1e-9)


def _pooled(chosen: Array, values: Array) -> tuple[Array, Array]:
    """The most frequent classes, the others as one; without the rows of what is too rare for the folds."""
    counts = np.bincount(values)
    order = np.argsort(-counts, kind="stable")
    place = np.full(len(counts), CLASSES - 1)
    place[order[: CLASSES - 1]] = np.arange(len(order[: CLASSES - 1]))
    pooled = place[values]
    kept = np.bincount(pooled)[pooled] >= FOLDS
    return chosen[kept], np.unique(pooled[kept], return_inverse=True)[1]


def _out_of_fold(x: Array, values: Array, classes: bool) -> tuple[float, Array]:
    """The score of predictions out of fold, and the gain of each column."""
    gains = np.zeros(x.shape[1])
    if not x.shape[1]:
        return (0.5 if classes else 0.0), gains
    splitter = (StratifiedKFold if classes else KFold)(FOLDS, shuffle=True, random_state=0)
    given: Array | None = None
    for train, held_out in splitter.split(x, values):
        model = (LGBMClassifier if classes else LGBMRegressor)(**_LIGHTGBM).fit(x[train], values[train])
        part = model.predict_proba(x[held_out]) if classes else model.predict(x[held_out])
        given = np.empty((len(values), *part.shape[1:])) if given is None else given
        given[held_out] = part
        gains += model.booster_.feature_importance("gain")
    assert given is not None
    return (roc_auc(values, given) if classes else float(r2_score(values, given))), gains


def _candidates(x: Array, gains: Array) -> list[list[int]]:
    """Places of the columns that may carry most, each with its copies (minutes beside seconds)."""
    order = [int(place) for place in np.argsort(-gains, kind="stable")[:CANDIDATES]]
    ranks = pd.DataFrame(x).rank()
    groups: list[list[int]] = []
    for place in order:
        if gains[place] >= GAIN * gains.sum() > 0 and not any(place in group for group in groups):
            alike = ranks.corrwith(ranks[place]).abs().to_numpy() >= COPY
            groups.append([place, *(int(other) for other in np.flatnonzero(alike) if other != place)])
    return groups


def _alone(x: Array, values: Array, classes: bool) -> list[int]:
    """Places of the columns that predict the target alone, by cross-validation of a small tree on each."""
    x, values = x[: ROWS // 2], values[: ROWS // 2]
    return [place for place in range(x.shape[1]) if _by_tree(x[:, [place]], values, classes) >= ALONE]


def _by_tree(x: Array, values: Array, classes: bool) -> float:
    if not classes:
        tree = DecisionTreeRegressor(max_leaf_nodes=256, min_samples_leaf=2, random_state=0)
        return float(r2_score(values, cross_val_predict(tree, x, values, cv=FOLDS)))
    tree = DecisionTreeClassifier(max_leaf_nodes=32, min_samples_leaf=5, random_state=0)
    given: Array = cross_val_predict(tree, x, values, cv=FOLDS, method="predict_proba")
    return roc_auc(values, given)
