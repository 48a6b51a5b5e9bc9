"""What telemetry adds to a request: `python -m benchmarks.telemetry`.

The gate answers the same request in this process with telemetry off and on, in turns; what counts is the
CPU of the whole process, the sending thread's included. A receiver in another process takes what is sent.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

from bundle import Store
from observability.telemetry import Outlet
from observability.telemetry import Settings as TelemetrySettings
from serving.exchange import Request
from serving.gate import Gate
from serving.keys import KeyRing, read_keys
from serving.live import Live
from serving.settings import Settings
from serving.telemetry import Telemetry

ROUNDS = 15
RECEIVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry", description=main.__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder of the bundles")
    logging.getLogger().addHandler(logging.NullHandler())  # failed requests are lines, too: not for this terminal
    store = Store(parser.parse_args().models)
    folder = store.champion_path(store.names()[0])
    body = json.dumps({"data": json.loads((folder / "examples.json").read_bytes())[:1]}).encode()
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        receiver = subprocess.Popen([sys.executable, "-c", RECEIVER], stdout=subprocess.PIPE, text=True)
        stack.callback(receiver.kill)
        assert receiver.stdout
        endpoint = f"http://127.0.0.1:{receiver.stdout.readline().strip()}"
        settings = Settings(models=store.root, keys=state / "keys.json", shadow=state)
        keys = KeyRing(settings.keys)
        telemetry = TelemetrySettings(endpoint=endpoint, interval_seconds=0.5)
        told = Telemetry(telemetry)
        authorization = b"Bearer " + read_keys(settings.keys).primary.encode()
        headers = {b"authorization": authorization, b"content-type": b"application/json"}
        gates = {
            "off": Gate(Live(settings, keys), keys, Telemetry(), settings),
            "on": Gate(Live(settings, keys, told), keys, told, settings),
        }
        nobody = {name: value for name, value in headers.items() if name != b"authorization"}
        for kind, sent, count in (("a scored row", headers, 50_000), ("a request without a key", nobody, 10_000)):
            costs: dict[str, list[float]] = {mode: [] for mode in gates}
            for _ in range(ROUNDS):
                for mode, gate in gates.items():
                    outlet = Outlet(telemetry, "benchmark", "0").sending(told) if mode == "on" else nullcontext()
                    costs[mode].append(_cost(gate, sent, body, count, outlet))
            added = [on - off for off, on in zip(costs["off"], costs["on"], strict=True)]
            print(f"{kind}: µs of CPU a request, median of {ROUNDS} rounds")
            for title, values in (*costs.items(), ("added", added)):
                print(f"  {title:<6} {statistics.median(values):6.2f} ({min(values):.2f} to {max(values):.2f})")


def _cost(
    gate: Gate, headers: dict[bytes, bytes], body: bytes, count: int, outlet: AbstractContextManager[None]
) -> float:
    """µs of CPU a request, with the sending of what is told of them."""
    began = time.process_time()
    with outlet:  # whose end sends what is left
        for number in range(count):
            request = Request("POST", "/score", b"", headers, b"%032x" % (number + 1), body)
            gate.respond(gate.live.mounted["/score"], request)
    return (time.process_time() - began) / count * 1e6


if __name__ == "__main__":
    main()
