"""A version of a model, as steps hand it on: known by the digest of its manifest, which names all its files'."""

from __future__ import annotations

import msgspec

from bundle import BundleNotFound, Store
from bundle.manifest import MANIFEST_DIGEST
from pipeline.steps.step import Context


class Version(msgspec.Struct, frozen=True):
    """One bundle."""

    model: str
    version: str
    digest: str


def version_of(store: Store, model: str, version: str) -> Version:
    """The version as it is in the store. Raises BundleNotFound."""
    digest = (store.path(model, version) / MANIFEST_DIGEST).read_text().split()[0]
    return Version(model, version, digest)


def champion_of(store: Store, model: str) -> Version | None:
    """The champion, if there is one. Raises BundleError."""
    champion = store.champion(model)
    return version_of(store, model, champion.version) if champion else None


def is_there(version: Version, context: Context) -> bool:
    """Whether the store still has that very bundle."""
    try:
        return version_of(context.store, version.model, version.version) == version
    except (BundleNotFound, OSError):
        return False
