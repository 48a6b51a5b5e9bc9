"""The two keys of the endpoint: made here, kept in one file that only its owner reads."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import logging
import os
import secrets
import sys
import threading
from hmac import compare_digest
from pathlib import Path
from typing import Literal, get_args

import msgspec

from bundle.store import replace_file
from serving.errors import KeysError
from serving.settings import Settings

log = logging.getLogger("homeport.serving")

KeyName = Literal["primary", "secondary"]
KEY_BYTES = 32


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both keys, in the clear: to show one to its owner, never to log."""

    primary: str
    secondary: str

    def __repr__(self) -> str:
        return "Keys(primary=***, secondary=***)"


class KeyRing:
    """Recognises the keys of a file by their SHA-256, in a time that does not depend on what was sent.

    >>> KeyRing(path).recognise(b"Bearer " + read_keys(path).primary.encode())
    'primary'
    """

    def __init__(self, path: Path) -> None:
        """Read the file, which is made if there is none. Raises KeysError."""
        self._path = path
        self._lock = threading.Lock()
        ensure_keys(path)
        self._signature = _signature(path)  # before the look at the keys: what changes in between is seen later
        self._take(read_keys(path))

    def recognise(self, authorization: bytes) -> KeyName | None:
        """The name of the key in an `Authorization` header, or None.

        A key that is not known may be newer than the last look at the file: then the file is read again,
        so that a new key works in every process from the moment it is written.
        """
        if authorization[:7].lower() != b"bearer ":
            return None
        sent = hashlib.sha256(authorization[7:].strip()).digest()
        name = self._match(sent)
        if name is None:
            self.refresh()  # once more in any case: another thread may have been the first to read the new ones
            name = self._match(sent)
        return name

    def refresh(self) -> bool:
        """Take the keys over if their file has changed; a damaged file leaves the old ones."""
        with self._lock:  # who waits here finds the new keys taken, not only seen
            signature = _signature(self._path)
            if signature == self._signature:
                return False
            self._signature = signature
            try:
                self._take(read_keys(self._path))
            except KeysError as error:
                log.error("the keys stay as they are: %s", error)
                return False
        log.info("the keys were read again")
        return True

    def _take(self, keys: Keys) -> None:
        self._digests = tuple(hashlib.sha256(key.encode()).digest() for key in (keys.primary, keys.secondary))

    def _match(self, sent: bytes) -> KeyName | None:
        primary, secondary = self._digests  # one look: another thread may replace both
        is_primary = compare_digest(sent, primary)
        is_secondary = compare_digest(sent, secondary)
        return "primary" if is_primary else "secondary" if is_secondary else None


def _signature(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size  # ctime: it may be read from now on


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


def regenerate(path: Path, name: KeyName) -> str:
    """Replace one of the keys and return the new one; the other stays valid. Raises KeysError."""
    read_keys(path)
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at the same time must not undo each other
        keys = msgspec.structs.replace(read_keys(path), **{name: secrets.token_urlsafe(KEY_BYTES)})
        replace_file(path, msgspec.json.encode(keys), mode=0o600)
    new: str = getattr(keys, name)
    return new


def main() -> int:
    """Show or replace a key where there is no `homeport` command: in the endpoint's container."""
    parser = argparse.ArgumentParser(prog="python -m serving.keys", description=main.__doc__)
    parser.add_argument("action", choices=("show", "regenerate"))
    parser.add_argument("name", choices=get_args(KeyName))
    arguments = parser.parse_args()
    path = Settings().keys
    try:
        print(
            getattr(read_keys(path), arguments.name) if arguments.action == "show" else regenerate(path, arguments.name)
        )
    except (KeysError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
