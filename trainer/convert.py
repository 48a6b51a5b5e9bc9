"""One member of the vote as an ONNX model, by the converter of its library, mended where that is not exact."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto

from trainer.learners import xgboost_rounds

OPSET, ML_OPSET = 15, 3  # the newest that every converter gives
ONNX_ML = "ai.onnx.ml"
_TARGET_OPSET = {"": OPSET, ONNX_ML: ML_OPSET}


@lru_cache(maxsize=8)  # a vote is converted three times: to be priced, and for each of the two graphs
def convert(learner: str, wrapper: Any, columns: int) -> tuple[ModelProto, str]:
    """One member as a model, with the name of its output: (rows, classes) or (rows, 1).

    `wrapper` is FLAML's, around the estimator. Callers must not change the model.
    """
    model = _CONVERTERS.get(learner, _sklearn)(wrapper.estimator, columns)
    probabilities = _without_zipmap(model.graph)
    return model, probabilities or model.graph.output[-1].name


def _float_input(columns: int) -> list[tuple[str, Any]]:
    from onnxmltools.convert.common.data_types import FloatTensorType

    return [("matrix", FloatTensorType([None, columns]))]


def _lightgbm(estimator: Any, columns: int) -> ModelProto:
    import lightgbm
    from onnxmltools import convert_lightgbm

    text = exportable(estimator.booster_.model_to_string())
    estimator = copy(estimator)  # the original stays the reference of the parity gate
    estimator._Booster = lightgbm.Booster(model_str=text)
    model = convert_lightgbm(estimator, initial_types=_float_input(columns), target_opset=OPSET, zipmap=False)
    return _typed(model)


_MINUS_ZERO = np.float32(-1e-35)  # LightGBM's threshold between negative numbers and zero


def exportable(text: str) -> str:
    """LightGBM's text model, changed where the converter would not give what LightGBM gives.

    Thresholds are rounded down to float32. A row goes left where `value <= threshold`: with float32
    values the floor decides as the float64 threshold does; the nearest float32, which converters
    take, can be its upper neighbour.

    LightGBM takes what is as near to 0 as ±1e-35 for 0, so a row that is at the threshold -1e-35 goes
    right: that threshold moves one further down.

    Splits on columns without missing values get the default direction left, which LightGBM does not
    read there (it takes NaN as 0), and without which the converter sends NaN to the right.
    """

    def default_left(match: re.Match[str]) -> str:  # bit 1: default left; bits 2 and 3: how values are missing
        kinds = [int(kind) for kind in match[2].split()]
        return match[1] + " ".join(str(kind if kind >> 2 & 3 else kind | 2) for kind in kinds)

    def floored(match: re.Match[str]) -> str:
        exact = np.array(match[2].split(), dtype=np.float64)
        below = exact.astype(np.float32)
        below = np.where((below > exact) | (below == _MINUS_ZERO), np.nextafter(below, np.float32(-np.inf)), below)
        return match[1] + " ".join(repr(float(value)) for value in below)

    text = re.sub(r"^tree_sizes=.*\n", "", text, flags=re.MULTILINE)  # they are in bytes, and change
    text = re.sub(r"^(decision_type=)(.*)$", default_left, text, flags=re.MULTILINE)
    return re.sub(r"^(threshold=)(.*)$", floored, text, flags=re.MULTILINE)


def _xgboost(estimator: Any, columns: int) -> ModelProto:
    from onnxmltools import convert_xgboost

    if estimator.early_stopping_rounds:  # the rounds after the best one are no part of its answer
        estimator = copy(estimator)
        rounds = xgboost_rounds(estimator)
        estimator._Booster = estimator.get_booster()[:rounds]
        estimator.set_params(n_estimators=rounds, early_stopping_rounds=None)
    return _typed(convert_xgboost(estimator, initial_types=_float_input(columns), target_opset=OPSET))


def _catboost(estimator: Any, columns: int) -> ModelProto:
    with tempfile.TemporaryDirectory() as folder:  # its exporter only writes files
        path = Path(folder) / "catboost.onnx"
        estimator.save_model(str(path), format="onnx")
        return _typed(onnx.load(path))


def _sklearn(estimator: Any, columns: int) -> ModelProto:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    options = {"zipmap": False} if hasattr(estimator, "predict_proba") else None
    return _typed(
        to_onnx(
            estimator,
            initial_types=[("matrix", FloatTensorType([None, columns]))],
            target_opset=_TARGET_OPSET,
            options=options,
        )
    )


def _typed(model: object) -> ModelProto:
    assert isinstance(model, ModelProto)
    return model


_CONVERTERS: dict[str, Callable[[Any, int], ModelProto]] = {
    "lgbm": _lightgbm,
    "lgbm_target": _lightgbm,
    "xgboost": _xgboost,
    "catboost": _catboost,
}


def _without_zipmap(graph: GraphProto) -> str | None:
    """Take out a ZipMap at the end (rows as dictionaries); returns the tensor that fed it."""
    for node in graph.node:
        if node.op_type == "ZipMap":
            graph.node.remove(node)
            return str(node.input[0])
    return None
