"""AutoML systems on the same tables: `python -m benchmarks.automl`."""
