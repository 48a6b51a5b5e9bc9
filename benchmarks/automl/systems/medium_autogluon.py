"""AutoGluon with its default preset."""

from __future__ import annotations

from benchmarks.automl.systems.harness import run
from benchmarks.automl.systems.presets import learn_with

if __name__ == "__main__":
    run(learn_with("medium_quality"))
