"""What runs around the endpoint: pipelines that retrain and promote, and the scoring of files of any size."""
