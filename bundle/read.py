"""Reading a bundle, with the checks in this order: digest of the manifest, its protocol, its fields,
the digest of every file, no file that does not belong.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np

from bundle.encoding import Matrix
from bundle.errors import BackgroundMissing, BundleCorrupt, BundleForeign
from bundle.manifest import (
    BACKGROUND,
    GOLDEN,
    MANIFEST,
    MANIFEST_DIGEST,
    MODEL_GRAPH,
    PROTOCOL,
    SCORER_GRAPH,
    Background,
    Golden,
    Manifest,
)

_REMEDY = (
    "Copy the bundle anew from where it was written, promote another version (see `homeport models list`), "
    "or train again."
)


class _Protocol(msgspec.Struct):
    protocol: int


def _content(folder: Path, file: str) -> bytes:
    try:
        return (folder / file).read_bytes()
    except OSError as error:
        raise BundleCorrupt(f"{folder / file} cannot be read ({error.strerror}). {_REMEDY}") from error


def _check(folder: Path, file: str, expected: str) -> None:
    actual = hashlib.sha256(_content(folder, file)).hexdigest()
    if actual != expected:
        raise BundleCorrupt(
            f"{folder / file} is not the file that was written: its SHA-256 is {actual[:12]}…, "
            f"the bundle says {expected[:12]}…. {_REMEDY}"
        )


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a bundle.

    Raises BundleForeign if the folder is no bundle of this protocol, BundleCorrupt if the manifest
    was changed after it was written.
    """
    if not (folder / MANIFEST).is_file() and not (folder / MANIFEST_DIGEST).is_file():
        raise BundleForeign(f"{folder} is no bundle: it has no {MANIFEST}. Write one with `homeport train`.")
    _check(folder, MANIFEST, _content(folder, MANIFEST_DIGEST).decode(errors="replace").split(" ")[0])
    content = _content(folder, MANIFEST)
    try:
        protocol = msgspec.json.decode(content, type=_Protocol).protocol
        if protocol != PROTOCOL:
            raise BundleForeign(
                f"{folder / MANIFEST} is of protocol {protocol}; this Homeport reads {PROTOCOL}. "
                "Train the model again, or use the Homeport that wrote it."
            )
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleForeign(f"{folder / MANIFEST} is no manifest of Homeport: {error}. {_REMEDY}") from error


def verify(folder: Path) -> Manifest:
    """Read the manifest and hold every file to its digest. Raises BundleForeign, BundleCorrupt."""
    manifest = read_manifest(folder)
    for file in (MODEL_GRAPH, SCORER_GRAPH, GOLDEN):
        if file not in manifest.files:
            raise BundleForeign(f"{folder / MANIFEST} lists no {file}. {_REMEDY}")
    for file, digest in manifest.files.items():
        _check(folder, file, digest)
    known = {*manifest.files, MANIFEST, MANIFEST_DIGEST}
    for path in sorted(folder.iterdir()):
        if path.name not in known and not path.name.startswith("."):
            raise BundleCorrupt(f"{path} does not belong to the bundle. Move it out: a bundle never changes.")
    return manifest


def read_golden(folder: Path) -> Golden:
    """Read the golden rows of a bundle. Raises BundleForeign, BundleCorrupt."""
    try:
        return msgspec.json.decode(_content(folder, GOLDEN), type=Golden)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleForeign(f"{folder / GOLDEN} holds no golden rows: {error}. {_REMEDY}") from error


def read_background(folder: Path) -> Matrix:
    """Read the background rows of a bundle: shape (rows, columns), encoded.

    Raises BackgroundMissing if the bundle was written without them, BundleForeign, BundleCorrupt.
    """
    manifest = read_manifest(folder)
    if BACKGROUND not in manifest.files:
        raise BackgroundMissing(
            f"{folder} has no {BACKGROUND}: it was written by a Homeport that explained nothing. "
            "It can score; to explain its answers, train the model again."
        )
    _check(folder, BACKGROUND, manifest.files[BACKGROUND])
    names = tuple(column.name for column in manifest.columns)
    try:
        background = msgspec.json.decode(_content(folder, BACKGROUND), type=Background)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleForeign(f"{folder / BACKGROUND} holds no background rows: {error}. {_REMEDY}") from error
    if background.columns != names or not background.rows or {len(row) for row in background.rows} != {len(names)}:
        raise BundleForeign(f"{folder / BACKGROUND} holds no rows of the model's {len(names)} columns. {_REMEDY}")
    return np.array(background.rows, dtype=np.float32)  # numpy turns None into NaN
