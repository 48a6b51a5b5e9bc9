"""Models of the other tasks behind real servers, two versions of one, and requests in the words of each dialect."""

import csv
import io
import json
import shutil
import struct
from dataclasses import dataclass

import httpx
import numpy as np
import pytest

from bundle import Manifest, Store
from tests.conftest import MODEL, Running, Silent, made_once, quick, serve, shop_frame, write_csv
from trainer.job import train
from trainer.table import read_table

TARGETS = {"group": "multiclass", "spend.total": "regression", "is member": "binary"}


@pytest.fixture(scope="session")
def tasks_store(tmp_path_factory) -> Store:
    """Models with whole numbers as classes, with none, and with booleans; named after their tasks."""

    def make(folder):
        frame = shop_frame(400).dropna(subset=["spend.total"])
        frame["group"] = frame["age"] // 25
        path = write_csv(frame, tmp_path_factory.mktemp("tables") / "tasks.csv")
        for target, task in TARGETS.items():
            train(quick(read_table(path), target, name=task, task=task, max_trials=2), Store(folder), Silent())

    return Store(made_once(tmp_path_factory, "tasks", make))


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory, shop_store) -> Store:
    """Two versions that answer differently, the first of them champion. Tests copy it."""

    def make(folder):
        shutil.copytree(shop_store.root, folder, dirs_exist_ok=True)
        frame = shop_frame(400, seed=9)
        frame["buys"] = frame["buys"].map({"yes": "no", "no": "yes"})  # the opposite of the first
        table = read_table(write_csv(frame, tmp_path_factory.mktemp("table") / "opposite.csv"))
        assert train(quick(table, "buys", positive="yes"), Store(folder), Silent()).version == "2"

    return Store(made_once(tmp_path_factory, "two", make))


@pytest.fixture
def store(two_versions, tmp_path) -> Store:
    """A copy of both that a test may break."""
    return Store(shutil.copytree(two_versions.root, tmp_path / "models"))


@dataclass(frozen=True)
class Served:
    """A running server and what it serves."""

    running: Running
    manifest: Manifest

    @property
    def client(self) -> httpx.Client:
        return self.running.client

    @property
    def infer(self) -> str:
        return f"/v2/models/{self.manifest.name}/infer"


@pytest.fixture(scope="session", params=[MODEL, *TARGETS.values()])
def served(request, tmp_path_factory):
    """Each of the models."""
    if request.param == MODEL:
        store = request.getfixturevalue("shop_store")
        yield Served(request.getfixturevalue("endpoint"), store.manifest(MODEL, "1"))
        return
    store = request.getfixturevalue("tasks_store")
    with serve(tmp_path_factory.mktemp(request.param), store.root, MODEL=request.param) as running:
        yield Served(running, store.manifest(request.param, "1"))


NATURAL = {"number": "FP64", "boolean": "BOOL", "category": "BYTES"}
DTYPES = {"FP64": "<f8", "FP32": "<f4", "FP16": "<f2", "INT64": "<i8", "UINT8": "u1", "BOOL": "?"}


def tensors(manifest: Manifest, rows: list[dict], nested: bool = False) -> list[dict]:
    """Rows as tensors in JSON."""
    inputs = []
    for column in manifest.columns:
        values = [row.get(column.name) for row in rows]
        inputs.append(
            {
                "name": column.name,
                "shape": [len(rows), 1] if nested else [len(rows)],
                "datatype": NATURAL[column.kind],
                "data": [[value] for value in values] if nested else values,
            }
        )
    return inputs


def packed(datatype: str, values: list) -> bytes:
    """Values in binary; None is NaN or an empty text."""
    if datatype == "BYTES":
        texts = [(value or "").encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.array([np.nan if value is None else value for value in values], DTYPES[datatype]).tobytes()


def binary(manifest: Manifest, rows: list[dict], small: bool = False, **fields) -> tuple[bytes, dict]:
    """Body and headers of a request in binary, by the names in model.onnx; `small` with float32 as it takes them."""
    inputs, parts = [], []
    for column in manifest.columns:
        values = [row.get(column.name) for row in rows]
        datatype = NATURAL[column.kind]
        if datatype == "BOOL" and None in values:
            datatype = "FP32"
        if datatype == "FP64" and small and not column.offset:
            datatype = "FP32"
        parts.append(packed(datatype, values))
        inputs.append(
            {
                "name": column.onnx_name,
                "shape": [len(rows), 1],
                "datatype": datatype,
                "parameters": {"binary_data_size": len(parts[-1])},
            }
        )
    head = json.dumps({"inputs": inputs, **fields}).encode()
    return head + b"".join(parts), {"Inference-Header-Content-Length": str(len(head))}


def unpacked(answer: httpx.Response) -> dict[str, list]:
    """The outputs of an answer of the Open Inference Protocol, as JSON or in binary, in nested lists."""
    length = int(answer.headers.get("inference-header-content-length", len(answer.content)))
    rest = answer.content[length:]
    outputs = {}
    for output in json.loads(answer.content[:length])["outputs"]:
        values = output.get("data")
        if values is None:
            size = output["parameters"]["binary_data_size"]
            part, rest = rest[:size], rest[size:]
            values = (
                texts(part)
                if output["datatype"] == "BYTES"
                else np.frombuffer(part, DTYPES[output["datatype"]]).tolist()
            )
        outputs[output["name"]] = np.array(values, dtype=object).reshape(output["shape"]).tolist()
    assert rest == b""
    return outputs


def texts(data: bytes) -> list[str]:
    found = []
    while data:
        (size,) = struct.unpack("<I", data[:4])
        found.append(data[4 : 4 + size].decode())
        data = data[4 + size :]
    return found


def as_csv(rows: list[dict]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)  # None is an empty cell
    return text.getvalue().encode()
