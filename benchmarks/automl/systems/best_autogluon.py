"""AutoGluon with the preset for the best metric at any cost: folds, stacks, ensembles."""

from __future__ import annotations

from benchmarks.automl.systems.harness import run
from benchmarks.automl.systems.presets import learn_with

if __name__ == "__main__":
    run(learn_with("best_quality"))
