"""The service of pipelines: published, run on demand, by schedules and by triggers."""
