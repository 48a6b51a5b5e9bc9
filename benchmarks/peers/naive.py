"""FastAPI as tutorials write it: a pydantic model for the row, a plain function for the path."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, Field, create_model

from benchmarks.peers.portable import Portable

portable = Portable()
app = FastAPI()

_TYPES = {"number": float, "boolean": bool, "category": str}

# A tutorial writes the columns down; here they are those of whatever model is compared.
_FIELDS: dict[str, Any] = {
    onnx_name: (_TYPES[portable.kinds[name]], Field(alias=name)) for name, onnx_name, _ in portable.columns
}
Row = create_model("Row", **_FIELDS)


class Request(BaseModel):
    """The body."""

    data: list[Row]  # type: ignore[valid-type]


class Answer(BaseModel):
    """The answer."""

    result: list[Any]


@app.post("/score")
def score(request: Request) -> Answer:
    """Score all rows of one request."""
    rows: list[BaseModel] = request.data
    return Answer(result=portable.labels([row.model_dump(by_alias=True) for row in rows]))
