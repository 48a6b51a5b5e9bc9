"""From a table to a bundle: guardrails, search, vote, export, parity."""
