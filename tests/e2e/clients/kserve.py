"""KServe's client against the endpoint: a request on standard input, what the client saw on standard output."""

import asyncio
import json
import sys

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

asked = json.load(sys.stdin)
url, model = asked["url"], asked["model"]
headers = {"Authorization": f"Bearer {asked['key']}"}
DTYPES = {"FP64": np.float64, "FP32": np.float32, "BOOL": np.bool_}


def request(metadata, rows, binary):
    inputs = []
    for tensor in metadata["inputs"]:
        values = [row.get(tensor["name"]) for row in rows]
        datatype = "FP32" if tensor["datatype"] == "BOOL" and None in values else tensor["datatype"]
        if datatype == "BYTES":
            array = np.array([value or "" for value in values], dtype=np.object_)
        else:
            array = np.array([np.nan if value is None else value for value in values], DTYPES[datatype])
        inputs.append(InferInput(tensor["name"], [len(rows)], datatype))
        inputs[-1].set_data_from_numpy(array, binary_data=binary)
    return InferRequest(model, inputs, request_id="mine")


async def infer(client, metadata, rows, binary):
    answer = await client.infer(url, request(metadata, rows, binary), model, headers=dict(headers))
    outputs = {output.name: output.as_numpy().tolist() for output in answer.outputs}
    return {"id": answer.id, **outputs}


async def main(metadata):
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    seen = {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model ready": await client.is_model_ready(url, model),
        "binary": await infer(client, metadata, asked["rows"], binary=True),
        "JSON": await infer(client, metadata, asked["rows"], binary=False),  # NaN goes as null
    }
    try:
        await client.infer(url, request(metadata, asked["rows"], True), "other", headers=dict(headers))
    except httpx.HTTPStatusError as refused:
        seen["error of another model"] = str(refused)
    await client.close()
    print(json.dumps(seen))


asyncio.run(main(httpx.get(f"{url}/v2/models/{model}", headers=headers, trust_env=False).json()))
