"""The same step on the workers of a Dask cluster. Workers need Homeport's packages, and no file of ours.

The bundle goes to them as bytes, and each verifies it as any reader does; rows go as Arrow, the model's columns only,
and only answers come back, since this side has the rows already. Dask itself speaks pickle: whoever reaches the
scheduler can run code on its workers, so it belongs into a private network.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pyarrow as pa

from bundle.manifest import MANIFEST, MANIFEST_DIGEST
from bundle.model import Model
from bundle.read import read_manifest
from pipeline.batch.columns import Spelling
from pipeline.batch.engines import Work, ahead, in_order, model_rows
from pipeline.batch.score import Scored, score
from pipeline.errors import SchedulerUnusable

if TYPE_CHECKING:
    from distributed import Client

_PATIENCE = 20  # seconds until scheduler and a worker have to answer
_RETRIES = 3  # of a mini-batch whose worker ends

_models: dict[str, Model] = {}  # of a worker, by the digest of the manifest
_loading = threading.Lock()


class Dask:
    """A cluster that scores by the model of a bundle."""

    def __init__(self, client: Client, bundle: Path) -> None:
        """Send the bundle to where it is needed."""
        manifest = read_manifest(bundle)
        self._names = [column.name for column in manifest.columns]
        self._digest = (bundle / MANIFEST_DIGEST).read_text()
        files = {name: (bundle / name).read_bytes() for name in (*manifest.files, MANIFEST, MANIFEST_DIGEST)}
        self._client = client
        self._files = client.submit(dict, files, pure=False)  # a task: made anew where it is lost

    def score(self, work: Generator[Work, None, None]) -> Generator[tuple[Work, Scored], None, None]:
        """Keep each thread of the cluster busy with one mini-batch, and another waiting."""
        from distributed import Future

        def submit(one: Work) -> Future:
            rows = packed(model_rows(self._names, one[1].rows))
            return self._client.submit(
                score_there, self._digest, self._files, rows, one[1].spelling, pure=False, retries=_RETRIES
            )

        def result(future: Future) -> Scored:
            try:
                answers, failures = future.result()
            except Exception as error:  # whatever a worker raises
                raise SchedulerUnusable(
                    f"Dask could not score: {type(error).__name__}: {error}. Have its workers Homeport's packages "
                    "and memory enough? The image homeport/scale has the former."
                ) from error
            return Scored(unpacked(answers), unpacked(failures))

        threads = sum(self._client.nthreads().values())
        with ahead(work, threads) as coming:
            yield from in_order(coming, submit, result, 2 * threads)


@contextmanager
def cluster(address: str, bundle: Path) -> Iterator[Dask]:
    """The cluster behind a scheduler's address. Raises SchedulerUnusable."""
    try:
        import dask
        import distributed  # noqa: F401
    except ImportError as error:
        raise SchedulerUnusable(
            f"Dask is not installed ({error}): it is the extra `scale`, `uv pip install -r requirements/scale.txt`."
        ) from error
    # rows travel with their task, which can be done again wherever one is lost: that is meant
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"}), _connected(address) as client:
        yield Dask(client, bundle)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        _knock(address)
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SchedulerUnusable(
            f"No scheduler answers at {address}: {error}. Give its address, like tcp://host:8786."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError:
            raise SchedulerUnusable(f"The scheduler at {address} has no worker. Start one, then try again.") from None
        yield client


def _knock(address: str) -> None:
    """Raises OSError, ValueError where nobody listens: Dask itself would try for long."""
    parts = urlsplit(address)
    if parts.scheme not in ("tcp", "tls") or not parts.hostname or not parts.port:
        raise ValueError("that is no such address")
    socket.create_connection((parts.hostname, parts.port), _PATIENCE).close()


def score_there(digest: str, files: dict[str, bytes], rows: bytes, spelling: Spelling) -> tuple[bytes, bytes]:
    """On a worker: `pipeline.batch.score.score`, with everything packed."""
    with _loading:
        if digest not in _models:
            with tempfile.TemporaryDirectory() as folder:
                for name, content in files.items():
                    Path(folder, name).write_bytes(content)
                _models.clear()  # one at a time
                _models[digest] = Model(Path(folder))
        model = _models[digest]
    scored = score(model, unpacked(rows), spelling)
    return packed(scored.answers), packed(scored.failures)


def packed(batch: pa.RecordBatch) -> bytes:
    """Rows as an Arrow stream."""
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(stream.getvalue())


def unpacked(content: bytes) -> pa.RecordBatch:
    """The rows of an Arrow stream."""
    return pa.ipc.open_stream(content).read_next_batch()
