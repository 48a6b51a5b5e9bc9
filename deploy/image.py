"""A bundle baked into the image of serving: one more layer, without a Docker engine, the same bytes each time.

The engine is not asked because where one deploys there may be none, and because what it builds has a new digest each
time: here the same bundle on the same image is the same image, and deploying it again changes nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

from bundle import Champion, Store
from bundle.read import verify
from bundle.store import CHAMPION
from deploy.archive import Archive
from deploy.registry import CONFIG, LAYER, MANIFEST, Registry, encode

MODELS = "var/lib/homeport/models"
_LATEST = "latest"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Baked:
    """An image that is not pushed yet."""

    archive: Archive
    model: str
    version: str
    layer: Path
    """The bundle as a layer, uncompressed."""
    config: bytes

    @property
    def tag(self) -> str:
        """A name that only this image has: the digest of its configuration tells every layer's content."""
        return f"{self.model}-{self.version}-{hashlib.sha256(self.config).hexdigest()[:12]}"


def bake(archive: Archive, store: Store, model: str, scratch: Path) -> Baked:
    """Put the champion of `model`, and nothing else of the store, into the image. Raises BundleError."""
    bundle = store.champion_path(model)
    verify(bundle)
    version = bundle.name
    layer = scratch / "bundle.tar"
    with layer.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in (f"{MODELS}/{model}", f"{MODELS}/{model}/{version}"):
            _add(tar, folder, None)
        _add(tar, f"{MODELS}/{model}/{CHAMPION}", msgspec.json.encode(Champion(version=version)))
        for path in sorted(bundle.iterdir()):
            _add(tar, f"{MODELS}/{model}/{version}/{path.name}", path.read_bytes())
    diff_id = f"sha256:{_digest_of(layer)}"
    return Baked(archive, model, version, layer, encode(_config(archive.config, diff_id, model, version)))


def push(baked: Baked, registry: Registry, scratch: Path, say: Callable[[str], None]) -> str:
    """Bring the image into the registry, unless it is there, and return its digest. Raises RegistryRefused."""
    known = registry.digest(baked.tag)
    if known:
        say(f"The image is in {registry.server} already.")
        return known
    there = registry.layers(_LATEST)  # layers of the image before are not compressed and sent again
    diff_ids = [*baked.archive.diff_ids, f"sha256:{_digest_of(baked.layer)}"]
    descriptors = []
    for index, diff_id in enumerate(diff_ids):
        descriptor = there.get(diff_id)
        if descriptor is None or not registry.has(descriptor["digest"]):
            packed = scratch / f"layer-{index}.tar.gz"
            last = index == len(diff_ids) - 1
            with baked.layer.open("rb") if last else baked.archive.layer(index) as content:
                digest = _pack(content, packed)
            say(f"Layer {index + 1} of {len(diff_ids)}: {packed.stat().st_size / 1e6:,.1f} MB")
            registry.push_file(packed, digest)
            descriptor = {"mediaType": LAYER, "size": packed.stat().st_size, "digest": digest}
            packed.unlink()
        descriptors.append(descriptor)
    config = {"mediaType": CONFIG, "size": len(baked.config), "digest": registry.push_bytes(baked.config)}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": descriptors}
    return registry.push_manifest(encode(manifest), baked.tag, _LATEST)


def _add(tar: tarfile.TarFile, name: str, content: bytes | None) -> None:
    entry = tarfile.TarInfo(name)  # owned by root, of the year 1970: the same bytes on every machine
    if content is None:
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(entry)
    else:
        entry.size, entry.mode = len(content), 0o644
        tar.addfile(entry, io.BytesIO(content))


def _config(base: dict[str, Any], diff_id: str, model: str, version: str) -> dict[str, Any]:
    run = base.get("config") or {}
    variables = [one for one in run.get("Env") or [] if not one.startswith("HOMEPORT_SERVING_MODEL=")]
    labels = (run.get("Labels") or {}) | {"homeport.model": model, "homeport.version": version}
    step = {"created_by": f"homeport deploy: {model} {version}", "created": "1970-01-01T00:00:00Z"}
    return {
        "architecture": base["architecture"],
        "os": base["os"],
        "created": base.get("created", step["created"]),
        "config": run | {"Env": [*variables, f"HOMEPORT_SERVING_MODEL={model}"], "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [*base["rootfs"]["diff_ids"], diff_id]},
        "history": [*base.get("history", []), step],
    }


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pack(content: IO[bytes], path: Path) -> str:
    with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, compresslevel=6, mtime=0) as packed:
        while part := content.read(_CHUNK):
            packed.write(part)
    return f"sha256:{_digest_of(path)}"
