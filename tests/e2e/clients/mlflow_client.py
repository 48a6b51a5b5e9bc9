"""MLflow's client against the endpoint: a request on standard input, what the client saw on standard output."""

import json
import sys

import numpy as np
import pandas as pd
import requests
from mlflow.deployments import PredictionsResponse
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

asked = json.load(sys.stdin)
rows, columns = asked["rows"], asked["columns"]
client = ScoringServerClient("127.0.0.1", asked["port"])
frame = pd.DataFrame(rows, columns=columns)
proba = {"method": "predict_proba"}


def labels(data):
    return client.invoke(data)["predictions"]


def error(data):
    try:
        client.invoke(data)
    except Exception as refused:
        return str(refused)
    return None


client.ping()
csv = requests.post(
    f"{client.url_prefix}/invocations",
    frame.to_csv(index=False).encode(),
    headers={"Content-Type": scoring_server.CONTENT_TYPE_CSV},
    timeout=30,
)
lists = frame.astype(object).where(frame.notna(), None).to_numpy()
seen = {
    "version": client.get_version(),
    "frame": labels(frame),
    "frame, probabilities": client.invoke(frame, params=proba)["predictions"],
    "frame as pandas": client.invoke(frame, params=proba).get_predictions().to_numpy().tolist(),
    "array": labels(np.array(lists, dtype=object)),
    "records": labels(rows),
    "records, probabilities": client.invoke(rows, params=proba)["predictions"],
    "instances": labels(json.dumps({"instances": rows})),  # it takes a string as it is
    "csv": PredictionsResponse.from_json(csv.text)["predictions"],
    "error": error(frame.rename(columns={columns[0]: "other"})),
    "parsed by its server": {
        name: len(pd.DataFrame(scoring_server.infer_and_parse_data(scoring_server._split_data_and_params(example)[0])))
        for name, example in asked["examples"].items()
    },
}
print(json.dumps(seen))
