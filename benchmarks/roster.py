"""Who is compared: how each server is started, how it wants the rows, how it answers.

In commands and environments `{bin}` is the folder of the peer's programs, `{work}` a folder for files,
`{port}` the port to listen on on loopback, `{root}` this repository, `{models}` and `{model}` where the
champion lies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bundle import Column
from bundle.manifest import Label, Value

Rows = Sequence[dict[str, Value]]


@dataclass(frozen=True)
class Answer:
    """Labels, and probabilities from a server that gives them unasked."""

    labels: list[Label]
    probabilities: list[list[float]] | None = None


def _plain(rows: Rows, _: Sequence[Column]) -> Any:
    return {"data": rows}


def _plain_answer(answer: Any) -> Answer:
    return Answer(answer["result"])


@dataclass(frozen=True)
class Peer:
    """One server."""

    name: str
    title: str
    settings: str  # in words, for the document
    serve: tuple[str, ...]
    distributions: tuple[str, ...]  # whose versions are stated
    lock: str | None = None  # of requirements/peers; None is the project's own environment
    prepare: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    path: str = "/score"
    body: Callable[[Rows, Sequence[Column]], Any] = _plain
    answer: Callable[[Any], Answer] = _plain_answer
    answers: bool = True  # False: a constant
    own_model: bool = False  # `prepare` makes one, and writes the labels that it gives in process
    default: bool = True


def _tensors(rows: Rows, columns: Sequence[Column]) -> Any:
    return {"inputs": {column.onnx_name: [row[column.name] for row in rows] for column in columns}}


def _open_inference(rows: Rows, columns: Sequence[Column]) -> Any:
    """The open inference protocol (V2) of MLServer."""
    return {
        "inputs": [
            {
                "name": column.onnx_name,
                "shape": [len(rows), 1],
                "datatype": "BYTES" if column.kind == "category" else "FP64" if column.offset else "FP32",
                "data": [row[column.name] for row in rows],
            }
            for column in columns
        ]
    }


# Azure's server listens on all addresses and has no option for it.
_AZURE = "from azureml_inference_server_http import amlserver as s; s.DEFAULT_HOST = '127.0.0.1'; s.run()"
_ON_AZURE = ("{bin}/python", "-c", _AZURE, "--port", "{port}", "--worker_count", "1", "--model_dir", "{work}")

LIMIT, HOMEPORT, AZURE, AUTOML = "limit", "homeport", "azure", "automl"

PEERS = (
    Peer(
        LIMIT,
        "uvicorn, a constant",
        "reads the body; uvloop, httptools, no access log",
        (
            *("{bin}/python", "-m", "uvicorn", "benchmarks.peers.limit:app", "--port", "{port}", "--no-access-log"),
            *("--loop", "uvloop", "--http", "httptools", "--lifespan", "off", "--log-level", "error"),
        ),
        ("uvicorn",),
        answers=False,
    ),
    Peer(
        HOMEPORT,
        "Homeport",
        "as `homeport up` starts it: key, validation, all headers",
        ("{bin}/python", "-m", "serving"),
        ("fastapi", "uvicorn", "onnxruntime"),
        environment={
            "HOMEPORT_SERVING_MODELS": "{models}",
            "HOMEPORT_SERVING_MODEL": "{model}",
            "HOMEPORT_SERVING_KEYS": "{work}/keys.json",
            "HOMEPORT_SERVING_PORT": "{port}",
        },
    ),
    Peer(
        "naive",
        "FastAPI as in tutorials + ONNX Runtime",
        "pydantic rows; uvicorn[standard] with its defaults (access log)",
        ("{bin}/uvicorn", "benchmarks.peers.naive:app", "--port", "{port}"),
        ("fastapi", "uvicorn", "onnxruntime"),
        lock="naive",
    ),
    Peer(
        AZURE,
        "Azure's inference server + ONNX Runtime",
        "a lean scoring script; the server's defaults (access log)",
        (*_ON_AZURE, "--entry_script", "{root}/benchmarks/peers/azure.py"),
        ("azureml-inference-server-http", "gunicorn", "onnxruntime"),
        lock="azure",
    ),
    Peer(
        AUTOML,
        "Azure's inference server as AutoML uses it",
        "inference-schema, pandas, a pickled scikit-learn pipeline; the server's defaults",
        (*_ON_AZURE, "--entry_script", "{root}/benchmarks/peers/automl.py"),
        ("azureml-inference-server-http", "inference-schema", "pandas", "scikit-learn", "lightgbm"),
        lock="automl",
        prepare=("{bin}/python", "-m", "benchmarks.peers.automl", "{work}/table.csv", "{work}/rows.json", "{work}"),
        answer=lambda answer: Answer(json.loads(answer)["result"]),  # AutoML answers JSON in a JSON string
        own_model=True,
    ),
    Peer(
        "mlflow",
        "MLflow, onnx flavour",
        "`mlflow models serve --env-manager local`, flat tensors with a signature, answers probabilities too",
        (
            *("{bin}/mlflow", "models", "serve", "--model-uri", "{work}/mlflow", "--env-manager", "local"),
            *("--workers", "1", "--host", "127.0.0.1", "--port", "{port}"),
        ),
        ("mlflow", "onnxruntime"),
        lock="mlflow",
        prepare=("{bin}/python", "-m", "benchmarks.peers.mlflow"),
        path="/invocations",
        body=_tensors,
        answer=lambda answer: Answer(answer["predictions"]["label"], answer["predictions"]["probabilities"]),
    ),
    Peer(
        "mlserver",
        "MLServer + ONNX Runtime",
        "a custom runtime, open inference protocol, one parallel worker (the default), debug off",
        ("{bin}/mlserver", "start", "{work}"),
        ("mlserver", "onnxruntime"),
        lock="mlserver",
        environment={
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": "{port}",
            "MLSERVER_GRPC_PORT": "{second_port}",
            "MLSERVER_METRICS_PORT": "{third_port}",
            "MLSERVER_DEBUG": "false",
            "MLSERVER_MODEL_NAME": "{model}",
            "MLSERVER_MODEL_IMPLEMENTATION": "benchmarks.peers.mlserver.Runtime",
        },
        path="/v2/models/{model}/infer",
        body=_open_inference,
        answer=lambda answer: Answer(answer["outputs"][0]["data"]),
        default=False,
    ),
    Peer(
        "bentoml",
        "BentoML + ONNX Runtime",
        "`bentoml serve` with its defaults, one worker",
        ("{bin}/bentoml", "serve", "benchmarks.peers.bentoml:Scorer", "--host", "127.0.0.1", "--port", "{port}"),
        ("bentoml", "onnxruntime"),
        lock="bentoml",
        default=False,
    ),
    Peer(
        "litserve",
        "LitServe + ONNX Runtime",
        "one worker, the fast queue that is recommended above 100 requests a second",
        ("{bin}/python", "-m", "benchmarks.peers.litserve"),
        ("litserve", "fastapi", "onnxruntime"),
        lock="litserve",
        default=False,
    ),
)
