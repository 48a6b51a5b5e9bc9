"""Run by test_shapley.py in an environment with shap: exact values of LightGBM models, by TreeSHAP.

Usage: treeshap.py FOLDER, which holds data.npz (background, rows) and a model file for each member
(member0.txt, ...); writes treeshap.npz: margin and probability, of shape (members, rows, columns).
"""

import sys
from pathlib import Path

import lightgbm
import numpy as np
import shap

folder = Path(sys.argv[1])
data = np.load(folder / "data.npz")
results = {
    name: [
        shap.TreeExplainer(
            lightgbm.Booster(model_file=str(path)),
            data=data["background"].astype(np.float64),
            model_output=output,
            feature_perturbation="interventional",
        ).shap_values(data["rows"].astype(np.float64))
        for path in sorted(folder.glob("member*.txt"))
    ]
    for name, output in (("margin", "raw"), ("probability", "probability"))
}
np.savez(folder / "treeshap.npz", **results)
