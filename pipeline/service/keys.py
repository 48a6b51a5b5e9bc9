"""Secrets of the service: one file each, made at the first start, that only its owner reads."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

KEY_BYTES = 32


def ensure_secret(path: Path) -> str:
    """Read it, made anew if there is none. Safe among processes that start together."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # unlike a rename, fails if another process was first
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)
    return path.read_text().strip()
