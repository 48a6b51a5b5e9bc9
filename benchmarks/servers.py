"""Servers as processes: started, asked until they answer, their CPU and memory read, ended."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.load import Connection, Refused

START_SECONDS = 120.0


class NotStarted(Exception):
    """A server gave no answer; the message ends with what it last wrote."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    process: psutil.Process
    first_answer: float  # seconds from the start of the process to its first answer

    def cpu(self) -> float:
        """Seconds of CPU, of user and system, that the process tree has used so far."""
        return sum(times.user + times.system for times in (process.cpu_times() for process in self.tree()))

    def memory(self) -> tuple[int, int]:
        """Bytes that only this tree holds (USS), and bytes in memory with what is shared counted often (RSS)."""
        full = [process.memory_full_info() for process in self.tree()]
        return sum(memory.uss for memory in full), sum(memory.rss for memory in full)

    def tree(self) -> list[psutil.Process]:
        """The process and its descendants."""
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def running(
    command: Sequence[str], port: int, environment: Mapping[str, str], first: bytes, folder: Path, log: Path
) -> Iterator[Server]:
    """Start `command` in `folder`, wait until it answers the request `first`, end it with its tree at last.

    Raises NotStarted.
    """
    with log.open("wb") as output:
        # a session of its own: Ctrl-C reaches this process alone, which then ends the servers in turn
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            cwd=folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    own = psutil.Process(process.pid)
    try:
        while not _answers(port, first):
            if process.poll() is not None or time.perf_counter() - started > START_SECONDS:
                raise NotStarted("\n".join(log.read_text(errors="replace").splitlines()[-15:]))
            time.sleep(0.01)
        yield Server(port, own, time.perf_counter() - started)
    finally:
        _end(own)
        process.wait()


def _answers(port: int, first: bytes) -> bool:
    with suppress(OSError, Refused), Connection(port) as connection:
        connection.send(first)
        connection.receive()
        return True
    return False


def _end(process: psutil.Process) -> None:
    try:
        tree = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    with suppress(psutil.NoSuchProcess):
        process.terminate()
    _, alive = psutil.wait_procs(tree, timeout=10)
    for left in alive:
        with suppress(psutil.NoSuchProcess):
            left.kill()
    psutil.wait_procs(alive, timeout=5)
