"""Requests to load an endpoint with, drawn from its own description of the columns."""

from __future__ import annotations

import json
import random
from typing import Any

BODIES = 256  # different ones


def drawn_bodies(columns: dict[str, Any], rows: int, seed: int = 0) -> list[bytes]:
    """Bodies for `/score` of `rows` rows each, to be sent in turn: a repeated one is answered from warm caches."""
    drawn = drawn_rows(columns, max(BODIES, rows), seed)
    count = BODIES if rows < 100 else 16
    return [
        json.dumps({"data": [drawn[(start * 7 + place) % len(drawn)] for place in range(rows)]}).encode()
        for start in range(count)
    ]


def drawn_rows(columns: dict[str, Any], count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with values drawn from the columns' enums and ranges, as the endpoint's description has them."""
    rng = random.Random(seed)
    return [{name: _draw(schema, rng) for name, schema in columns.items()} for _ in range(count)]


def _draw(schema: dict[str, Any], rng: random.Random) -> Any:
    if "enum" in schema:
        return rng.choice([value for value in schema["enum"] if value is not None])
    kinds = schema["type"]
    if "boolean" in kinds:
        return rng.random() < 0.5
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None:
        return schema["examples"][0]
    return rng.randint(low, high) if "integer" in kinds else round(rng.uniform(low, high), 3)
