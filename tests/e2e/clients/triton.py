"""tritonclient against the endpoint: a request on standard input, what the client saw on standard output."""

import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

asked = json.load(sys.stdin)
rows, model = asked["rows"], asked["model"]
headers = {"Authorization": f"Bearer {asked['key']}"}
client = triton.InferenceServerClient(asked["url"].removeprefix("http://"))
metadata = client.get_model_metadata(model, headers=dict(headers))


def inputs(binary):
    found = []
    for tensor in metadata["inputs"]:
        values = [row.get(tensor["name"]) for row in rows]
        datatype = tensor["datatype"]
        if datatype == "BYTES":
            array = np.array([value or "" for value in values], dtype=np.object_)
        else:
            datatype = "FP32" if datatype == "BOOL" and None in values else datatype
            array = np.array([np.nan if value is None else value for value in values], triton_to_np_dtype(datatype))
        found.append(triton.InferInput(tensor["name"], [len(rows), 1], datatype))
        found[-1].set_data_from_numpy(array.reshape(-1, 1), binary_data=binary)
    return found


def infer(binary=True, outputs=None, version="", **options):
    result = client.infer(model, inputs(binary), version, outputs, headers=dict(headers), **options)
    return {
        # bytes in a binary answer, text in one in JSON
        "label": [str(value, "utf-8") if isinstance(value, bytes) else value for value in result.as_numpy("label")],
        "probabilities": result.as_numpy("probabilities").tolist(),
    }


def error(call):
    try:
        call()
    except InferenceServerException as refused:
        return [refused.status(), refused.message()]
    return None


seen = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model ready": client.is_model_ready(model),
    "other ready": client.is_model_ready("other"),
    "server": client.get_server_metadata(headers=dict(headers)),
    "metadata": metadata,
    "default": infer(),
    "JSON": infer(binary=False),  # which writes NaN
    "version": infer(version=asked["version"]),
    "answer as JSON": infer(
        outputs=[triton.InferRequestedOutput(name, binary_data=False) for name in ("label", "probabilities")]
    ),
    "answer in binary": infer(outputs=[triton.InferRequestedOutput(name) for name in ("probabilities", "label")]),
    "error of another model": error(lambda: client.infer("other", inputs(True), headers=dict(headers))),
    "error without a key": error(lambda: client.infer(model, inputs(True))),
    "error of gzip": error(lambda: infer(request_compression_algorithm="gzip")),
}
print(json.dumps(seen))
