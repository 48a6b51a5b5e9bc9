"""An environment for each peer of benchmarks and tests, made from its hashed lock and kept until the lock changes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS = ROOT / "requirements" / "peers"
CACHE = ROOT / ".cache" / "peers"

_VERSIONS = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"


class EnvironmentFailed(Exception):
    """The environment could not be made; the message is the installer's."""


def environment(lock: str | None) -> Path:
    """The folder of the programs of one environment; without a lock that of the project itself.

    >>> environment("mlflow")
    PosixPath('.../.cache/peers/mlflow/bin')
    """
    if lock is None:
        return Path(sys.executable).parent
    requirements, folder = LOCKS / f"{lock}.txt", CACHE / lock
    made_from = folder / "lock.sha256"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not made_from.is_file() or made_from.read_text() != digest:
        # `--clear` also takes away what an interrupted installation left
        _uv("venv", "--clear", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--python", str(folder / "bin" / "python"), "--require-hashes", "-r", str(requirements))
        made_from.write_text(digest)
    return folder / "bin"


def versions(programs: Path, distributions: tuple[str, ...]) -> dict[str, str]:
    """The versions that an environment has of some distributions."""
    command = [str(programs / "python"), "-c", _VERSIONS, *distributions]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(zip(distributions, done.stdout.split(), strict=True))


def _uv(*arguments: str) -> None:
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise EnvironmentFailed(done.stderr.strip())
