"""The steps of a pipeline as plain functions, which need no engine: `sequence.run_steps` is their order."""
