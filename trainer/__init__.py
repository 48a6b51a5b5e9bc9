"""From a table to a bundle: guardrails, search, vote, export, parity."""

import os

# How long the learners' threads spin while they wait for each other, before they sleep. GNU OpenMP's default made
# training ten times slower on a machine that has other work to do, and no spinning at all ten times slower on one that
# has none. Read when the first learner is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
os.environ.setdefault(
    "MLFLOW_DISABLE_TELEMETRY", "true"
)  # FLAML imports it where somebody installed it, and it calls home
