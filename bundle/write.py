"""Writing a bundle: into a temporary folder beside its place, flushed, then renamed into it."""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from bundle.manifest import MANIFEST, MANIFEST_DIGEST, Manifest
from bundle.store import Store, fsync_directory, replace_file

_READ_ONLY = 0o444


def write_bundle(
    store: Store,
    manifest: Manifest,
    files: Mapping[str, bytes],
    texts: Callable[[Manifest], Mapping[str, bytes]] = lambda _: {},
) -> Manifest:
    """Write `files` and the manifest as the next version of `manifest.name`.

    The version and the digests in `manifest` are filled in; the manifest as written is returned.
    `texts` makes the files that name the version. Nothing of an interrupted write is ever visible as
    a version. Raises OSError (disk full, no permission).
    """
    folder = store.folder(manifest.name)
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder))
    try:
        draft.chmod(0o755)
        while True:
            version = str(max((int(v) for v in store.versions(manifest.name)), default=0) + 1)
            numbered = msgspec.structs.replace(manifest, version=version)
            contents = {**files, **texts(numbered)}
            written = msgspec.structs.replace(numbered, files={file: _sha256(c) for file, c in contents.items()})
            contents[MANIFEST] = msgspec.json.format(msgspec.json.encode(written), indent=2)
            contents[MANIFEST_DIGEST] = f"{_sha256(contents[MANIFEST])}  {MANIFEST}\n".encode()
            for file, content in contents.items():
                replace_file(draft / file, content, _READ_ONLY)
            try:
                draft.rename(folder / version)
                break
            except OSError as error:  # another trainer took the number: take the next
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        fsync_directory(folder)
        return written
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
