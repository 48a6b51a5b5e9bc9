"""Telemetry: the library that services use, and what collects, stores and shows it."""
