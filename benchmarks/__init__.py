"""Measurements: what a thing costs beside the least that it could cost. None of them is a test."""
