"""The keys of an endpoint elsewhere: the target never gives them back, so they are kept here, in one private file.

New keys are written beside the file before the target is told of them, and take its place once the endpoint knows
them: whatever ends in between, no key is lost, and the same command goes on with the same new ones.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Literal

import msgspec

from bundle.store import replace_file
from deploy.errors import KeysMissing

KeyName = Literal["primary", "secondary"]
KEY_BYTES = 32


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both keys, in the clear: to show one to its owner, never to log."""

    primary: str
    secondary: str

    def __repr__(self) -> str:
        return "Keys(primary=***, secondary=***)"

    def as_json(self) -> str:
        """As `python -m serving` reads them."""
        return msgspec.json.encode(self).decode()


class KeyFile:
    """The file of one endpoint's keys.

    >>> KeyFile(Path(".homeport/azure/homeport-bank.keys.json")).read().primary
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = path.with_name(f"{path.name}.next")

    def read(self) -> Keys | None:
        """The keys, or None if they are not here. Raises KeysMissing if the file is damaged."""
        return self._read(self.path)

    def demand(self) -> Keys:
        """The keys. Raises KeysMissing."""
        keys = self.read()
        if keys is None:
            raise KeysMissing(
                f"The keys of the endpoint are not on this machine: there is no {self.path}. Copy it from the machine "
                "that deployed, or make new ones: `rotate-keys both`."
            )
        return keys

    def make(self) -> Keys:
        """The keys, made anew if there are none."""
        keys = self.read()
        if keys is None:
            keys = Keys(_new(), _new())
            self._write(self.path, keys)
        return keys

    def staged(self) -> Keys | None:
        """New keys of which it is not known whether the endpoint has them."""
        return self._read(self._next)

    def stage(self, *names: KeyName) -> Keys:
        """Make new keys in the place of those named, or return those of an attempt that did not end."""
        staged = self.staged()
        if staged is None:
            old = self.read() or Keys(_new(), _new())
            staged = msgspec.structs.replace(old, **{name: _new() for name in names})
            self._write(self._next, staged)
        return staged

    def commit(self) -> None:
        """The endpoint has the new keys: they take the place of the old."""
        if self._next.exists():
            self._next.replace(self.path)

    def forget(self) -> None:
        """Delete all of them: the endpoint is gone."""
        self.path.unlink(missing_ok=True)
        self._next.unlink(missing_ok=True)

    def _read(self, path: Path) -> Keys | None:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Keys)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise KeysMissing(f"{path} cannot be read, or holds no keys: {error}.") from error

    def _write(self, path: Path, keys: Keys) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(path, msgspec.json.encode(keys), mode=0o600)


def _new() -> str:
    return secrets.token_urlsafe(KEY_BYTES)
