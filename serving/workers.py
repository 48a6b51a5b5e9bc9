"""The parent of the workers: opens their sockets, starts them, replaces one that ends.

Each worker accepts on a socket of its own, and the kernel spreads connections over them. The parent
keeps all sockets open, so what waits on the socket of a worker that was killed is answered by its
replacement, which is a fork of this process and so has all modules loaded.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
import sys
from time import monotonic

from observability.telemetry import STOP_SECONDS
from observability.telemetry import Settings as TelemetrySettings
from serving.errors import AddressRefused, ServingError
from serving.server import BACKLOG, DRAIN_SECONDS, GRACE_SECONDS, run_worker
from serving.settings import Settings

log = logging.getLogger("homeport.serving")

PAUSE_SECONDS = 0.5  # between two starts at the same place, if the worker ends at once
_STOP = {signal.SIGTERM, signal.SIGINT}
_AWAITED = _STOP | {signal.SIGCHLD}


class Workers:
    """The worker processes of one endpoint."""

    def __init__(self, settings: Settings, telemetry: TelemetrySettings) -> None:
        """Open the sockets. Raises AddressRefused."""
        self._settings, self._telemetry = settings, telemetry
        try:
            self._sockets = listeners(settings.host, settings.port, settings.workers)
        except (OSError, UnicodeError) as error:  # the latter of a host that is no name
            raise AddressRefused(
                f"Nothing can listen on {settings.host} port {settings.port}: "
                f"{getattr(error, 'strerror', None) or error}. Stop what "
                "does, or choose another port with HOMEPORT_SERVING_PORT."
            ) from error
        self._places: dict[int, int] = {}  # pid → number of its socket
        self._started: dict[int, float] = {}  # number of the socket → when its worker was started
        self._waiting: set[int] = set()  # numbers of sockets without a worker

    def run(self) -> None:
        """Keep every socket served until SIGTERM or SIGINT, then let the workers end in peace."""
        # Not `sigwait`: numpy's threads do not block the signals, and what one of them gets would be lost.
        self._signals, writer = os.pipe()
        os.set_blocking(self._signals, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for awaited in _AWAITED:
            signal.signal(awaited, lambda *_: None)
        log.info("listening on %s port %d, workers: %d", self._settings.host, self._settings.port, len(self._sockets))
        gc.freeze()  # so that no worker's collector touches, and copies, what all share
        for place in range(len(self._sockets)):
            self._start(place)
        while not self._wait(PAUSE_SECONDS if self._waiting else None) & _STOP:
            self._reap()
            for place in sorted(self._waiting):
                if monotonic() - self._started[place] >= PAUSE_SECONDS:
                    self._start(place)
        self._stop()

    def _wait(self, seconds: float | None) -> set[int]:
        """The signals that came, at the latest after some seconds."""
        select.select([self._signals], [], [], seconds)
        try:
            return set(os.read(self._signals, 4096))
        except BlockingIOError:
            return set()

    def _start(self, place: int) -> None:
        self._waiting.discard(place)
        self._started[place] = monotonic()
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)  # until they mean the worker
        try:
            pid = os.fork()
        except OSError as error:
            log.error("no worker can be started, which is tried again: %s", error)
            self._waiting.add(place)
            pid = -1
        if pid:
            if pid > 0:
                self._places[pid] = place
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
            return
        status = 1
        try:
            for number, other in enumerate(self._sockets):
                if number != place:
                    other.close()
            signal.set_wakeup_fd(-1)
            for awaited in _AWAITED:
                signal.signal(awaited, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
            run_worker(self._settings, self._telemetry, self._sockets[place], parent)
            status = 0
        except ServingError as error:  # in one line: it comes twice a second
            log.error("the worker cannot start: %s", error)
        except BaseException:
            log.exception("the worker failed")
        finally:
            logging.shutdown()
            sys.stdout.flush()
            os._exit(status)  # the parent's clean-up is not the worker's

    def _reap(self, stopping: bool = False) -> None:
        while self._places:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            place = self._places.pop(pid)
            if not stopping:
                log.error("worker %d ended by itself (%s): it is replaced", pid, _reason(status))
                self._waiting.add(place)

    def _stop(self) -> None:
        for listener in self._sockets:
            listener.close()  # who comes after the workers have closed theirs is refused at once
        for pid in self._places:
            os.kill(pid, signal.SIGTERM)
        end = monotonic() + GRACE_SECONDS + DRAIN_SECONDS + STOP_SECONDS + 2
        while self._places:
            self._wait(max(0.1, end - monotonic()))
            if monotonic() >= end:
                for pid in self._places:
                    os.kill(pid, signal.SIGKILL)
            self._reap(stopping=True)


def listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """Listening sockets, one a worker, on the same address. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    sockets: list[socket.socket] = []
    with socket.socket(family) as probe:  # sockets that share a port would share it with a stranger's too
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
    for _ in range(count):
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if count > 1:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        sockets.append(listener)
    return sockets


def _reason(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit code {code}" if code >= 0 else f"signal {-code}"
