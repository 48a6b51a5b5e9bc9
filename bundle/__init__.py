"""The contract between the trainer and everything that scores: an immutable, hashed model bundle."""

from bundle.encoding import FLOAT32_MAX, MISSING_WORDS, Encoder, Matrix
from bundle.errors import BackgroundMissing, BundleCorrupt, BundleError, BundleForeign, BundleNotFound, GoldenMismatch
from bundle.manifest import Column, Manifest
from bundle.store import Champion, Store
from bundle.write import write_bundle

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
    "write_bundle",
]
