"""The scoring script that Azure's AutoML generates: inference-schema, pandas, a pickled pipeline.

As a program, `python -m benchmarks.peers.automl TABLE ROWS FOLDER`, it fits the pipeline and writes
the labels that it gives for ROWS in process. The pipeline has the parts of AutoML's usual winner
(one-hot categories, imputed numbers, MaxAbsScaler, LightGBM) without AutoML's own transformers,
which cost more.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

FOLDER = Path(sys.argv[3] if __name__ == "__main__" else os.environ["BENCH_WORK"]) / "automl"
TREES, LEAVES = 200, 31

model: Any = None


def init() -> None:
    """Load the pipeline; the server calls it once."""
    global model  # noqa: PLW0603 - the server's protocol
    model = joblib.load(FOLDER / "model.pkl")


def fit(table: Path, rows: Path) -> None:
    """Fit on a CSV file whose last column is the target; write the pipeline, a sample and its answers."""
    from lightgbm import LGBMClassifier  # noqa: PLC0415 - the server needs none of these by name
    from sklearn.compose import make_column_selector, make_column_transformer  # noqa: PLC0415
    from sklearn.impute import SimpleImputer  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder  # noqa: PLC0415

    frame = pd.read_csv(table, keep_default_na=False, na_values=[""])
    x, y = frame.iloc[:, :-1], frame.iloc[:, -1]
    transform = make_column_transformer(
        (SimpleImputer(), make_column_selector(dtype_include=["number", "bool"])),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude=["number", "bool"])),
    )
    # AutoML's learners have one job, too
    learner = LGBMClassifier(n_estimators=TREES, num_leaves=LEAVES, n_jobs=1, verbose=-1)
    pipeline = make_pipeline(transform, MaxAbsScaler(), learner).fit(x, y)
    FOLDER.mkdir(parents=True, exist_ok=True)
    joblib.dump(pipeline, FOLDER / "model.pkl")
    x.head(1).to_pickle(FOLDER / "sample.pkl")
    asked = pd.DataFrame(json.loads(rows.read_text())).astype(x.dtypes)
    (FOLDER / "expected.json").write_text(json.dumps(pipeline.predict(asked).tolist()))


if __name__ == "__main__":
    fit(Path(sys.argv[1]), Path(sys.argv[2]))
else:
    sample = PandasParameterType(pd.read_pickle(FOLDER / "sample.pkl"), enforce_shape=False)  # noqa: S301 - our own

    @input_schema("data", sample)
    @input_schema("method", StandardPythonParameterType("predict"), convert_to_provided_type=False)
    @output_schema(NumpyParameterType(np.array(["example"])))
    def run(data: pd.DataFrame, method: str = "predict") -> str:
        """Score one request, as in AutoML's scoring file."""
        result = model.predict_proba(data) if method == "predict_proba" else model.predict(data)
        return json.dumps({"result": result.tolist()})
