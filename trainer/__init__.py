"""From a table to a bundle: guardrails, search, vote, export, parity."""

import os

# The learners' threads wait for each other without spinning: on a machine that has other work to do, spinning
# made training ten times slower. OpenMP reads this when the first learner is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
