"""What can go wrong in training. Every message says what, which value, and what to do."""

from __future__ import annotations


class TrainerError(Exception):
    """Base of all errors of this package."""


class TableError(TrainerError):
    """The table cannot be read, or not be learned from."""


class DatasetError(TrainerError):
    """A data-set file is wrong, or its data is not what it says."""


class SearchError(TrainerError):
    """The search ended without a model."""


class ParityError(TrainerError):
    """The exported graphs do not answer as the Python estimators do. Nothing was written."""
