"""The contract between the trainer and everything that scores: an immutable, hashed model bundle."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime calls home since 1.29, unless this is set before its import

from bundle.encoding import FLOAT32_MAX, MISSING_WORDS, Encoder, Matrix
from bundle.errors import BackgroundMissing, BundleCorrupt, BundleError, BundleForeign, BundleNotFound, GoldenMismatch
from bundle.manifest import Column, Manifest
from bundle.store import Champion, Store
from bundle.write import write_bundle

__version__ = "0.1.0"  # of Homeport: here, because images hold no distribution, but all hold the contract

__all__ = [
    "FLOAT32_MAX",
    "MISSING_WORDS",
    "BackgroundMissing",
    "BundleCorrupt",
    "BundleError",
    "BundleForeign",
    "BundleNotFound",
    "Champion",
    "Column",
    "Encoder",
    "GoldenMismatch",
    "Manifest",
    "Matrix",
    "Store",
    "__version__",
    "write_bundle",
]
