"""The image of serving as `docker save` writes it: where it comes from, and what is in it."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from deploy.errors import ImageUnusable

_GZIP = b"\x1f\x8b"
_BUILD = "Build it: `docker compose build serving`."


class Archive:
    """An image in a file: its configuration, and its layers, the lowest first."""

    def __init__(self, tar: tarfile.TarFile, name: str) -> None:
        """Raises ImageUnusable if it is no image, or not one that runs there."""
        self._tar, self._name = tar, name
        try:
            entry = json.load(self._open("manifest.json"))[0]
            self._paths: list[str] = entry["Layers"]
            self.config: dict[str, Any] = json.load(self._open(entry["Config"]))
            self.diff_ids: list[str] = self.config["rootfs"]["diff_ids"]
            if len(self.diff_ids) != len(self._paths):
                raise ValueError(f"{len(self._paths)} layers for {len(self.diff_ids)} digests")
        except (KeyError, LookupError, TypeError, ValueError, tarfile.TarError) as error:
            raise ImageUnusable(f"{name} is no image as `docker save` writes it ({error}).") from error
        system = f"{self.config.get('os')}/{self.config.get('architecture')}"
        if system != "linux/amd64":
            raise ImageUnusable(
                f"{name} is an image for {system}, and containers run on linux/amd64 there. "
                "Build it so: `DOCKER_DEFAULT_PLATFORM=linux/amd64 docker compose build serving`."
            )

    def layer(self, index: int) -> IO[bytes]:
        """One layer, uncompressed."""
        stored = self._open(self._paths[index])
        compressed = stored.read(2) == _GZIP
        stored.seek(0)
        return cast("IO[bytes]", gzip.open(stored)) if compressed else stored

    def _open(self, member: str) -> IO[bytes]:
        found = self._tar.extractfile(member)  # which follows the links that stand for layers that are there twice
        if found is None:
            raise ImageUnusable(f"{member} in {self._name} is no file.")
        return found


@contextmanager
def open_archive(source: str, scratch: Path) -> Iterator[Archive]:
    """Open an image: the file of one (`*.tar`), `-` for such a file on standard input, or a name known to Docker.

    Raises ImageUnusable.
    """
    path = Path(source)
    if source == "-":
        path = scratch / "serving.tar"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
    elif not path.is_file():
        path = scratch / "serving.tar"
        _save(source, path)
    try:
        with tarfile.open(path) as tar:
            yield Archive(tar, source)
    except (OSError, tarfile.ReadError) as error:
        raise ImageUnusable(f"{source} is no image as `docker save` writes it ({error}).") from error


def _save(image: str, path: Path) -> None:
    try:
        done = subprocess.run(
            ["docker", "save", "--output", str(path), image],  # noqa: S607 (whichever Docker the user has)
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise ImageUnusable(
            f"There is no Docker here to take the image {image} from. Where there is one: "
            f"`docker save {image} --output serving.tar`, and here `--serving-image serving.tar`."
        ) from None
    if done.returncode:
        raise ImageUnusable(f"Docker does not give the image {image}: {done.stderr.strip()[-300:]}. {_BUILD}")
