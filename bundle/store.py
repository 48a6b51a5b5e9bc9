"""The folder of models: `<root>/<name>/<version>/`, and one champion for each name.

Versions are whole numbers that only grow. `<root>/<name>/champion` is a small JSON file with the
champion's version and those that were champion before it; it is replaced atomically, so a reader
sees the old one or the new one.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import TypeVar

import msgspec

from bundle.errors import BundleError, BundleForeign, BundleNotFound
from bundle.manifest import Manifest, Record
from bundle.read import read_manifest, verify

CHAMPION = "champion"
CHALLENGER = "challenger"
_Pointer = TypeVar("_Pointer", "Champion", "Challenger")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Champion(Record, frozen=True):
    """The content of the pointer file; `previous` has the latest first."""

    version: str
    previous: tuple[str, ...] = ()


class Challenger(Record, frozen=True):
    """The version that scores a share of the champion's traffic too, unseen by clients."""

    version: str
    share: float


def fsync_directory(path: Path) -> None:
    """Make a rename inside `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write `path` so that nobody ever sees half of it."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    fsync_directory(path.parent)


class Store:
    """The models under one folder.

    >>> Store(Path("models")).promote("bank-marketing", "2")
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, name: str) -> Path:
        """The folder of a model's versions. Raises BundleError on a name that is no folder name."""
        if not _NAME.fullmatch(name):
            raise BundleError(
                f"'{name}' is no model name: use small letters, digits, dots, dashes and "
                "underscores, starting with a letter or digit."
            )
        return self.root / name

    def names(self) -> list[str]:
        """Names with at least one version, the one whose champion changed last first."""
        if not self.root.is_dir():
            return []
        names = [path.name for path in self.root.iterdir() if _NAME.fullmatch(path.name)]

        def changed(name: str) -> float:
            pointer = self.root / name / CHAMPION
            return pointer.stat().st_mtime if pointer.exists() else 0.0

        return sorted((name for name in names if self.versions(name)), key=changed, reverse=True)

    def versions(self, name: str) -> list[str]:
        """The versions of a model, the oldest first."""
        folder = self.folder(name)
        if not folder.is_dir():
            return []
        return sorted((path.name for path in folder.iterdir() if path.name.isdecimal()), key=int)

    def path(self, name: str, version: str) -> Path:
        """The bundle's folder. Raises BundleNotFound."""
        versions = self.versions(name)
        if version not in versions:
            known = ", ".join(versions) or "none"
            raise BundleNotFound(
                f"Model '{name}' has no version '{version}' in {self.root} (there: {known}). "
                "See `homeport models list`, or train one with `homeport train`."
            )
        return self.folder(name) / version

    def manifest(self, name: str, version: str) -> Manifest:
        """Read one manifest. Raises BundleError."""
        return read_manifest(self.path(name, version))

    def champion(self, name: str) -> Champion | None:
        """The champion, or None before the first promotion. Raises BundleForeign."""
        return self._pointer(name, CHAMPION, Champion)

    def challenger(self, name: str) -> Challenger | None:
        """The challenger, if there is one. Raises BundleForeign."""
        return self._pointer(name, CHALLENGER, Challenger)

    def champion_path(self, name: str) -> Path:
        """The champion's folder. Raises BundleNotFound if there is none."""
        champion = self.champion(name)
        if champion is None and not self.versions(name):
            known = ", ".join(sorted(self.names())) or "none"
            raise BundleNotFound(
                f"There is no model '{name}' in {self.root} (there: {known}). Train it with `homeport train`."
            )
        if champion is None:
            raise BundleNotFound(
                f"Model '{name}' has no champion in {self.root}. "
                f"Choose one: `homeport models promote {name} VERSION` (there: {', '.join(self.versions(name))})."
            )
        return self.path(name, champion.version)

    def promote(self, name: str, version: str) -> None:
        """Make a version the champion, once its files are verified. Raises BundleError."""
        verify(self.path(name, version))
        old = self.champion(name)
        if old is not None and old.version == version:
            return
        previous = () if old is None else (old.version, *old.previous)
        self._point(name, CHAMPION, Champion(version=version, previous=previous))
        challenger = self.challenger(name)
        if challenger is not None and challenger.version == version:
            self.dismiss(name)  # it has won

    def rollback(self, name: str) -> str:
        """Return to the champion before this one, and return its version. Raises BundleError."""
        champion = self.champion(name)
        if champion is None or not champion.previous:
            raise BundleNotFound(
                f"Model '{name}' had no champion before this one: there is nothing to go back to. "
                f"See `homeport models list`."
            )
        version, *rest = champion.previous
        verify(self.path(name, version))
        self._point(name, CHAMPION, Champion(version=version, previous=tuple(rest)))
        return version

    def challenge(self, name: str, version: str, share: float) -> None:
        """Make a version the challenger for a share of the traffic, once its files are verified. Raises BundleError."""
        if not 0 < share <= 1:
            raise BundleError(f"A share of {share} of the traffic makes no sense: give one above 0 and up to 1.")
        verify(self.path(name, version))
        champion = self.champion(name)
        if champion is None:
            raise BundleError(f"{name} has no champion to compare {version} with: promote a version first.")
        if champion.version == version:
            raise BundleError(f"{name} {version} is the champion itself: choose another version.")
        self._point(name, CHALLENGER, Challenger(version=version, share=share))

    def dismiss(self, name: str) -> bool:
        """Let the challenger go; says whether there was one."""
        pointer = self.folder(name) / CHALLENGER
        found = pointer.exists()
        pointer.unlink(missing_ok=True)
        return found

    def _pointer(self, name: str, file: str, kind: type[_Pointer]) -> _Pointer | None:
        path = self.folder(name) / file
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            remedy = {CHAMPION: f"promote {name} VERSION", CHALLENGER: f"shadow {name} VERSION"}[file]
            raise BundleForeign(
                f"{path} is damaged ({error}). Delete it and make it anew: `homeport models {remedy}`."
            ) from error

    def _point(self, name: str, file: str, pointer: Champion | Challenger) -> None:
        replace_file(self.folder(name) / file, msgspec.json.encode(pointer))
