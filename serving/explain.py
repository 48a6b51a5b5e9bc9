"""`POST /explain`: which column moved the answer to a row how far, in the answer's unit.

The body is `{"data": [rows], "class": label}`; rows are held to the rules of `/score`. Of a model with
classes the probability of one is explained: the one that is asked for, else the positive class, else
(more than two classes) the most probable one of each row. The answer is

    {"model": "bank-marketing", "version": "1", "rows": [{
      "output": "probability of yes", "class": "yes", "prediction": 0.41, "base": 0.112,
      "contributions": {"duration": 0.31, "month": -0.04, ...}}]}

with the largest contributions first. They sum to `prediction - base`; `base` is the mean answer to the
bundle's background rows. `class` is null for a regression.
"""

from __future__ import annotations

import json
from time import monotonic
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import astuple

from bundle import BackgroundMissing, Matrix
from bundle.manifest import Label
from bundle.read import read_background
from bundle.shapley import Shapley
from serving.errors import DeadlineExceeded, InvalidRequest, NotExplainable, TooManyRows
from serving.exchange import Answer, Dialect, Request
from serving.scorer import Scorer

MAX_ROWS = 100  # some 8 to 25 ms each


class Explain(Dialect):
    """Explains the answers of one scorer."""

    name = "explain"
    slow = True

    def __init__(self, scorer: Scorer) -> None:
        """A bundle without a background can be mounted; only asking raises. Raises BundleError if it is damaged."""
        self._scorer = scorer
        self._decode = msgspec.json.Decoder(_envelope(scorer.Row)).decode
        self._shapley: Shapley | str
        try:
            self._shapley = Shapley(scorer.model.outputs, read_background(scorer.bundle))
        except BackgroundMissing as error:
            self._shapley = str(error)

    def answer(self, request: Request) -> Answer:
        """Explain the rows of a body. Takes 8 ms of CPU a row with the compiled kernel, 25 without.

        Raises InvalidRequest, TooManyRows, NotExplainable, and DeadlineExceeded past the request's deadline.
        """
        if isinstance(self._shapley, str):
            raise NotExplainable(self._shapley)
        request.demand_json()
        try:
            envelope = self._decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self._complaint(request.body) from None
        rows, label = envelope.data, envelope.label
        if len(rows) > MAX_ROWS:
            raise TooManyRows(f"'data' has {len(rows):,} rows; at most {MAX_ROWS} are explained. Send fewer at a time.")
        place = None if label is None else self._place(label)
        manifest, explained = self._scorer.manifest, []
        for number, row in enumerate(self._scorer.model.encode(map(astuple, rows))):
            if monotonic() > request.deadline:
                raise DeadlineExceeded(f"Time was up after {number} of {len(rows)} rows. Send fewer at a time.")
            explained.append(self._explain(self._shapley, row, place))
        body = msgspec.json.encode({"model": manifest.name, "version": manifest.version, "rows": explained})
        return Answer(body, rows=len(rows))

    def _explain(self, shapley: Shapley, row: Matrix, place: int | None) -> dict[str, Any]:
        manifest, model = self._scorer.manifest, self._scorer.model
        label: Label | None = None
        if manifest.regression:
            place = 0
        elif place is None and manifest.positive_class is not None:
            place = manifest.classes.index(manifest.positive_class)
        elif place is None:
            place = int(model.outputs(row[None])[0].argmax())
        if not manifest.regression:
            label = manifest.classes[place]
        explanation = shapley.explain(row, place)
        order = np.argsort(-np.abs(explanation.contributions), kind="stable")
        return {
            "output": f"value of {manifest.target}" if label is None else f"probability of {_text(label)}",
            "class": label,
            "prediction": explanation.prediction,
            "base": explanation.base,
            "contributions": {model.names[column]: float(explanation.contributions[column]) for column in order},
        }

    def _place(self, label: object) -> int:
        """Where the probability of a class is. A class that is no text may be given in quotes."""
        classes = self._scorer.manifest.classes
        if not classes:
            raise InvalidRequest("The model is a regression: it has no classes. Leave 'class' out.")
        for wanted in (json.dumps(label), label):
            for place, known in enumerate(classes):
                if wanted == json.dumps(known):
                    return place
        known_classes = ", ".join(map(json.dumps, classes))
        raise InvalidRequest(f"'class' should be one of {known_classes}, got {json.dumps(label)[:80]}.")

    def _complaint(self, body: bytes) -> InvalidRequest:
        """Why a body was refused, by a slow second look at it."""
        try:
            content = json.loads(body)
        except (ValueError, RecursionError) as error:
            return InvalidRequest(f"The body is no JSON: {error}.")
        if not isinstance(content, dict) or "data" not in content:
            return InvalidRequest("The body should be an object with 'data', a list of rows, and perhaps 'class'.")
        unknown = sorted(set(content) - {"data", "class"})
        if unknown:
            return InvalidRequest(f"Unknown parameter {json.dumps(unknown[0])[:80]}. Known are: data, class.")
        try:
            self._scorer.complain(content["data"])
            if content.get("class") is not None:
                self._place(content["class"])
        except InvalidRequest as error:
            return error
        return InvalidRequest("The body is not strict JSON in UTF-8.")


def _envelope(row: type[msgspec.Struct]) -> Any:
    rows: Any = list[row]  # type: ignore[valid-type]
    fields: list[Any] = [("data", rows), ("label", str | bool | int | None, None)]
    return msgspec.defstruct("Envelope", fields, rename={"label": "class"}, forbid_unknown_fields=True, gc=False)


def _text(label: Label) -> str:
    return label if isinstance(label, str) else json.dumps(label)
