"""The two keys of the endpoint: made here, kept in one file that only its owner reads."""

from __future__ import annotations

import hashlib
import os
import secrets
from hmac import compare_digest
from pathlib import Path
from typing import Literal

import msgspec

from serving.errors import KeysError

KeyName = Literal["primary", "secondary"]
KEY_BYTES = 32


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both keys, in the clear: to show one to its owner, never to log."""

    primary: str
    secondary: str

    def __repr__(self) -> str:
        return "Keys(primary=***, secondary=***)"


class KeyRing:
    """Recognises keys by their SHA-256, in a time that does not depend on what was sent.

    >>> KeyRing(keys).recognise(b"Bearer " + keys.primary.encode())
    'primary'
    """

    def __init__(self, keys: Keys) -> None:
        self._primary = hashlib.sha256(keys.primary.encode()).digest()
        self._secondary = hashlib.sha256(keys.secondary.encode()).digest()

    def recognise(self, authorization: bytes) -> KeyName | None:
        """The name of the key in an `Authorization` header, or None."""
        if authorization[:7].lower() != b"bearer ":
            return None
        sent = hashlib.sha256(authorization[7:].strip()).digest()
        is_primary = compare_digest(sent, self._primary)
        is_secondary = compare_digest(sent, self._secondary)
        return "primary" if is_primary else "secondary" if is_secondary else None


def read_keys(path: Path) -> Keys:
    """Read the keys. Raises KeysError."""
    try:
        keys = msgspec.json.decode(path.read_bytes(), type=Keys)
    except FileNotFoundError:
        raise KeysError(f"There are no keys at {path} yet: they are made when the endpoint first starts.") from None
    except OSError as error:
        raise KeysError(
            f"{path} cannot be read: {error.strerror}. It belongs to the one who started the endpoint."
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise KeysError(
            f"{path} holds no keys ({error}). Delete it, and new ones are made at the next start."
        ) from error
    if min(len(keys.primary), len(keys.secondary)) < 16:
        raise KeysError(f"A key in {path} is shorter than 16 characters. Delete the file, and new ones are made.")
    return keys


def ensure_keys(path: Path) -> Keys:
    """Read the keys, made anew if there are none. Safe among processes that start together."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = Keys(primary=secrets.token_urlsafe(KEY_BYTES), secondary=secrets.token_urlsafe(KEY_BYTES))
        draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(msgspec.json.encode(made))
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)  # unlike a rename, fails if another process was first
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)
    return read_keys(path)
