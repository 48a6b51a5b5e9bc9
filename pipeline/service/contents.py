"""Files that are looked at again and again: whether their content changed, and whether somebody still writes them."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISREG

import msgspec

from pipeline.errors import CheckFailed


class Sight(msgspec.Struct, frozen=True):
    """What is known of files. Their content is `digest`, as long as `changing` is None."""

    hashed: dict[str, tuple[int, int, str]] = {}  # size, time of change in nanoseconds, and SHA-256, by path
    changing: dict[str, tuple[int, int]] | None = None  # sizes and times at the last look, if they were others

    @property
    def digest(self) -> str:
        """Of all contents. Names are not part of it: a file that is only renamed is nothing new."""
        return hashlib.sha256("".join(sorted(digest for _, _, digest in self.hashed.values())).encode()).hexdigest()


def matching(pattern: Path) -> list[Path]:
    """The files of a path or a glob, in which `**` stands for any folders. Raises CheckFailed."""
    try:
        if pattern.exists():  # it may have a glob's signs in its name
            return [pattern]
        return [Path(name) for name in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207 (Path's is never absolute)
    except OSError as error:
        raise _unreadable(pattern, error) from None


def look(paths: Iterable[Path], before: Sight, *, patient: bool = True) -> Sight:
    """What is there now. Raises CheckFailed if there is no file, or one cannot be read.

    Only files with another size or time are read; who is patient reads them once both stay as they are for two looks.
    """
    found = _stats(paths)
    if not found:
        raise CheckFailed("There is no file. Put one there, or give another path, such as 'new/*.csv'.")
    if found == {path: (size, time) for path, (size, time, _) in before.hashed.items()}:
        return Sight(before.hashed)
    if patient and found != before.changing:
        return Sight(before.hashed, found)
    hashed = {path: _hashed(Path(path), stat, before) for path, stat in found.items()}
    again = _stats(map(Path, found))
    return Sight(before.hashed, again) if patient and again != found else Sight(hashed)


def _stats(paths: Iterable[Path]) -> dict[str, tuple[int, int]]:
    found = {}
    for path in sorted(paths):
        try:
            stat = path.stat()
        except FileNotFoundError:  # it was there a moment ago
            continue
        except OSError as error:
            raise _unreadable(path, error) from None
        if S_ISREG(stat.st_mode):
            found[str(path)] = stat.st_size, stat.st_mtime_ns
    return found


def _hashed(path: Path, stat: tuple[int, int], before: Sight) -> tuple[int, int, str]:
    if (known := before.hashed.get(str(path))) and known[:2] == stat:
        return known
    try:
        with path.open("rb") as file:
            return (*stat, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> CheckFailed:
    return CheckFailed(f"{path} cannot be read ({error.strerror}).")
