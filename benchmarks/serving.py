"""CPU of one request to `/score` beside a uvicorn application that answers a constant.

Both servers run as processes of their own, at the same time, and are asked in turn. Each round sends
a fixed number of requests over sixteen connections, the body another one each time; what counts is
the CPU that the server's process tree has used by then. Run it with `make bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
from starlette.types import Receive, Scope, Send

from bundle import Store
from bundle.read import read_golden
from serving.keys import ensure_keys

REQUESTS = {1: 16_000, 32: 4_000, 1_000: 320}
BODIES = 64
CONNECTIONS = 16


async def constant(_: Scope, receive: Receive, send: Send) -> None:
    """The limit: reads the body, answers what never changes."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"17")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"result":["no"]}'})


@dataclass(frozen=True)
class Server:
    """A running server and the head of the requests that it takes."""

    name: str
    port: int
    process: psutil.Process
    head: str

    def cpu(self) -> float:
        """Seconds of CPU of the process tree so far."""
        tree = [self.process, *self.process.children(recursive=True)]
        return sum(times.user + times.system for times in (process.cpu_times() for process in tree))


@contextmanager
def server(name: str, command: Sequence[str], port: int, environment: dict[str, str], head: str) -> Iterator[Server]:
    """Start a server, wait for its first answer, stop it in the end."""
    process = subprocess.Popen([sys.executable, *command], env=os.environ | environment, stderr=subprocess.DEVNULL)
    started = time.perf_counter()
    try:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
                    read_answer(connection)
                    break
            except OSError:
                if process.poll() is not None or time.perf_counter() - started > 30:
                    raise RuntimeError(f"{name} did not start") from None
                time.sleep(0.01)
        first = time.perf_counter() - started
        own = psutil.Process(process.pid)
        print(f"{name}: first 200 after {first:.2f} s, {own.memory_info().rss / 1e6:.0f} MB", file=sys.stderr)
        yield Server(name, port, own, head)
    finally:
        process.terminate()
        process.wait(10)


def ask(target: Server, bodies: Sequence[bytes], count: int) -> float:
    """Send `count` requests over all connections; returns microseconds of the server's CPU for each."""
    requests = [f"{target.head}content-length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
    with ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", target.port), timeout=30))
            for _ in range(CONNECTIONS)
        ]
        before = target.cpu()
        for start in range(0, count, CONNECTIONS):
            for place, connection in enumerate(connections):
                connection.sendall(requests[(start + place) % len(requests)])
            # the last first: a server must not pay for waking this process at each of its answers
            for connection in reversed(connections):
                read_answer(connection)
        return (target.cpu() - before) / (-(-count // CONNECTIONS) * CONNECTIONS) * 1e6


def read_answer(connection: socket.socket) -> bytes:
    """The body of one answer. Raises RuntimeError on any status but 200."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, body = received.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"refused: {received[:500]!r}")
    lowered = head.lower()
    length = int(lowered.split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return body


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    store = Store(arguments.models)
    name = store.names()[0]
    folder = store.champion_path(name)
    rows = [dict(row) for row in read_golden(folder).rows]
    with tempfile.TemporaryDirectory() as temporary:
        keys = Path(temporary) / "keys.json"
        authorization = f"authorization: Bearer {ensure_keys(keys).primary}\r\n"
        head = f"POST /score HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{authorization}"
        ports = free_port(), free_port()
        environment = {
            "HOMEPORT_SERVING_MODELS": str(arguments.models),
            "HOMEPORT_SERVING_MODEL": name,
            "HOMEPORT_SERVING_KEYS": str(keys),
            "HOMEPORT_SERVING_PORT": str(ports[1]),
        }
        limit_command = ["-m", "uvicorn", "benchmarks.serving:constant", "--port", str(ports[0]), "--no-access-log"]
        limit_command += ["--loop", "uvloop", "--http", "httptools", "--lifespan", "off", "--log-level", "error"]
        with (
            server("uvicorn, a constant", limit_command, ports[0], {}, head) as limit,
            server("homeport", ["-m", "serving"], ports[1], environment, head) as ours,
        ):
            packages = ", ".join(f"{package} {version(package)}" for package in ("onnxruntime", "uvicorn", "fastapi"))
            print(
                f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}; model"
            )
            print(
                f"{name} {folder.name}; {arguments.rounds} interleaved rounds, µs of CPU a request: median (min-max)\n"
            )
            print("| rows | uvicorn, a constant | homeport | ratio of medians | of minima |")
            print("| --- | --- | --- | --- | --- |")
            for size, count in REQUESTS.items():
                bodies = [
                    json.dumps({"data": [rows[(start + place) % len(rows)] for place in range(size)]}).encode()
                    for start in range(BODIES if size < 1000 else 8)
                ]
                costs: dict[str, list[float]] = {limit.name: [], ours.name: []}
                for target in (limit, ours):
                    ask(target, bodies, count // 10)  # warm
                for _ in range(arguments.rounds):
                    for target in (limit, ours):
                        costs[target.name].append(ask(target, bodies, count))
                cells = [f"{statistics.median(c):,.0f} ({min(c):,.0f}-{max(c):,.0f})" for c in costs.values()]
                low, high = costs.values()
                ratios = statistics.median(high) / statistics.median(low), min(high) / min(low)
                print(f"| {size:,} | {cells[0]} | {cells[1]} | {ratios[0]:.2f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
