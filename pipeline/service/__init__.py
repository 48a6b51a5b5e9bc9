"""Pipelines as a service: published, run by Prefect, triggered, scheduled and watched over HTTP."""
